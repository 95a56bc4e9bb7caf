"""ACAS Xu's phi_1 and phi_2 in feet: normalisation is a Python function, and the numbers are the published ones."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import onnx_values, random_layers, stored_mlp

import nnsym as nn
from nnsym.ask.export import build_program
from nnsym.ir.network import Network
from nnsym.ir.node import Affine

# Means and ranges of the networks' training data, as decimals: Julian et al. 2016; rho in feet, angles in radians,
# speeds in feet per second.
MEANS = ["19791.091", 0, 0, 650, 600]
RANGES = ["60261", "6.28318530718", "6.28318530718", 1100, 1200]
LOWER = ["55947.691", "-3.141592653589793", "-3.141592653589793", 1145, 0]
UPPER = [60760, "3.141592653589793", "3.141592653589793", 1200, 60]

#: What the benchmark's files print.
PUBLISHED_LOWER = ["0.6", "-0.5", "-0.5", "0.45", "-0.5"]
PUBLISHED_UPPER = ["0.679857769", "0.5", "0.5", "0.5", "-0.45"]
PUBLISHED_LIMIT = "3.991125645861615"


def norm(x: Any) -> Any:
    """Physical units to the network's."""
    return (x - MEANS) / RANGES


def denorm(y: Any) -> Any:
    """The network's score to the published one."""
    return y * "373.94992" + "7.5188840201005975"


x = nn.Variable(5, name="x")
WHERE = nn.box(x, LOWER, UPPER)


def phi_1(f: Network, limit: object = 1500) -> nn.Property:
    """A distant, slower intruder: the score of clear-of-conflict stays below a limit."""
    return nn.forall(x, where=WHERE, then=denorm(f(norm(x)).ravel()[0]) <= limit, name="phi_1")


def phi_2(f: Network) -> nn.Property:
    """And clear-of-conflict is not the worst advisory (the networks' scores are costs; the largest is the worst)."""
    return nn.forall(x, where=WHERE, then=nn.argmax(f(norm(x)).ravel()) != 0, name="phi_2")


@pytest.fixture(scope="module")
def acas(benchmarks: Path) -> Network:
    return nn.load(benchmarks / "acasxu" / "onnx" / "ACASXU_run2a_1_1_batch_2000.onnx.gz")


def printed(value: float | Fraction, like: str) -> str:
    """A number with as many decimals as the published one has."""
    return f"{float(value):.{len(like.partition('.')[2])}f}"


def normalised(p: nn.Property) -> tuple[Any, Any]:
    """The bounds of the network's input in the program of the property."""
    _, program, _ = build_program(p, "triangle", bounds="ibp")
    (argument,) = p.query.applications[0].arguments
    assert isinstance(argument, Affine)
    block = next(b for b in program.blocks if b.node == "affine_1")
    columns = slice(block.start, block.start + 5)
    return program.lower[columns], program.upper[columns]


def check_numbers(f: Network, tmp_path: Path) -> None:
    """Every number that the published files state, out of the property, its program and its exported file."""
    p = phi_1(f)
    for bounds, published, stated in zip(
        normalised(p), (PUBLISHED_LOWER, PUBLISHED_UPPER), (LOWER, UPPER), strict=True
    ):
        assert [printed(b, w) for b, w in zip(bounds, published, strict=True)] == published
        exact = [norm_one(v, k) for k, v in enumerate(stated)]
        assert [printed(b, w) for b, w in zip(exact, published, strict=True)] == published
    text = nn.export(p, tmp_path / "phi_1.lp", encoding="bigm", bounds="ibp").read_text()
    bounds_in_file = dict(re.findall(r"^ *\S+ <= (?:affine_1|input_Sub)_(\d)_value <= (\S+)$", text, re.M))
    assert [printed(float(bounds_in_file[str(k)]), w) for k, w in enumerate(PUBLISHED_UPPER)] == (PUBLISHED_UPPER)
    (row,) = [r for r in range(len(p.query.rows)) if p.query.labels[r]]
    (part,) = p.query.rows.parts.values()
    limit = Fraction(p.query.rows.constant[row]) / -Fraction(part.coefficient[row])
    assert 0 <= limit - Fraction(PUBLISHED_LIMIT) < Fraction(1, 10**15)  # the file's number is cut off there


