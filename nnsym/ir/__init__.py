"""The graph and its numbers: nodes, linear maps, functions of one variable, rows and formulas, evaluated exactly."""
