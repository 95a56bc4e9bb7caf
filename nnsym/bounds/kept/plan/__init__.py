"""Made once per query: its nodes in order, the elements that matter, matrices, balls and cuts cut down to them."""
