"""What is searched: open parts as arrays, targets to rule out, places where a part may be split, points of it."""
