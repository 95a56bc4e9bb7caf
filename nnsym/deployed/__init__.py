"""What a stored network computes in its own dtype, enclosed: from query to query, and how far that is from the reals."""
