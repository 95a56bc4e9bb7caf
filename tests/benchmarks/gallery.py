"""Every encoding of the gallery from weights and ready bounds to what a solver is given, beside its own floor.

Linear programs end in HiGHS, those with indicator constraints or special ordered sets in Gurobi (pip's licence lets
a model of this size be made, not solved), SMT encodings in SMT-LIB text. CPU time of one process and one thread; a
ratio is the median over the rounds of the ratios of that round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, final

from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.encoding import Encoding, Form
from nnsym.judge.programs.methods import default_solver
from nnsym.program import Feature
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.highs import load
from nnsym.solvers.registry import find
from nnsym.write.smtlib import to_smtlib
from tests.benchmarks.floor import floor_arrays, floor_gurobi, floor_highs
from tests.benchmarks.floor_text import floor_text
from tests.benchmarks.floors import FLOORS
from tests.benchmarks.measure import BenchSpec, Phase, measure, ms, table
from tests.benchmarks.models import Instance, random_instance

FLOOR, LANE, PYOMO = "floor", "lane", "pyomo"
HandOver = Callable[[Any], Any]


@final
@dataclass(frozen=True, kw_only=True)
class Door:
    """Where hand-over ends, and how a floor, a lane and (if there is one) the Pyomo lane get there."""

    name: str
    floor: HandOver
    lane: HandOver
    pyomo: HandOver | None = None


def door(encoding: Encoding) -> Door:
    """By what the encoding emits."""
    if encoding.form is Form.BOOLEAN:
        floor = partial(floor_text, short=encoding.bits is not None)
        return Door(name="SMT-LIB", floor=floor, lane=lambda p: to_smtlib(p, decide_below=0.0, named=False))
    if Feature.IMPLICATIONS in encoding.emits:
        import gurobipy

        from nnsym.solvers.gurobi import Loaded

        env = gurobipy.Env(params={"OutputFlag": 0})
        return Door(
            name="Gurobi",
            floor=lambda arrays: floor_gurobi(arrays, env),
            lane=lambda p: Loaded(env, LinearModel.of(p), as_lp=False).model,
        )
    from nnsym.solvers.pyomo.compiled import compile_model
    from nnsym.solvers.pyomo.model import to_pyomo

    return Door(
        name="HiGHS",
        floor=floor_highs,
        lane=lambda p: load(LinearModel.of(p)),
        pyomo=lambda p: load(compile_model(to_pyomo(p)).arrays),
    )


def at_hand() -> list[Encoding]:
    """The encodings that have a floor, and a solver here."""
    found = map(find_encoding, FLOORS)
    return [encoding for encoding in found if find(default_solver(encoding)).availability().available]


def routes(instance: Instance, encoding: Encoding, end: Door) -> Iterator[BenchSpec]:
    """The floor of an encoding, its array or text lane, and its Pyomo lane."""
    query, bounds, layer = instance.query, instance.bounds, FLOORS[encoding.name]
    yield BenchSpec(
        route=FLOOR, steps={"build": lambda _: floor_arrays(instance, layer, encoding.bits), "hand-over": end.floor}
    )
    for route, hand_over in ((LANE, end.lane), (PYOMO, end.pyomo)):
        if hand_over is not None:
            steps: Mapping[Phase, HandOver] = {
                "build": lambda _: encode(query, bounds, encoding),
                "hand-over": hand_over,
            }
            yield BenchSpec(route=route, steps=steps)


def report(rounds: int = 9) -> str:
    """One row an encoding."""
    instance = random_instance()
    head = ("encoding", "into", "columns", "rows", "nonzeros", "floor ms", "lane ms", "over the floor", "Pyomo over it")
    return table("every encoding", head, (_row(instance, encoding, rounds) for encoding in at_hand()))


def _row(instance: Instance, encoding: Encoding, rounds: int) -> tuple[str, ...]:
    program, end = encode(instance.query, instance.bounds, encoding), door(encoding)
    timings = {t.route: t for t in measure(list(routes(instance, encoding, end)), rounds)}
    floor, lane = timings[FLOOR], timings[LANE]
    sizes = map(str, (program.n_columns, program.n_rows, program.nnz))
    spent = " + ".join(ms(lane.median(phase)) for phase in ("build", "hand-over"))
    pyomo = f"{timings[PYOMO].over(floor):.2f}" if PYOMO in timings else ""
    return encoding.name, end.name, *sizes, ms(floor.total), spent, f"{lane.over(floor):.2f}", pyomo
