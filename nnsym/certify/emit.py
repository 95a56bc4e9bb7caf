"""From a verdict to a certificate: a theorem, a tree or a point, and the checker's word on it.

Whatever method gave the verdict, the proof is found anew on the checker's own graph: boxes where few inputs are free,
else phases of neurons. What the checker does not accept is split further; nothing leaves here that it has not accepted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import numpy as np

from nnsym.bounds.kept.engine import Engine
from nnsym.certify.boxes import Boxes
from nnsym.certify.choices import Choices
from nnsym.certify.claims import Base, claimed
from nnsym.certify.grounds import Ground, Grounds
from nnsym.certify.mirror import Mirror, mirror
from nnsym.certify.names import Names
from nnsym.certify.phases import Phases
from nnsym.certify.theorem import Theorem, theorem
from nnsym.certify.tree import TreePlace, flat
from nnsym.check.checker import VERSION, Checker, Report
from nnsym.check.errors import Refused, nearly
from nnsym.check.files import read_json
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.query import Query
from nnsym.results.certificate import Certificate, Lack
from nnsym.results.clock import Deadline, OutOfTime

#: Up to so many free inputs boxes are split; beyond the second number neurons alone.
_FEW, _SOME = 20, 60

#: So often the checker is asked, and leaves that it does not accept are split further.
_ROUNDS = 16

#: Where so many parts do not decide it, or one for so many leaves of claims, ranges are claimed anew.
_PARTS, _FEWER = 31, 2

#: So many splits has each row of a layer at first, then so many times as many, while what is left to prove of the whole
#: box falls to such a share, and a level that takes as much longer fits into a share of the time left.
_SPLITS, _MORE, _PAYS, _MOST = 5, 4, 0.8, 0.5


class UncertifiedError(Exception):
    """No certificate, and why: a kind, and what there is to say of it."""

    def __init__(self, kind: Lack, detail: str) -> None:
        super().__init__(kind.said(detail))


def certified_unsat(query: Query, deadline: Deadline, *, semantics: str = "real") -> Certificate:
    """A certificate that no point of the query's domain makes its formula true.

    Raises :class:`UncertifiedError` with the reason where there is none.
    """
    try:
        with np.errstate(all="ignore"):
            return _Proof(query, deadline, semantics).certificate()
    except UnsupportedError as error:
        raise UncertifiedError(Lack.NOT_COVERED, error.reason) from None
    except Refused as error:
        raise _unaccepted(error, deadline) from None
    except OutOfTime:
        raise UncertifiedError(Lack.NO_TIME, "to find a proof") from None


def certified_sat(query: Query, point: Mapping[str, Array], deadline: Deadline) -> Certificate:
    """A certificate that a point, by the names of the query's inputs, satisfies the property's assertions."""
    started = time.process_time()
    try:
        claimed = theorem(query)
        values = {name: [str(v) for v in exact] for name, exact in claimed.point(point).items()}
        return _accepted(claimed, claimed.certificate(claim="sat", point=values), started, deadline)
    except UnsupportedError as error:
        raise UncertifiedError(Lack.NOT_COVERED, error.reason) from None
    except Refused as error:
        raise _unaccepted(error, deadline) from None


def _unaccepted(error: Refused, deadline: Deadline) -> UncertifiedError:
    if deadline.passed:
        return UncertifiedError(Lack.NO_TIME, "to check it")
    return UncertifiedError(Lack.NOT_ACCEPTED, str(error))


def _accepted(claimed: Theorem, certificate: Mapping[str, Any], started: float, deadline: Deadline) -> Certificate:
    """The certificate if the checker accepts the bytes that are written."""
    data = written(certificate)
    proved = time.process_time()
    report = Checker(read_json(data), claimed.files, stop=lambda: deadline.passed).run()
    return _certificate(data, report, proved - started)


def _certificate(data: bytes, report: Report, prove_seconds: float) -> Certificate:
    return Certificate(
        data=data,
        claim=report.claim,
        semantics=report.semantics,
        checked_by=f"nnsym.check {VERSION} ({report.engine})",
        leaves=report.leaves,
        least=np.inf if report.least is None else nearly(report.least),
        check_seconds=report.seconds,
        prove_seconds=prove_seconds,
    )


def written(certificate: Mapping[str, Any]) -> bytes:
    """The bytes of a certificate."""
    return json.dumps(certificate, separators=(",", ":"), allow_nan=False).encode()


@final
class _Proof:
    """The search for one tree, and the checker's answers to it."""

    def __init__(self, query: Query, deadline: Deadline, semantics: str) -> None:
        self.started, self.checking = time.process_time(), 0.0
        self.deadline, self.semantics = deadline, semantics
        deadline.check()
        self.claimed = theorem(query)
        head = self.claimed.certificate(claim="unsat", semantics=semantics)
        deadline.check()
        self.checker = Checker(head, self.claimed.files, stop=self._late)
        deadline.check()
        self.grounds = Grounds(self.checker.problem)
        self.names = Names(self.checker.problem)

    def certificate(self) -> Certificate:
        grounds = self.grounds
        live = [ground for ground in grounds.all if not ground.case.empty]
        for ground in grounds.all:
            if ground.case.empty:
                ground.place.tokens = [["l", []]]
        if not live:
            return self._settled(None)
        free = max(self._free(ground) for ground in live)
        if free <= _FEW:
            return self._settled(self._by_boxes(live, self.deadline))
        if free > _SOME:
            return self._settled(self._by_phases(live, self.deadline))
        try:
            return self._settled(self._by_phases(live, self.deadline.share(0.5)))
        except (UncertifiedError, OutOfTime):
            for ground in live:
                ground.place.tokens, ground.place.children = [], []
            return self._settled(self._by_boxes(live, self.deadline))

    def _late(self) -> bool:
        return self.deadline.passed

    @staticmethod
    def _free(ground: Ground) -> int:
        ends = zip(ground.case.lower, ground.case.upper, strict=True)
        return sum(low is None or high is None or low < high for low, high in ends)

    def _engine(self, live: list[Ground], *, intervals: bool) -> tuple[Mirror, Engine]:
        """The mirror of some grounds and its engine; the checker has no intervals that phases make narrower."""
        cases = [ground.case for ground in live]
        self.deadline.check()
        mirrored = mirror(self.checker.problem, cases, self.grounds.facts())
        self.deadline.check()
        return mirrored, Engine(mirrored.query, inherit=False, intervals=intervals, deadline=self.deadline)

    def _by_boxes(self, live: list[Ground], deadline: Deadline) -> Boxes:
        mirrored, engine = self._engine(live, intervals=True)
        grower = Boxes(self.grounds, Choices(mirrored, self.checker, self.names), engine, deadline)
        if not grower.grow(grower.start(live)):
            raise OutOfTime
        return grower

    def _by_phases(self, live: list[Ground], deadline: Deadline) -> Phases:
        """Phases on the ranges of the whole box; where few parts do not do, on claimed ones, while it pays."""
        if len(live) > 1:
            raise UncertifiedError(Lack.NOT_COVERED, "several boxes of many inputs")
        mirrored, engine = self._engine(live, intervals=False)
        choices = Choices(mirrored, self.checker, self.names)
        base = start = Base.of(live[0], engine, choices)
        best, rounds, missed, took = None, _SPLITS, np.inf, 0.0
        while True:
            grower = Phases(self.grounds, choices, base, deadline)
            if grower.grow(grower.start(), max(_PARTS, base.leaves // _FEWER)):
                return grower
            deadline.check()
            if best is not None and grower.missed >= missed:  # time was over for some layers
                grower = best
                break
            best, before, missed = grower, missed, grower.missed
            if missed > _PAYS * before or _MORE * took > _MOST * deadline.left:
                break
            began = time.perf_counter()
            base = claimed(start, choices, rounds, deadline)
            rounds, took = _MORE * rounds, time.perf_counter() - began
        grower.base.stand()
        if not grower.grow(()):
            deadline.check()
            raise UncertifiedError(Lack.NOT_PROVED, "no neuron is left to split")
        return grower

    def _settled(self, grower: Boxes | Phases | None) -> Certificate:
        """Ask the checker, and split what it does not accept, until it accepts all.

        Of what was split it is asked alone, until all of that holds; then of the whole once more.
        """
        missed, held = 0.0, set[TreePlace]()  # places whose leaves hold
        for _ in range(_ROUNDS):
            tokens, owners = flat(self.grounds.root)
            tables = {"names": self.names.table} if self.names.table else {}
            claim = {"claim": "unsat", **({} if self.semantics == "real" else {"semantics": self.semantics})}
            data = written(self.claimed.certificate(**claim, **tables, tree=tokens))
            before = time.process_time()
            checker, report = Checker(read_json(data), self.claimed.files, stop=self._late), None
            leaves = {index: place for index, place in enumerate(owners) if tokens[index][0] == "l"}
            fresh = {index for index, place in leaves.items() if place not in held}
            if held and fresh:
                failures = checker.failing(fresh)
            else:
                report = checker.run(failures=True)
                failures = report.failures
            self.checking += time.process_time() - before
            if report and not failures:
                prove = time.process_time() - self.started - self.checking
                return replace(_certificate(data, report, prove), check_seconds=time.process_time() - before)
            refused = dict.fromkeys(leaves[index] for index, _ in failures)
            held = set(leaves.values()) - refused.keys()
            missed = float(min((value for _, value in failures), default=missed))
            if refused and (grower is None or not grower.again(refused)):
                self.deadline.check()
                break
        raise UncertifiedError(Lack.NOT_ACCEPTED, f"a leaf misses by {-missed:.2g}")
