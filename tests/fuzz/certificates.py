"""Certificates of random properties: what is written is accepted again, agrees with the oracle, and no lie is proved.

An answer is wrong as one of :mod:`tests.fuzz.properties` is; where a certificate that was written is refused by a fresh
check of its file, by either engine; where its claim is not the verdict's; and where anything is certified of which the
oracle knows the contrary, a proof of a property with a violation or a point that satisfies it all.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import nnsym as nn
from nnsym.certify import emit
from nnsym.check.checker import Checker, check
from nnsym.check.errors import Refused
from nnsym.ir.query import Query
from nnsym.results.certificate import Certificate
from nnsym.results.clock import Deadline
from nnsym.results.result import Result, Semantics, Trust
from tests.fuzz.deployed import can_run
from tests.fuzz.judge import Outcome, attempt
from tests.fuzz.properties import Trial, command, trials
from tests.fuzz.report import Report, Tally

#: Wall seconds of a verdict with its certificate, and of an attempt to prove what is false.
_TIMEOUT, _ATTEMPT = 5.0, 0.5

#: So many points that show nothing are offered as if they did.
_POINTS = 4

_METHODS = (None, "bab", "smt", "crown", "bigm")

#: So many seeds are tried for each planted fault.
_MOST = 40


@dataclass(eq=False)
class CertificateTally(Tally):
    """Counts over all cases."""

    kinds: Counter[str] = field(default_factory=Counter)

    def fault(self, seed: int, text: str) -> None:
        self.lines.append(f"seed {seed}: {text[:400]}  [{command('certificates', seed)}]")


def fuzz(seed: int, seconds: float, *, cases: int | None = None, controls: bool = False) -> Report:
    """Judge certificates from ``seed`` on for so many wall seconds."""
    tally = CertificateTally()
    for number in trials(seed, seconds, cases):
        judge(number, tally)
    caught = planted() if controls else {}
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(tally.kinds.items()))
    return tally.report("certificates", caught, kinds)


def judge(seed: int, tally: CertificateTally, *, lie: float = 0.0) -> None:
    """One property: its verdict with a certificate, and attempts to certify what is false."""
    tally.cases += 1
    try:
        trial = Trial.of(seed, lie=lie)
        outcome = _asked(trial, seed, tally)
        lies = _lies(trial, tally)
    except Exception as error:
        tally.crashes += 1
        tally.fault(seed, f"{type(error).__name__}: {error}")
        return
    tally.kinds[outcome.status] += 1
    tally.wrong += bool(outcome.wrong or lies)
    tally.crashes += bool(outcome.crash or outcome.odd)
    for text in (*outcome.wrong, *lies, outcome.crash, outcome.odd):
        if text:
            tally.fault(seed, text)


def _asked(trial: Trial, seed: int, tally: CertificateTally) -> Outcome:
    method, deployed = _METHODS[seed % len(_METHODS)], seed % 4 == 3 and can_run(trial.case)
    semantics = Semantics.DEPLOYED if deployed else Semantics.REAL
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "certificate.json"

        def ask() -> Result:
            return nn.verify(trial.prop, method, timeout=_TIMEOUT, semantics=semantics, certificate=path)

        def look(result: Result) -> list[str]:
            tally.kinds[f"certified {result.status.value}" if result.certificate else "uncertified"] += 1
            return [*trial.faults(result, proved=method != "bigm"), *certificate_faults(trial.prop.query, result, path)]

        return attempt(ask, look)


def certificate_faults(query: Query, result: Result, path: Path) -> list[str]:
    """What is wrong with what was written, in the words of a checker that reads nothing else."""
    made = result.certificate
    if made is None:
        odd = [] if result.trust is not Trust.CHECKED and not path.exists() else ["checked, or written, without one"]
        return odd if result.uncertified else [*odd, "no certificate, and no reason"]
    claim = "sat" if result.verified == (query.reading.value == "exists") else "unsat"
    wrong = [] if made.claim == claim else [f"the certificate says {made.claim} of a property that is {result.status}"]
    wrong += [] if result.trust is Trust.CHECKED else [f"the trust is {result.trust.value}"]
    files = []
    for number, applied in enumerate(query.applications):
        if applied.network.model is not None:
            files.append(path.with_name(f"{number}.onnx"))
            files[-1].write_bytes(bytes(applied.network.model))
    for engine in (None, "reference"):
        try:
            check(path, files, engine)
        except Refused as error:
            wrong.append(f"the certificate that was written is refused: {error}")
    return wrong


def _lies(trial: Trial, tally: CertificateTally) -> list[str]:
    """Certificates of the contrary of what the oracle knows."""
    truth, query = trial.truth, trial.prop.query
    if truth.decisive is not None:
        tally.kinds["false proofs tried"] += 1
        with suppress(emit.UncertifiedError):
            found = emit.certified_unsat(query, Deadline.after(_ATTEMPT))
            return [f"{found!r}, but a point satisfies the assertions: {truth.decisive}"]
    elif truth.complete:
        for point, _ in truth.points[:_POINTS]:
            tally.kinds["false points tried"] += 1
            with suppress(emit.UncertifiedError):
                found = emit.certified_sat(query, _inputs(trial, point), Deadline.after(_ATTEMPT))
                return [f"{found!r} of {point}, but no point satisfies the assertions"]
    return []


def _inputs(trial: Trial, point: Any) -> dict[str, Any]:
    parts, start = {}, 0
    for var in trial.case.variables:
        parts[var.name] = np.array(point[start : start + var.size], dtype=object)
        start += var.size
    return parts


def planted() -> dict[str, bool]:
    """Which planted faults are caught within a few seeds."""
    return {
        "networks that are 0.25 off": _caught(lie=0.25),
        "a file without the tree that was accepted": _caught(lambda: patch.object(Certificate, "save", _torn)),
        "a point that is not replayed": _caught(lambda: patch.object(emit, "Checker", _Blind)),
    }


def _caught(during: Callable[[], Any] = nullcontext, *, lie: float = 0.0) -> bool:
    for seed in range(_MOST):
        planted, honest = CertificateTally(), CertificateTally()
        with during():
            judge(seed, planted, lie=lie)
        if planted.wrong:
            judge(seed, honest)
            if not honest.wrong:
                return True
    return False


def _torn(made: Certificate, path: Path) -> Path:
    """Writes other bytes than were accepted: the tree is lost."""
    lost = json.loads(made.data) | {"tree": []}
    path.write_bytes(json.dumps(lost).encode())
    return path


class _Blind(Checker):
    """Takes every point at its word."""

    def replay(self) -> None:
        pass
