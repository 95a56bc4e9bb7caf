"""The field's rows by the default method: CPU seconds of the whole process tree, from start to exit.

Every folder of the competition's form is run that ``NNSYM_BENCHMARKS`` has: an ``instances.csv`` of model, property,
seconds and, where it is known, the answer; files may be packed. Limits go by a clock that stands still while a busy
machine lets the process wait (:mod:`tests.benchmarks.fair_clock`).
"""

from __future__ import annotations

import csv
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import final

from tests.benchmarks.measure import benchmark_folder, table

#: Seconds for a row: those of its own, at most so many by folder, or the last.
LIMITS = {"test": 20.0, "rl_benchmarks": 20.0, "oval21": 120.0}
LIMIT = 60.0

SAID = {"verified": "unsat", "falsified": "sat", "unknown": "unknown"}
_FEW = 8  # networks of a folder that have a line of their own


@final
@dataclass(frozen=True, kw_only=True)
class Instance:
    """A row of a folder: files, seconds, the answer that is known, else ``unknown``."""

    folder: str
    onnx: Path
    vnnlib: Path
    seconds: float
    known: str

    @property
    def network(self) -> str:
        return self.onnx.name.removesuffix(".gz").removesuffix(".onnx")


@final
@dataclass(frozen=True, kw_only=True)
class Run:
    """One row: what was known, what was said, CPU seconds."""

    row: Instance
    said: str
    spent: float

    @property
    def wrong(self) -> bool:
        return "unknown" not in (self.row.known, self.said) and self.row.known != self.said

    @property
    def decided(self) -> bool:
        return self.said in ("sat", "unsat")


def instances(folder: Path) -> Iterator[Instance]:
    """The rows of a folder, with a header or without, whose files are there."""
    limit = LIMITS.get(folder.name, LIMIT)
    with (folder / "instances.csv").open(encoding="utf-8") as file:
        for onnx, vnnlib, seconds, *known in csv.reader(file):
            if onnx == "onnx":
                continue
            paths = [_packed(folder / name.strip()) for name in (onnx, vnnlib)]
            if all(path.exists() for path in paths):
                least = min(float(seconds), limit)
                said = known[0].strip() if known else "unknown"
                yield Instance(folder=folder.name, onnx=paths[0], vnnlib=paths[1], seconds=least, known=said)


def _packed(path: Path) -> Path:
    return path if path.exists() else path.with_name(path.name + ".gz")


def rows(folder: Path, model: str, spec: str) -> Iterator[tuple[str, str, str]]:
    """Model, property and the known answer of the rows whose files' names contain two texts."""
    for row in instances(folder):
        if model in str(row.onnx) and spec in str(row.vnnlib):
            yield str(row.onnx), str(row.vnnlib), row.known


def one(row: Instance) -> Run:
    """One process: ``nnsym verify``, with its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = ["verify", str(row.onnx), str(row.vnnlib), "--timeout", str(row.seconds)]
    command = [sys.executable, "-m", "tests.benchmarks.fair_clock", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = SAID.get(done.stdout.split("\n", 1)[0].split(" ")[0].lower(), "error")
    found = Run(row=row, said=said, spent=spent)
    print(row.network, row.vnnlib.name, said, f"({row.known})", f"{spent:.2f}", file=sys.stderr, flush=True)
    return found


def groups(found: list[Instance]) -> list[tuple[str, list[Instance]]]:
    """The rows of a folder by network where it has few of them, else all together."""
    folder, networks = found[0].folder, {row.network for row in found}
    if not 1 < len(networks) <= _FEW:
        return [(folder, found)]
    ordered = sorted(found, key=lambda row: row.network)
    return [(f"{folder} {name}", list(some)) for name, some in groupby(ordered, key=lambda row: row.network)]


def report(rounds: int) -> str:
    """A line for every set, and the rows that took longest; ``rounds`` are not asked for, each row runs once."""
    del rounds
    folders = sorted(path.parent for path in benchmark_folder().glob("*/instances.csv"))
    lines, slow = [], list[Run]()
    for found in filter(None, (list(instances(folder)) for folder in folders)):
        for what, some in groups(found):
            runs = [one(row) for row in some]
            decided, wrong = sum(run.decided for run in runs), sum(run.wrong for run in runs)
            lines.append([what, f"{decided} of {len(runs)}", str(wrong), f"{sum(run.spent for run in runs):.1f}"])
            slow += runs
    longest = sorted(slow, key=lambda run: -run.spent)[:12]
    again = [[f"{run.row.network} {run.row.vnnlib.name}", run.said, "", f"{run.spent:.2f}"] for run in longest]
    return table("The default method on rows of the field", ["rows", "decided", "wrong", "CPU s"], [*lines, *again])
