"""From weights and ready bounds to a model inside a solver: the floor, the lanes, and OMLT where it is installed.

CPU time of one process and one thread. "build" makes the in-memory model (nnsym: the Program), "hand-over" ends
where the solver would start. The second table takes the hand-over inside the worker process that a lane really uses,
from what came through its pipe. Both are of big-M; :mod:`tests.benchmarks.gallery` has the table of every encoding.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, final

from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.program import Program
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.highs import load
from nnsym.solvers.workers.runner import End, Job, Worker
from nnsym.solvers.workers.worker import Report
from tests.benchmarks import gallery
from tests.benchmarks.floor import floor_arrays, floor_highs
from tests.benchmarks.floors import FLOORS
from tests.benchmarks.measure import BenchSpec, Timing, measure, ms, table
from tests.benchmarks.models import Instance, random_instance

FLOOR, ARRAYS, PYOMO, PYOMO_ALL, OMLT = "floor", "highs", "pyomo:highs", "to_pyomo(columns='all')", "OMLT 1.2"


def routes(instance: Instance) -> Iterator[BenchSpec]:
    """Every route that is installed; all end in a Highs object that holds the model."""
    from nnsym.solvers.pyomo.compiled import compile_model
    from nnsym.solvers.pyomo.model import to_pyomo

    query, bounds, bigm = instance.query, instance.bounds, find_encoding("bigm")
    yield BenchSpec(
        route=FLOOR, steps={"build": lambda _: floor_arrays(instance, FLOORS["bigm"]), "hand-over": floor_highs}
    )
    yield BenchSpec(
        route=ARRAYS,
        steps={"build": lambda _: encode(query, bounds, bigm), "hand-over": lambda p: load(LinearModel.of(p))},
    )
    yield BenchSpec(
        route=PYOMO,
        steps={
            "build": lambda _: encode(query, bounds, bigm),
            "hand-over": lambda p: load(compile_model(to_pyomo(p)).arrays),
        },
    )
    yield BenchSpec(
        route=PYOMO_ALL,
        steps={
            "build": lambda _: encode(query, bounds, bigm),
            "hand-over": lambda p: load(compile_model(to_pyomo(p, columns="all")).arrays),
        },
    )
    if importlib.util.find_spec("omlt") is not None:
        yield BenchSpec(route=OMLT, steps={"build": lambda _: omlt_model(instance), "hand-over": appsi})


def omlt_model(instance: Instance) -> Any:
    """OMLT's big-M model of the same network over the same input box; it computes interval bounds itself.

    Pyomo's warning for each input whose box leaves out 0 is not made, so that no time goes into text.
    """
    import pyomo.environ as pyo
    from omlt import OmltBlock
    from omlt.neuralnet import NetworkDefinition, ReluBigMFormulation
    from omlt.neuralnet.layer import DenseLayer, InputLayer

    box = dict(enumerate(zip(instance.lower.tolist(), instance.upper.tolist(), strict=True)))
    network = NetworkDefinition(scaled_input_bounds=box)
    above = InputLayer([len(instance.lower)])
    network.add_layer(above)
    for number, (weight, bias) in enumerate(instance.layers, start=1):
        activation = "relu" if number < len(instance.layers) else "linear"
        layer = DenseLayer([weight.shape[1]], [len(bias)], activation=activation, weights=weight.T, biases=bias)
        network.add_layer(layer)
        network.add_edge(above, layer)
        above = layer
    logging.getLogger("pyomo").setLevel(logging.ERROR)
    model = pyo.ConcreteModel()
    model.net = OmltBlock()
    model.net.build_formulation(ReluBigMFormulation(network))
    model.margin = pyo.Objective(expr=model.net.outputs[0] - model.net.outputs[1])
    return model


def appsi(model: Any) -> Any:
    """Pyomo's usual way into HiGHS, up to the call of the solver."""
    from pyomo.contrib.appsi.solvers.highs import Highs

    solver = Highs()
    solver.set_instance(model)
    return solver._solver_model


