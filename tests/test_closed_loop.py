"""A controller in a loop: a Lyapunov network falls along x+ = A x + B pi(x); two networks, three applications."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from readers import READERS
from stored import onnx_values, stored_mlp

import nnsym as nn

# A double integrator, sampled; the gain places the eigenvalues at 1/2 and 0, and V sums the absolute values of the two
# modes (left eigenvectors), so it falls by half of the one and all of the other. Float32 has all of these numbers.
A, B, GAIN = np.array([[1, 0.5], [0, 1]]), np.array([[0.125], [0.5]]), np.array([[2.0, 2.5]])
pi = stored_mlp([(np.vstack([GAIN, -GAIN]), [0, 0]), ([[-1, 1]], [0])], "pi")
LEVELS = np.array([[4, 1], [-4, -1], [4, 3], [-4, -3]])
V = stored_mlp([(LEVELS, np.zeros(4)), (np.ones((1, 4)), [0])], "V")  # |4 x0 + x1| + |4 x0 + 3 x1|

x = nn.Variable(2, name="x")
after = A @ x + B @ pi(x)[0]
REGION = nn.box(x, -2, 2)
RHO, NEAR = 4, 0.25


def falls(step: object, *, near: str = "norm") -> nn.Property:
    """On the level set and away from the origin, V falls by ``step`` in one step."""
    away = nn.norm(x, np.inf) >= NEAR if near == "norm" else nn.any(nn.abs(x) >= NEAR)
    where = REGION & (V(x)[0, 0] <= RHO) & away
    return nn.forall(x, where=where, then=V(after)[0, 0] <= V(x)[0, 0] - step, name="falls")


def plain(point: np.ndarray) -> tuple[float, float]:
    """V before and after one step, in numpy."""

    def level(v: np.ndarray) -> float:
        return float(np.maximum(LEVELS @ v, 0).sum())

    return level(point), level(A @ point - B.ravel() * (GAIN @ point))


#: On the border of the square, where the faster mode vanishes: x = (-3/16, 1/4), modes -1/2 and 0.
LEAST = Fraction(1, 4)


def test_the_least_fall_is_a_quarter() -> None:
    result = nn.verify(falls(0), nn.milp("bigm", optimise=True), timeout=60)
    assert result.lower == pytest.approx(float(LEAST), abs=1e-6)
    assert falls(0).margin([-3 / 16, 1 / 4]) == LEAST


def test_the_property_is_the_loop() -> None:
    p = falls(0.125)
    assert len(p.query.applications) == 3
    assert {a.network.name for a in p.query.applications} == {"pi", "V"}
    for point in np.random.default_rng(0).integers(-16, 17, (40, 2)) / 8:
        before, then = plain(point)
        applies = before <= RHO and np.abs(point).max() >= NEAR
        assert p.margin(point) == (before - 0.125 - then if applies else np.inf)
    assert "V(" in str(p)


@pytest.mark.parametrize("near", ["norm", "any"])
@pytest.mark.parametrize(("encoding", "solver"), [("bigm", "highs"), ("smt", "z3")])
def test_it_falls_by_the_least_amount_and_by_no_more(near: str, encoding: str, solver: str) -> None:
    held = nn.verify(falls(LEAST - Fraction(1, 128), near=near), encoding, solver=solver, timeout=60)
    assert held.status.value == "verified"
    assert not held.vacuous
    broken = nn.verify(falls(LEAST + Fraction(1, 128), near=near), encoding, solver=solver, timeout=60)
    assert broken.status.value == "falsified"
    assert broken.counterexample.replayed_by == "onnxruntime"
    point = np.float32(broken.counterexample.inputs["x"]).ravel()
    control = onnx_values(pi, point)["y"]
    there = np.float32(A @ point + B @ control)
    before, then = (float(onnx_values(V, v)["y"][0]) for v in (point, there))
    assert before <= RHO
    assert np.abs(point).max() >= NEAR
    assert then > before - float(LEAST) - 1 / 128
    assert len(broken.counterexample.outputs) == 3


def test_exported_files_have_the_same_optimum(tmp_path: Path) -> None:
    for suffix in (".lp", ".mps"):
        path = nn.export(falls(0), tmp_path / f"loop{suffix}", encoding="bigm")
        for reader in READERS:
            assert reader(path) == pytest.approx(float(LEAST), abs=1e-6)
    text = nn.export(falls(0), tmp_path / "loop.smt2", encoding="smt").read_text()
    assert text.count("network   ") == 2


def test_text_holds_two_networks_and_three_applications() -> None:
    text = falls("1/8").text()
    assert text.count("network(") == 2
    assert nn.parse(text, [pi, V]).hash == falls("1/8").hash


def test_without_the_excluded_square_the_origin_violates_it() -> None:
    p = nn.forall(x, where=REGION & (V(x)[0, 0] <= RHO), then=V(after)[0, 0] <= V(x)[0, 0] - "0.001")
    assert nn.verify(p, "bigm", timeout=30).status.value == "falsified"
    empty = nn.forall(x, where=REGION & (V(x)[0, 0] <= -1), then=V(after)[0, 0] <= 0)
    assert nn.verify(empty, "smt", solver="z3", timeout=30).vacuous