def norm_one(value: Any, k: int) -> Fraction:
    """One input, in rationals."""
    return (Fraction(value) - Fraction(MEANS[k])) / Fraction(RANGES[k])


def test_the_numbers_are_the_published_ones(tmp_path: Path) -> None:
    check_numbers(stored_mlp(random_layers(3, 5, 6, 5), "small"), tmp_path)


def test_verdicts_and_counterexamples_are_in_feet(tmp_path: Path) -> None:
    """On a small stored network: the largest score by an exact method, and a limit on either side of it."""
    f = stored_mlp(random_layers(3, 5, 6, 5), "small")
    score = denorm(f(norm(x)).ravel()[0])
    most = nn.maximize(score, where=WHERE)
    assert most.lower <= most.upper <= most.lower + 1e-3
    assert nn.verify(phi_1(f, most.upper + 1), "bigm", timeout=60).status.value == "verified"
    broken = nn.verify(phi_1(f, most.lower - 1), "bigm", timeout=60)
    assert broken.status.value == "falsified"
    point = np.float64(broken.counterexample.inputs["x"]).ravel()
    assert all(Fraction(low) <= Fraction(v) <= Fraction(high) for low, v, high in zip(LOWER, point, UPPER, strict=True))
    scaled = np.float32([float(norm_one(Fraction(v), k)) for k, v in enumerate(point)])
    assert float(denorm_float(onnx_values(f, scaled)["y"][0])) > most.lower - 1.001


def denorm_float(y: float) -> float:
    """The score in floats."""
    return float(y) * 373.94992 + 7.5188840201005975


def test_a_disjunctive_property_in_units() -> None:
    """Near or fast intruders, a precondition in disjuncts, with a conclusion about two scores."""
    f = stored_mlp(random_layers(3, 5, 6, 5), "small")
    y = f(norm(x)).ravel()
    close = (x[0] <= 57000) | (x[4] >= 30)
    p = nn.forall(x, where=WHERE & close, then=denorm(nn.max(y)) <= 400)
    bigm, smt = nn.verify(p, "bigm", timeout=60), nn.verify(p, "smt", solver="z3", timeout=60)
    assert bigm.status is smt.status
    assert nn.parse(p.text(), [f]).hash == p.hash


def test_the_networks_of_the_field(acas: Network, benchmarks: Path, tmp_path: Path) -> None:
    """The same numbers on N_1,1, where phi_1 holds for a narrow encounter; one in feet breaks phi_2 on N_2,1."""
    check_numbers(acas, tmp_path)
    narrow = nn.box(x, [60000, "-0.05", "-0.05", 1190, 50], [60760, "0.05", "0.05", 1200, 60])
    held = nn.forall(x, where=WHERE & narrow, then=denorm(acas(norm(x)).ravel()[0]) <= 1500, name="phi_1, head on")
    assert nn.verify(held, "crown", timeout=60).status.value == "verified"
    other = nn.load(benchmarks / "acasxu" / "onnx" / "ACASXU_run2a_2_1_batch_2000.onnx.gz")
    broken = nn.verify(phi_2(other), nn.attack(), timeout=60)
    assert broken.status.value == "falsified"
    point = np.float64(broken.counterexample.inputs["x"]).ravel()
    assert all(Fraction(low) <= Fraction(v) <= Fraction(high) for low, v, high in zip(LOWER, point, UPPER, strict=True))
    scaled = np.float32([float(norm_one(Fraction(v), k)) for k, v in enumerate(point)])
    assert next(iter(onnx_values(other, scaled).values())).argmax() == 0
