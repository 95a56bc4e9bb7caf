"""Readers against hostile input: VNN-LIB 1.0 and 2.0, property texts, ONNX models, words of the command line.

Inputs are valid ones and small steps away from them. A reader answers or refuses by an error of ``nnsym.errors``;
anything else is a fault, and so is a process that dies, a case without an end, and a 1.0 file that means something
else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from tests.fuzz.report import Report, missed

_BATCH = 2000
_CONTROLS = {"raises": "traceback", "misreads": "wrong", "dies": "traceback", "arrays": "wrong"}


def fuzz(seed: int, seconds: float, *, cases: int | None = None, controls: bool = False) -> Report:
    """Try inputs from the seed on until the seconds, or the cases, are over."""
    begin = time.monotonic()
    caught = {name: _caught(name, fault) for name, fault in _CONTROLS.items()} if controls else {}
    start, end = seed, seed + cases if cases is not None else sys.maxsize
    counts: Counter[str] = Counter()
    faults: list[dict[str, Any]] = []
    while start < end and (start == seed or time.monotonic() - begin < seconds):
        done, found, some = _batch(start, min(_BATCH, end - start))
        start += done
        faults += found
        counts.update(some)
    repeat = "python -m tests.fuzz readers --cases 1 --seed"
    lines = [", ".join(f"{kind} {n}" for kind, n in sorted(counts.items()))]
    lines += [f"{f['fault']}: {repeat} {f['seed']} ({f['kind']}): {f['said'].strip().splitlines()[-1]}" for f in faults]
    return Report(
        name="readers",
        cases=start - seed,
        seconds=time.monotonic() - begin,
        wrong=sum(f["fault"] == "wrong" for f in faults),
        tracebacks=sum(f["fault"] == "traceback" for f in faults),
        controls=len(caught),
        caught=sum(caught.values()),
        lines=(*lines, *missed(caught)),
    )


def run(*, seed: int, seconds: float) -> Report:
    """:func:`fuzz`, with the planted faults."""
    return fuzz(seed, seconds, controls=True)


def _caught(control: str, fault: str) -> bool:
    """Is the planted fault met within a batch?"""
    _, faults, _ = _batch(0, 300, control)
    return any(f["fault"] == fault for f in faults)


def _batch(start: int, count: int, *control: str) -> tuple[int, list[dict[str, Any]], dict[str, int]]:
    """How many cases ran, what was wrong, and counts; a child that dies ends its batch with the case it died of."""
    command = [sys.executable, "-m", "tests.fuzz.reading", str(start), str(count), *control]
    child = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=3600, check=False)
    last, faults, counts = {"at": start, "kind": "start"}, [], {}
    for line in child.stdout.splitlines():
        found = json.loads(line) if line.startswith("{") else {}
        last = found if "at" in found else last
        counts = found.get("counts", counts)
        faults += [found] if "fault" in found else []
    if child.returncode == 0:
        return count, faults, counts
    said = (child.stderr.strip().splitlines() or ["no word"])[-1]
    death = {"fault": "traceback", "seed": last["at"], "kind": last["kind"], "said": f"exit {child.returncode}: {said}"}
    return last["at"] - start + 1, [*faults, death], counts
