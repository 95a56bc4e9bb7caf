"""Lanes: from a program to one solver and back, one file each, in children that can be killed."""
