"""Asked many times: the ranges of a batch of subproblems, one pass from rows back to the inputs, better passes."""
