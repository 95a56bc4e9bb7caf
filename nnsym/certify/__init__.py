"""Emission of certificates: theorems, trees that prove them on the checker's own graph, what was accepted."""
