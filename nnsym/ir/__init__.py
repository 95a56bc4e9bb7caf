"""nnsym.ir"""
