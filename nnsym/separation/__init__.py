"""What families of cuts share: the scene they look at, and right-hand sides that hold in exact arithmetic."""
