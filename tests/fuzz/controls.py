"""Faults that are planted, each of which a harness must catch within a few seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.bounds.sources import Linear
from nnsym.encoding import Context, NodeRule
from nnsym.errors import NnsymError
from nnsym.ir.node import Pointwise
from nnsym.result import Result, Trust, Verdict, Witness
from tests.fuzz.judge import faults
from tests.fuzz.oracle import Truth
from tests.fuzz.plans import Run, mutated
from tests.fuzz.properties import Trial
from tests.fuzz.samples import floats_only

#: So many seeds are tried for each planted fault.
_MOST = 60


def property_controls(first: int = 0) -> dict[str, bool]:
    """Which planted faults the judge of properties caught."""
    encoding = mutated("smt", _shaved)
    runs = (Run("crown", "crown", bound=True), Run("smt", "smt"))
    wrong_rule = Run("mutated", encoding, (("solver", "z3"), ("shortcut", False)))
    return {
        "networks that are 0.25 off": _caught(first, runs, lie=0.25),
        "bounds tightened by 1e-6": _caught(first, runs[:1], during=tightened_bounds),
        "an encoding that cuts off a tenth of every neuron": _caught(first, (wrong_rule,)),
        "a verdict that is turned round": _caught(first, runs[1:], change=_turned),
        "a counterexample that only floats show": forged_counterexample(),
    }


def _caught(
    first: int,
    runs: Iterable[Run],
    *,
    lie: float = 0.0,
    change: Callable[[Result], Result] | None = None,
    during: Callable[[], Any] | None = None,
) -> bool:
    """Is any of the runs judged wrong with the fault, on a seed where none is without it?"""
    runs = tuple(runs)
    for seed in range(first, first + _MOST):
        try:
            trial = Trial.of(seed, lie=lie)
        except NnsymError:
            continue
        for run in runs:
            if during is None:
                outcome = trial.judge(run, change)
            else:
                with during():
                    outcome = trial.judge(run, change)
            if outcome.wrong:
                return True
    return False


@contextmanager
def tightened_bounds() -> Iterator[None]:
    """Backward linear bounds whose rows are a millionth of their size above what was proved."""
    honest = Linear.compute

    def compute(self: Linear, *arguments: Any, **options: Any) -> Bounds:
        found = honest(self, *arguments, **options)
        low = found.rows.lower
        return replace(found, rows=replace(found.rows, lower=low + 1e-6 * np.abs(low)))

    with patch.object(Linear, "compute", compute):
        yield


def _shaved(rule: NodeRule) -> NodeRule:
    """The rule, with the upper tenth of every activation's range cut off."""
    if rule.kind is not Pointwise:
        return rule

    def wrong(ctx: Context, node: Any, args: tuple[Any, ...]) -> Any:
        ids = rule.rule(ctx, node, args)
        low, high = ctx.interval(node)
        some = (ids >= 0) & (low < high) & np.isfinite(low) & np.isfinite(high)
        ctx.rows(node, [(1.0, ids[some])], upper=(0.9 * high + 0.1 * low)[some])
        return ids

    return replace(rule, rule=wrong)


def _turned(result: Result) -> Result:
    other = {Verdict.VERIFIED: Verdict.FALSIFIED, Verdict.FALSIFIED: Verdict.VERIFIED}
    return replace(result, status=other.get(result.status, result.status))


def forged_counterexample() -> bool:
    """``relu(0.1 y0 + 0.2 y1) <= 0.1 + 0.2`` exactly, falsified at 1, where float64 rounds the sum up."""
    case, point = floats_only()
    witness = Witness(inputs={"x": np.array([point])}, outputs={}, margin=-1e-17, replayed_by="float64")
    result = Result(
        status=Verdict.FALSIFIED, reason="replay", trust=Trust.EXACT, method="forged", counterexample=witness
    )
    return bool(faults(case, Truth(False, False, None, ()), result, proved=True))


