"""nnsym.solvers"""
