"""Engines: what is known of every node, forwards by intervals and forms, backwards by lines."""
