"""VNN-LIB files of either version, from text to a query."""
