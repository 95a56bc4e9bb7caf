"""The field's rows with certificates: what is checked, what is not and why, and what proving and checking take.

python -m tests.benchmarks certify
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import nnsym as nn
from nnsym.check.checker import Checker
from nnsym.check.files import read_json
from nnsym.results.certificate import Lack
from nnsym.results.result import Result
from tests.benchmarks.fair_clock import fair
from tests.benchmarks.measure import benchmark_folder, table
from tests.benchmarks.search import rows

#: Folder, what a row's model and property have to contain, method (empty: the portfolio), seconds for each row.
SETS: Sequence[tuple[str, str, str, str, float]] = (
    ("test", "", "", "", 20),
    ("rl_benchmarks", "", "", "", 20),
    ("acasxu", "", "", "", 600),
    ("mnist_fc", "256x2", "", "", 300),
    ("mnist_fc", "256x4", "", "", 300),
    ("oval21", "", "", "", 300),
    ("rl_benchmarks", "", "", "crown", 20),
    ("mnist_fc", "256x2", "", "triangle", 300),
    ("mnist_fc", "256x4", "", "crown", 300),
)


@final
@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: verdict, certificate or reason, CPU seconds of the verdict, of the proof and of the check."""

    name: str
    result: Result
    verdict_seconds: float
    refused: str

    @property
    def made(self) -> bool:
        return self.result.certificate is not None

    def __str__(self) -> str:
        made = self.result.certificate
        if made is None:
            return f"{self.name}: {self.result.status}, {self.result.uncertified or 'no certificate'}"
        times = f"verdict {self.verdict_seconds:.2f} s, proof {made.prove_seconds:.2f}, check {made.check_seconds:.2f}"
        return f"{self.name}: {self.result.status}, {made.leaves} leaves, {times}{self.refused and ', refused'}"

    @property
    def tree_bytes(self) -> float:
        """Bytes of the tree for each leaf."""
        made = self.result.certificate
        if made is None or not made.leaves:
            return 0.0
        text = made.data.decode()
        return (len(text) - text.index('"tree":')) / made.leaves


def one(onnx: str, vnnlib: str, method: str, seconds: float) -> Row:
    """A verdict with its certificate, which is then checked once more from its bytes."""
    query = nn.load_vnnlib(vnnlib, onnx)
    before = time.process_time()
    with fair():  # limits mean the same on a busy machine
        result = nn.verify(query, method or None, timeout=seconds, certificate=True)
    spent, made, refused = time.process_time() - before, result.certificate, ""
    if made is not None:
        spent -= made.check_seconds + made.prove_seconds
        files = {a.network.hash: bytes(a.network.model or b"") for a in query.applications}
        try:
            Checker(read_json(made.data), files).run()
        except Exception as error:
            refused = str(error)
    return Row(name=f"{Path(onnx).name} {Path(vnnlib).name}", result=result, verdict_seconds=spent, refused=refused)


def found(name: str, model: str, spec: str, method: str, seconds: float) -> Iterator[Row]:
    """The rows of a set that are not known to be violated."""
    for onnx, vnnlib, known in rows(benchmark_folder() / name, model, spec):
        if known != "sat":
            row = one(onnx, vnnlib, method, seconds)
            print(row, file=sys.stderr, flush=True)  # the whole run takes minutes
            yield row


def report(rounds: int) -> str:
    """A line for every set, and every verdict without a certificate with its reason; ``rounds`` are not asked for."""
    del rounds
    lines, reasons, refused = [], list[str](), 0
    for name, model, spec, method, seconds in SETS:
        mine = [row for row in found(name, model, spec, method, seconds) if row.result.verified]
        made = [row for row in mine if row.made]
        refused += sum(bool(row.refused) for row in mine)
        reasons += [f"{row.name}: {row.result.uncertified}" for row in mine if not row.made]
        certificates = [row.result.certificate for row in made if row.result.certificate is not None]
        verdict = sum(row.verdict_seconds for row in made)
        proof, check = sum(c.prove_seconds for c in certificates), sum(c.check_seconds for c in certificates)
        size = max((row.tree_bytes for row in made), default=0.0)
        lines.append(
            [
                " ".join(word for word in (name, model, spec, method or "portfolio") if word),
                f"{len(made)} of {len(mine)}",
                f"{sum(c.leaves for c in certificates)}",
                f"{verdict:.1f}",
                f"{proof:.1f}",
                f"{check:.1f}",
                f"{check / max(verdict + proof, 1e-9):.2f}",
                f"{size:.0f}",
            ]
        )
    titles = ["rows", "certified", "leaves", "verdict s", "proof s", "check s", "check/prove", "bytes/leaf"]
    said = table("Verified rows of the field with certificates", titles, lines)
    kinds = Counter(Lack.of(reason.partition(": ")[2]) for reason in reasons)
    counts = "".join(f", {count} {kind}" for kind, count in kinds.items())
    return "\n".join(
        [said, f"refused after writing: {refused}; without a certificate: {len(reasons)}{counts}", *reasons]
    )
