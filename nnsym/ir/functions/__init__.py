"""Functions of one variable by family, one file each: exponentials, powers, waves, gates, pieces."""
