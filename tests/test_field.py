"""The field's benchmarks: zero wrong anywhere, and at least as many solved as promised (``make field``).

Prints one line per instance; run with ``-s`` to watch.
"""

from __future__ import annotations

import csv
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from nnsym.ask.verify import verify
from nnsym.read.onnx import load
from nnsym.read.vnnlib.load import load_vnnlib
from nnsym.results.clock import Clock
from nnsym.results.result import Verdict
from tests.witness import confirms

pytestmark = pytest.mark.field

SAID = {Verdict.VERIFIED: "unsat", Verdict.FALSIFIED: "sat", Verdict.UNKNOWN: "unknown"}


@dataclass(frozen=True)
class Instance:
    network: Path
    spec: Path
    expected: str


def instances(folder: Path, *, only: str = "") -> list[Instance]:
    with (folder / "instances.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = [Instance(folder / r["onnx"], folder / r["vnnlib"], r["expected"]) for r in rows]
    return [i for i in found if only in f"{i.network.name} {i.spec.name}"]


def run(chosen: list[Instance], *, encoding: str, solver: str, bounds: str, timeout: float) -> Counter[str]:
    """Judge every instance; a wrong answer or an unconfirmed witness fails at once."""
    tally: Counter[str] = Counter()
    for one in chosen:
        clock, begin = Clock(timeout), time.perf_counter()
        query = load_vnnlib(one.spec, load(one.network))
        result = verify(query, encoding=encoding, solver=solver, bounds=bounds, timeout=timeout, clock=clock)
        said = SAID[result.status]
        spent = time.perf_counter() - begin
        print(f"{one.network.name} {one.spec.name}: {said} ({one.expected}) {spent:.2f} s {result.reason}")
        assert "unknown" in (said, one.expected) or said == one.expected, one
        assert spent < timeout + 2
        if said == "sat":
            assert result.counterexample is not None
            (witness,) = result.counterexample.inputs.values()
            assert confirms(one.network, one.spec, witness), one
        tally[said if said == "unknown" else "right"] += 1
        tally[f"{said}"] += said != "unknown"
    print(dict(tally))
    return tally


def test_rl_benchmarks_bigm_highs(benchmarks: Path) -> None:
    chosen = instances(benchmarks / "rl_benchmarks")
    assert run(chosen, encoding="bigm", solver="highs", bounds="crown", timeout=30)["right"] == len(chosen) == 50


def test_lunarlander_under_ibp(benchmarks: Path) -> None:
    chosen = [i for i in instances(benchmarks / "rl_benchmarks", only="lunarlander") if i.expected == "sat"]
    assert run(chosen, encoding="bigm", solver="highs", bounds="ibp", timeout=30)["right"] == len(chosen) == 19


def test_rl_benchmarks_smt_z3(benchmarks: Path) -> None:
    chosen = instances(benchmarks / "rl_benchmarks")
    assert run(chosen, encoding="smt", solver="z3", bounds="crown", timeout=60)["right"] >= 25


@pytest.mark.parametrize(("encoding", "solver"), [("bigm", "highs"), ("smt", "z3")])
def test_test_benchmark(benchmarks: Path, encoding: str, solver: str) -> None:
    chosen = instances(benchmarks / "test")
    assert run(chosen, encoding=encoding, solver=solver, bounds="crown", timeout=60)["right"] == len(chosen) == 5


def test_mnist_256x2(benchmarks: Path) -> None:
    chosen = [i for i in instances(benchmarks / "mnist_fc", only="256x2") if "_0.03" in i.spec.name]
    assert run(chosen, encoding="bigm", solver="highs", bounds="crown", timeout=120)["right"] == len(chosen) == 5


@pytest.mark.parametrize("prop", ["prop_3", "prop_4"])
def test_acasxu(benchmarks: Path, prop: str) -> None:
    chosen = instances(benchmarks / "acasxu", only=f"{prop}.")
    tally = run(chosen, encoding="bigm", solver="highs", bounds="crown", timeout=60)
    assert tally["sat"] == sum(i.expected == "sat" for i in chosen)
