"""Faults that are planted, each of which a harness must catch within a few seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.bounds.builtin import Linear
from nnsym.encoding import Context, NodeRule
from nnsym.errors import NnsymError
from nnsym.ir.node import Pointwise
from nnsym.read.ops import LOWERINGS
from nnsym.read.ops.base import Call
from nnsym.results.optimum import Optimum
from nnsym.results.result import Deployed, Result, Semantics, Trust, Verdict, Witness
from tests.fuzz import operators, optima, properties
from tests.fuzz.deployed import decisive_runs, deployed_faults
from tests.fuzz.draws import Draw
from tests.fuzz.judge import faults
from tests.fuzz.makers import MAKERS
from tests.fuzz.oracle import Truth, find_truth
from tests.fuzz.plans import Run, mutated
from tests.fuzz.samples import absorbed_by_float32, floats_only

#: So many seeds are tried for each planted fault.
_MOST = 60

_CROWN, _SMT, _BIGM = Run("crown", "crown", proved=True), Run("smt", "smt"), Run("bigm", "bigm")


def property_controls() -> dict[str, bool]:
    """Which planted faults the judge of properties catches."""
    options = (("solver", "z3"), ("shortcut", False))
    shaved, whole = Run("mutated", mutated("smt", _shaved), options), Run("smt", "smt", options)
    return {
        "networks that are 0.25 off": _in_properties(_SMT, lie=0.25),
        "bounds tightened by 1e-6": _in_properties(_CROWN, during=tightened_bounds),
        "an encoding that cuts off a tenth of every neuron": _in_properties(shaved, right=whole),
        "a verdict that is turned round": _in_properties(_SMT, change=_turned),
        "a counterexample that only floats show": forged_counterexample(),
        "a claim about float runs that a run refutes": forged_claim(),
    }


def optimum_controls() -> dict[str, bool]:
    """Which planted faults the judge of optima catches."""
    return {
        "networks that are 0.25 off": _in_optima(_BIGM, lie=0.25),
        "bounds tightened by 1e-6": _in_optima(_CROWN, during=tightened_bounds),
        "a point that is 0.001 better than it is": _in_optima(_BIGM, change=_flattered),
        "an end of the interval beyond the other": _in_optima(_BIGM, change=_crossed),
    }


def operator_controls() -> dict[str, bool]:
    """Which wrong lowerings, and bounds, the judge of operators catches."""
    wrong = {
        "AveragePool": {"count_include_pad": 0},
        "MaxPool": {"pads": None},
        "Gemm": {"beta": None},
        "LeakyRelu": {"alpha": 0.02},
        "Conv": {"dilations": None},
        "Flatten": {"axis": None},
        "Elu": {"alpha": 0.75},
        "Selu": {"gamma": 1.0},
        "Shrink": {"bias": 0.125},
        "ArgMax": {"axis": None},
        "Mod": {"fmod": None},
    }
    caught = {f"{op} without its {next(iter(change))}": _in_operators(op, change) for op, change in wrong.items()}
    return caught | {"bounds tightened by 1e-6": _operators_find(range(_MOST), tightened_bounds)}


def _in_properties(
    run: Run,
    *,
    right: Run | None = None,
    lie: float = 0.0,
    change: Callable[[Result], Result] | None = None,
    during: Callable[[], Any] = nullcontext,
) -> bool:
    """Is a run judged wrong with the fault that is not judged wrong without it (or in place of ``right``)?"""
    for seed in range(_MOST):
        try:
            planted, honest = properties.Trial.of(seed, lie=lie), properties.Trial.of(seed)
        except NnsymError:
            continue
        with during():
            found = planted.judge(run, change)
        if found.wrong and not honest.judge(right or run).wrong:
            return True
    return False


def _in_optima(
    run: Run,
    *,
    lie: float = 0.0,
    change: Callable[[Optimum], Optimum] | None = None,
    during: Callable[[], Any] = nullcontext,
) -> bool:
    for seed in range(_MOST):
        try:
            planted, honest = optima.Trial.of(seed, lie=lie), optima.Trial.of(seed)
        except NnsymError:
            continue
        with during():
            _, wrong, _ = optima.judge(planted, run, change)
        if wrong and not optima.judge(honest, run)[1]:
            return True
    return False


def _in_operators(op: str, change: dict[str, Any]) -> bool:
    """With a lowering that sees other attributes, on seeds whose first operator is this one."""
    honest = LOWERINGS[op]

    def wrong(call: Call) -> Any:
        kept = {k: v for k, v in call.attributes.items() if k not in change}
        return honest(replace(call, attributes=kept | {k: v for k, v in change.items() if v is not None}))

    first = list(MAKERS).index(op)
    seeds = range(first, first + 30 * len(MAKERS), len(MAKERS))
    return _operators_find(seeds, lambda: patch.dict(LOWERINGS, {op: wrong}))  # type: ignore[arg-type]


def _operators_find(seeds: range, during: Callable[[], Any]) -> bool:
    for seed in seeds:
        planted, honest = operators.OperatorTally(), operators.OperatorTally()
        with during():
            operators.judge(seed, planted)
        if planted.wrong:
            operators.judge(seed, honest)
            if not honest.wrong:
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


def _flattered(found: Optimum) -> Optimum:
    """The side that was attained, a thousandth better."""
    if found.goal == "minimum":
        return replace(found, upper=found.upper - 1e-3 * abs(found.upper))
    return replace(found, lower=found.lower + 1e-3 * abs(found.lower))


def _crossed(found: Optimum) -> Optimum:
    """The side that was proved, beyond the one that was attained."""
    if found.goal == "minimum":
        return replace(found, lower=found.upper + 1e-6 * abs(found.upper))
    return replace(found, upper=found.lower - 1e-6 * abs(found.lower))


def forged_claim() -> bool:
    """``relu(x + 2^25) - 2^25 >= 1/20`` of a float32 model, said to hold of every float run; none gives x back."""
    case = absorbed_by_float32()
    runs = decisive_runs(case, find_truth(case, Draw.seeded(1)), Draw.seeded(2))
    said = (Semantics.REAL, Deployed.HOLDS), (Semantics.DEPLOYED, Deployed.OPEN)
    results = [
        Result(status=Verdict.VERIFIED, reason="", trust=Trust.EXACT, method="forged", semantics=s, deployed=d)
        for s, d in said
    ]
    return all(deployed_faults(case, runs, result) for result in results)


def forged_counterexample() -> bool:
    """``relu(0.1 y0 + 0.2 y1) <= 0.1 + 0.2`` exactly, falsified at 1, where float64 rounds the sum up."""
    case, point = floats_only()
    witness = Witness(inputs={"x": np.array([point])}, outputs={}, margin=-1e-17, replayed_by="float64")
    result = Result(
        status=Verdict.FALSIFIED, reason="replay", trust=Trust.EXACT, method="forged", counterexample=witness
    )
    return bool(faults(case, Truth(False, False, None, ()), result, proved=True))
