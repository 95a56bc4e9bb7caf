"""nnsym.bounds"""
