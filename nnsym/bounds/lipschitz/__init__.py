"""Lipschitz bounds: norms of layers, distances through a graph, semidefinite certificates, and the source they are."""
