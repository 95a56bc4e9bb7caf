"""Bounds in rational arithmetic, for what lies within rounding of the threshold."""
