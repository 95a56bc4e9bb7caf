"""Multipliers and what they prove: the full matrix decides, in floats with room for rounding, or in rationals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import nnsym as nn
from nnsym import demo
from nnsym.bounds.lipschitz.certificate import certified, proved_exactly, semidefinite
from nnsym.bounds.lipschitz.constants import certificate
from nnsym.bounds.lipschitz.multipliers import search
from nnsym.bounds.lipschitz.rows import everywhere
from nnsym.bounds.lipschitz.sectors import Sectors
from nnsym.ir.network import Network
from nnsym.ir.walk import inputs_of


def system_of(f: Network) -> Sectors:
    (out,) = (t.node for t in f.outputs.values())
    found = everywhere(out, inputs_of((out,)), {})
    assert found is not None
    return found


def product(f: Network) -> float:
    weights = [n.maps[0].matrix().toarray() for n in f.nodes if getattr(n, "maps", None)]
    return float(np.prod([np.linalg.norm(w, 2) for w in weights]))


def steepest_region(f: Network, seed: int) -> float:
    """The largest norm among Jacobians of random activation patterns that occur."""
    weights = [n.maps[0].matrix().toarray() for n in f.nodes if getattr(n, "maps", None)]
    biases = [n.bias for n in f.nodes if getattr(n, "maps", None)]
    best = 0.0
    for x in np.random.default_rng(seed).standard_normal((400, weights[0].shape[1])) * 3:
        jacobian, value = weights[0], weights[0] @ x + biases[0]
        for w, b in itertools.islice(zip(weights[1:], biases[1:], strict=True), None):
            on = value > 0
            jacobian, value = w @ (jacobian * on[:, None]), w @ (value * on) + b
        best = max(best, float(np.linalg.norm(jacobian, 2)))
    return best


def test_the_demo_network_has_the_optimum_of_an_interior_point_solver() -> None:
    """Clarabel 0.11 through cvxpy gives 27.04031 (a solver's number, here only to compare)."""
    system = system_of(demo.network())
    found = certificate(system)
    assert 27.0403 - 1e-5 <= found.constant <= 27.0403 * (1 + 1e-5)
    assert len(found.multipliers) == 2


@pytest.mark.parametrize("seed", range(4))
def test_constants_lie_between_regions_and_the_product(seed: int) -> None:
    f = nn.zoo.random_mlp(seed, widths=(4, 7, 6, 3))
    constant = certificate(system_of(f)).constant
    assert steepest_region(f, seed) <= constant <= product(f) * (1 + 1e-9)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "abs", "tanh", "sigmoid"])
def test_any_activation_with_bounded_slopes(activation: str) -> None:
    rng = np.random.default_rng(3)
    layers = [
        (rng.standard_normal((5, 3)), rng.standard_normal(5)),
        (rng.standard_normal((2, 5)), rng.standard_normal(2)),
    ]
    f = nn.sequential(layers, activation=activation)
    found = certificate(system_of(f))
    a, b = np.random.default_rng(4).standard_normal((2, 2000, 3)) * 2
    slopes = np.linalg.norm(f.evaluate(a) - f.evaluate(b), axis=1) / np.linalg.norm(a - b, axis=1)
    assert slopes.max() <= found.constant <= np.prod([np.linalg.norm(w, 2) for w, _ in layers]) * (1 + 1e-6)


def test_rationals_agree_with_the_check_in_floats() -> None:
    system = system_of(nn.zoo.random_mlp(1, widths=(3, 4, 4, 2)))
    found = certificate(system)
    assert proved_exactly(system, found.multipliers, found.constant)
    assert not proved_exactly(system, found.multipliers, 0.97 * found.constant)


def test_multipliers_that_prove_nothing_are_refused() -> None:
    system = system_of(nn.zoo.random_mlp(2, widths=(3, 5, 2)))
    found = search(system)
    assert found is not None
    assert certified(system, found.multipliers, found.rho) < 1.001 * np.sqrt(found.rho)
    assert certified(system, found.multipliers, 0.9 * found.rho) == np.inf
    assert certified(system, tuple(-t for t in found.multipliers), found.rho) == np.inf
    assert certified(system, tuple(np.full_like(t, np.nan) for t in found.multipliers), found.rho) == np.inf
    assert certified(system, tuple(1e-3 * t for t in found.multipliers), found.rho) == np.inf


def test_a_matrix_within_its_own_error_of_indefinite_is_not_called_definite() -> None:
    rng = np.random.default_rng(0)
    base = rng.standard_normal((6, 4))
    singular = base @ base.T  # rank 4
    zero = np.zeros((6, 6))
    assert not semidefinite(singular - 1e-12 * np.eye(6), zero)
    assert not semidefinite(singular, zero)  # psd, but floats cannot tell
    assert semidefinite(singular + 1e-9 * np.eye(6), zero)
    assert not semidefinite(singular + 1e-9 * np.eye(6), np.full((6, 6), 1e-9))
    assert not semidefinite(np.array([[1.0, np.inf], [np.inf, 1.0]]), np.zeros((2, 2)))


def test_the_gradient_is_that_of_differences() -> None:
    from nnsym.bounds.lipschitz.multipliers import _Form

    form = _Form(system_of(nn.zoo.random_mlp(5, widths=(4, 5, 4, 2))))
    start = form.eliminated(None)
    assert start is not None
    flat, slope = np.concatenate(start.multipliers), np.concatenate(start.gradient)
    for k in range(len(flat)):
        step = np.zeros_like(flat)
        step[k] = 1e-5 * flat[k]
        ends = [form.eliminated(form.split(flat + s * step)) for s in (1, -1)]
        assert all(e is not None for e in ends)
        assert np.isclose((ends[0].rho - ends[1].rho) / (2 * step[k]), slope[k], rtol=1e-3, atol=1e-6 * start.rho)  # type: ignore[union-attr]


@pytest.mark.slow
def test_512_neurons(benchmarks) -> None:  # type: ignore[no-untyped-def]
    f = nn.load(benchmarks / "mnist_fc/onnx/mnist-net_256x2.onnx.gz")
    constant = certificate(system_of(f)).constant
    assert constant <= 338.2  # the product is 839.3
