"""One file for each step of the loop: bound, reduce, look for a violation, finish, choose, split; and what they ask."""
