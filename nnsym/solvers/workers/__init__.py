"""Killable children that solve: their frames, their memory, and who keeps them warm."""
