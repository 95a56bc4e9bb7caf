"""What stored networks compute in their own dtype, enclosed: from query to query, and how far it is from the reals."""
