"""nnsym.read"""
