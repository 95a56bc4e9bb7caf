"""Terms: what is computed of variables and networks."""