def floor_job(instance: Instance, _: Report) -> tuple[float, float, float]:
    """In a worker: CPU seconds when it starts, of the floor's hand-over, and when it ends."""
    start = time.process_time()
    arrays = floor_arrays(instance, FLOORS["bigm"])
    built = time.process_time()
    floor_highs(arrays)
    end = time.process_time()
    return start, end - built, end


def arrays_job(model: LinearModel, _: Report) -> tuple[float, float, float]:
    """The same of the lane ``highs``, which is sent arrays."""
    start = time.process_time()
    load(model)
    end = time.process_time()
    return start, end - start, end


def pyomo_job(program: Program, _: Report) -> tuple[float, float, float]:
    """The same of the lane ``pyomo:highs``, which is sent the program."""
    from nnsym.solvers.pyomo.compiled import compile_model
    from nnsym.solvers.pyomo.model import to_pyomo

    start = time.process_time()
    load(compile_model(to_pyomo(program)).arrays)
    end = time.process_time()
    return start, end - start, end


@final
@dataclass(kw_only=True)
class Handed:
    """CPU seconds, a round each: of the hand-over in the worker, and of sending and receiving on both sides."""

    inside: list[float] = field(default_factory=list)
    pipe: list[float] = field(default_factory=list)


def in_worker(instance: Instance, rounds: int) -> dict[str, Handed]:
    """The hand-overs inside one warm worker, in turn."""
    program = encode(instance.query, instance.bounds, find_encoding("bigm"))
    jobs: dict[str, tuple[str, Any]] = {
        FLOOR: ("floor_job", instance),
        ARRAYS: ("arrays_job", LinearModel.of(program)),
        PYOMO: ("pyomo_job", program),
    }
    found, worker, before = {route: Handed() for route in jobs}, Worker(), 0.0
    for number in range(rounds + 1):
        for route, (function, payload) in jobs.items():
            here = time.process_time()
            outcome = worker.run(Job(module=__name__, function=function, payload=payload))
            here = time.process_time() - here
            if outcome.end is not End.DONE:
                raise RuntimeError(outcome.error)
            start, inside, end = outcome.value
            if number:
                found[route].inside.append(inside)
                found[route].pipe.append(here + start - before)
            before = end
    worker.kill()
    return found


def report(rounds: int = 9) -> str:
    """All tables of this file."""
    instance = random_instance()
    program = encode(instance.query, instance.bounds, find_encoding("bigm"))
    timings = measure(list(routes(instance)), rounds)
    size = f"{program.n_columns} columns ({program.n_binary} binary), {program.n_rows} rows, {program.nnz} nonzeros"
    tables = (_one_process(timings), _worker(timings, instance, rounds), gallery.report(rounds))
    return "\n".join((f"big-M of 784-256x6-10: {size}", "", *tables))


def _one_process(timings: Sequence[Timing]) -> str:
    floor = timings[0]
    by_route = {t.route: t for t in timings}
    slow = by_route[OMLT].total if OMLT in by_route else math.nan
    rows = (
        (
            t.route,
            *(ms(t.median(phase)) for phase in ("build", "hand-over")),
            ms(t.total),
            f"{t.over(floor):.2f}",
            f"{slow / t.total:.0f}",
        )
        for t in timings
    )
    head = ("route", "build ms", "hand-over ms", "both ms", "over the floor", "OMLT over it")
    return table("in one process", head, rows)


def _worker(timings: Sequence[Timing], instance: Instance, rounds: int) -> str:
    builds, floor = {t.route: t.median("build") for t in timings}, 0.0
    rows = []
    for route, handed in in_worker(instance, rounds).items():
        both = builds[route] + median(handed.inside)
        floor = floor or both
        cells = (builds[route], median(handed.inside), both)
        rows.append((route, *map(ms, cells), f"{both / floor:.2f}", ms(median(handed.pipe)) if route != FLOOR else ""))
    head = ("route", "build ms (here)", "hand-over ms (worker)", "both ms", "over the floor", "pipe ms")
    return table("hand-over inside the worker", head, rows)
