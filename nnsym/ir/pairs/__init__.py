"""Two runs in one graph: differences of their nodes, as nodes."""
