"""Programs as methods: an encoding, a solver and bounds, built, solved, read, replayed."""
