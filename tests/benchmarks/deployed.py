"""Of the verified rows of the field, how many also hold of every float run: ``python -m tests.benchmarks deployed``.

Every instance is judged by the portfolio for the real function; one that is verified but whose margin does not cover
the certified error is asked again with ``semantics="deployed"``. ``--rounds`` is the timeout of a question in seconds.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import nnsym as nn
from nnsym.results.result import Deployed, Result
from tests.benchmarks.measure import benchmark_folder, table

FOLDERS = ("rl_benchmarks", "acasxu", "mnist_fc", "oval21", "test")


@final
@dataclass(frozen=True, kw_only=True)
class Row:
    """One instance that the real function verifies, and what was found when its runs were asked about."""

    folder: str
    real: Result
    asked: Result | None

    @property
    def state(self) -> str:
        """How the deployed statement was decided."""
        if self.real.deployed is not Deployed.OPEN:
            return "at once" if self.real.deployed is Deployed.HOLDS else "violated"
        assert self.asked is not None
        return {"verified": "asked", "falsified": "violated"}.get(self.asked.status.value, "open")


def rows(folder: Path, timeout: float) -> Iterator[Row]:
    """The verified instances of a folder; the answers are checked against the known ones."""
    with (folder / "instances.csv").open() as file:
        for item in csv.DictReader(file):
            prop = nn.load_vnnlib(folder / item["vnnlib"], nn.load(folder / item["onnx"]))
            real = nn.verify(prop, timeout=timeout)
            print(folder.name, item["onnx"], item["vnnlib"], repr(real), real.float_error, file=sys.stderr, flush=True)
            said = {"verified": "unsat", "falsified": "sat"}.get(real.status.value, "unknown")
            assert "unknown" in (said, item["expected"]) or said == item["expected"], item
            if said == "unsat":
                again = real.deployed is Deployed.OPEN
                asked = nn.verify(prop, semantics="deployed", timeout=timeout) if again else None
                yield Row(folder=folder.name, real=real, asked=asked)


def report(seconds: int) -> str:
    """The table of docs/numerics.md."""
    lines = []
    for name in FOLDERS:
        found = list(rows(benchmark_folder() / name, float(seconds)))
        errors = [r.real.float_error for r in found if r.real.float_error is not None]
        covered = [r.real.lower / r.real.float_error for r in found if r.real.float_error and r.real.lower > 0]
        count = {state: sum(r.state == state for r in found) for state in ("at once", "asked", "violated", "open")}
        largest = f"{max(errors):.2g}" if errors else ""
        least = f"{min(covered):.2g}" if covered else ""
        lines.append([name, str(len(found)), *map(str, count.values()), largest, least])
    states = ["holds at once", "holds when asked", "violated", "open"]
    head = ["benchmark", "verified", *states, "largest E", "least margin/E"]
    return table("Verified rows that also hold of every float32 run", head, lines)
