"""Both ends of the margin before any solver: certified intervals and lines of every node, and the counter-search."""
