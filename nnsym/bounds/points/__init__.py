"""The counter-search: points of a domain with a small margin. What it finds is a candidate."""
