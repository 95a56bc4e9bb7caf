"""From a row back to the inputs, by lines: one pass, what it starts from, its slopes, CROWN layer by layer."""
