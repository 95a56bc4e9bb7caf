"""Branch and bound over any node of a query: anytime, certified at every moment, resumable."""
