"""One method on one query, from start to end: methods, the run, replayed points, the verdict."""
