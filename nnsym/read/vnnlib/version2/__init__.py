"""VNN-LIB 2.0: the typed tree of the ``vnnlib`` package, from declarations to a query."""
