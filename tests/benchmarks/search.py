"""The field's rows by the default method: CPU seconds of the whole process tree, from start to exit."""

from __future__ import annotations

import csv
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

from tests.benchmarks.measure import benchmark_folder, table

#: Folder, what a row's model and property have to contain, seconds for each row.
SETS = (
    ("test", "", "", 20),
    ("rl_benchmarks", "", "", 20),
    ("acasxu", "", "", 60),
    ("mnist_fc", "256x2", "", 60),
    ("mnist_fc", "256x4", "", 60),
    ("oval21", "", "", 120),
)
SAID = {"verified": "unsat", "falsified": "sat", "unknown": "unknown"}


@final
@dataclass(frozen=True, kw_only=True)
class Run:
    """One row: what was known, what was said, CPU seconds."""

    row: str
    known: str
    said: str
    seconds: float

    @property
    def wrong(self) -> bool:
        return "unknown" not in (self.known, self.said) and self.known != self.said


def rows(folder: Path, model: str, spec: str) -> Iterator[tuple[str, str, str]]:
    """Model, property and the known answer of every row of a folder."""
    with (folder / "instances.csv").open(encoding="utf-8") as file:
        for onnx, vnnlib, _, known in list(csv.reader(file))[1:]:
            if model in onnx and spec in vnnlib:
                yield str(folder / onnx), str(folder / vnnlib), known


def one(onnx: str, vnnlib: str, known: str, seconds: float) -> Run:
    """One process: ``nnsym verify``, with its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "nnsym", "verify", onnx, vnnlib, "--timeout", str(seconds)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=dict(os.environ))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = SAID.get(done.stdout.split("\n", 1)[0].split(" ")[0].lower(), "error")
    return Run(row=f"{Path(onnx).name} {Path(vnnlib).name}", known=known, said=said, seconds=spent)


def report(rounds: int) -> str:
    """A line for every set, and the rows that took longest; ``rounds`` are not asked for, each row runs once."""
    del rounds
    lines, slow = [], list[Run]()
    for name, model, spec, seconds in SETS:
        found = [one(*row, seconds) for row in rows(benchmark_folder() / name, model, spec)]
        decided = sum(run.said in ("sat", "unsat") for run in found)
        total, wrong = sum(run.seconds for run in found), sum(run.wrong for run in found)
        what = " ".join(word for word in (name, model, spec) if word)
        lines.append([what, f"{decided} of {len(found)}", str(wrong), f"{total:.1f}"])
        slow += found
    longest = sorted(slow, key=lambda run: -run.seconds)[:12]
    again = [[run.row, run.said, "", f"{run.seconds:.2f}"] for run in longest]
    return table("The default method on rows of the field", ["rows", "decided", "wrong", "CPU s"], [*lines, *again])
