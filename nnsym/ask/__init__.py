"""Questions: one file for each that a user may ask."""
