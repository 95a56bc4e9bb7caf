"""Kits that refuse unsound guests, one a door, and what they draw their questions from."""
