"""What every room speaks of: answers, optima, clocks, versions, ranges of options."""
