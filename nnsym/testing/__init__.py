"""nnsym.testing"""
