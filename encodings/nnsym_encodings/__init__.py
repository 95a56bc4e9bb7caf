"""The encodings that ship with nnsym, one a file."""

from nnsym_encodings.bigm import BIGM
from nnsym_encodings.smt import SMT
from nnsym_encodings.triangle import TRIANGLE

#: What ``nnsym`` finds through the entry point ``nnsym.encodings``.
ENCODINGS = (BIGM, TRIANGLE, SMT)

__all__ = ["BIGM", "ENCODINGS", "SMT", "TRIANGLE"]
