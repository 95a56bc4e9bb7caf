"""Lipschitz constants from both sides: the methods that bound one from above, and the slopes below it."""
