"""Exact arithmetic at length: forward passes, linear programs, regions and the oracle in rationals."""
