"""Fuzzers that ship with the tests: ``python -m tests.fuzz NAME --seed S --seconds T``."""
