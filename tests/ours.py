"""The encodings that ship with nnsym, by name: what tests of them alone go through.

An encoding that is added to ``nnsym_encodings`` is judged by the kit and by every test of the whole gallery from that
day; it joins this list when it has a floor in ``tests/benchmarks/floors.py``.
"""

from __future__ import annotations

#: Those with a floor, and with rows each sign of which lets something in when it is turned.
OURS = (
    "bigm",
    "partition2",
    "partition3",
    "partition4",
    "balas",
    "indicator",
    "sos1",
    "triangle",
    "line-zero",
    "line-parallel",
    "line-adaptive",
    "smt",
    "smt-short12",
    "smt-textbook",
    "smt-ite",
    "smt-implies",
)
