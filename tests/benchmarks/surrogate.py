"""``nn.surrogate`` beside the floor and OMLT: from weights and a box to a model inside HiGHS, and the optima of both.

Unlike in :mod:`tests.benchmarks.handover` nothing is at hand: bounds are computed inside the build, as OMLT does. The
second table goes through HiGHS to the end on small networks, beside exact enumeration of activation patterns.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyomo.environ as pyo

import nnsym as nn
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.lang.statements.objective import objective
from nnsym.solvers.highs import load
from tests.benchmarks.floor import floor_arrays, floor_highs
from tests.benchmarks.floors import FLOORS
from tests.benchmarks.handover import appsi, omlt_model
from tests.benchmarks.measure import BenchSpec, measure, ms, table
from tests.benchmarks.models import Instance, instance_of, random_instance

HERE = importlib.util.find_spec("omlt") is not None
SMALL = ((2, 6, 2), (2, 4, 4, 2), (3, 5, 3), (4, 7, 2), (2, 3, 3, 3, 2))


def block(instance: Instance, bounds: str, encoding: str = "bigm") -> Any:
    """A Pyomo model that holds the network, and minimises output 0 minus output 1."""
    f = nn.sequential(list(instance.layers), activation="relu")
    model = pyo.ConcreteModel()
    model.net = nn.surrogate(f, (instance.lower, instance.upper), encoding=encoding, bounds=bounds)
    model.margin = pyo.Objective(expr=model.net.outputs[0] - model.net.outputs[1])
    return model


def arrays(model: Any) -> Any:
    """What ``SolverFactory("nnsym_highs")`` does up to the call of the solver."""
    from nnsym.solvers.pyomo.compiled import compile_model

    return load(compile_model(model).arrays)


def routes(instance: Instance) -> Iterator[BenchSpec]:
    """Every route that is installed; all end in a Highs object that holds the model."""
    yield BenchSpec(
        route="floor, bounds at hand",
        steps={"build": lambda _: floor_arrays(instance, FLOORS["bigm"]), "hand-over": floor_highs},
    )
    for bounds in ("ibp", "crown"):
        yield BenchSpec(
            route=f"surrogate, {bounds}",
            steps={"build": lambda _, bounds=bounds: block(instance, bounds), "hand-over": arrays},
        )
    yield BenchSpec(
        route="surrogate, ibp, appsi_highs",
        steps={"build": lambda _: block(instance, "ibp"), "hand-over": appsi},
    )
    if HERE:
        yield BenchSpec(route="OMLT", steps={"build": lambda _: omlt_model(instance), "hand-over": appsi})


def optima() -> Iterator[tuple[str, float, float, float]]:
    """The network's widths, and its least ``y[0] - y[1]``: by enumeration, by the surrogate, by OMLT."""
    for seed, widths in enumerate(SMALL, start=1):
        rng = np.random.default_rng(seed)
        layers = tuple((rng.normal(size=(m, n)), rng.normal(size=m)) for n, m in pairwise(widths))
        instance = instance_of(layers, np.full(widths[0], -1.0), np.full(widths[0], 1.0))
        f, x = nn.sequential(list(layers), activation="relu"), nn.Variable(widths[0], name="x")
        exact = minimum_margin(objective(f(x)[0] - f(x)[1], nn.box(x, -1, 1)))
        models = [block(instance, "crown"), *([omlt_model(instance)] if HERE else [])]
        for model in models:
            pyo.SolverFactory("appsi_highs").solve(model)
        found = [float(pyo.value(model.margin)) for model in models]
        yield "-".join(map(str, widths)), float(exact.margin), found[0], found[1] if HERE else math.nan


def report(rounds: int = 9) -> str:
    """Both tables."""
    timings = measure(list(routes(random_instance())), rounds)
    slow = next((t for t in timings if t.route == "OMLT"), None)
    rows = [
        (
            t.route,
            *(ms(t.median(phase)) for phase in ("build", "hand-over")),
            f"{t.median('hand-over') / timings[0].median('hand-over'):.2f}",
            f"{slow.total / t.total:.0f}" if slow else "",
        )
        for t in timings
    ]
    head = ("route", "build ms", "hand-over ms", "hand-over over the floor's", "OMLT over it")
    first = table("784-256x6-10, radius 0.03", head, rows)
    small = [(w, f"{e:.9f}", f"{abs(s - e):.0e}", f"{abs(o - e):.0e}") for w, e, s, o in optima()]
    return "\n".join((first, table("optima", ("widths", "enumeration", "surrogate off by", "OMLT off by"), small)))
