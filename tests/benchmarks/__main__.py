"""The tables of the docs: ``python -m tests.benchmarks [PART ...] [--rounds 9]``.

Parts: handover, rooms, limits, encodings, cuts, pieces, relational, growth, batch, peer, peer_operators, transformer,
deployed, search, surrogate, datasets, training.

OMLT is compared with where it can be imported; it is no dependency.
"""

from __future__ import annotations

import argparse
import importlib
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before numpy and torch are imported

parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
parser.add_argument("parts", nargs="*", default=["handover", "rooms", "limits"])
parser.add_argument("--rounds", type=int, default=9)
asked = parser.parse_args()
for part in asked.parts:
    print(importlib.import_module(f"tests.benchmarks.{part}").report(asked.rounds), flush=True)
