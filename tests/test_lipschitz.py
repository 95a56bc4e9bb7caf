"""The question ``nn.lipschitz``: upper bounds against exact regions, slopes against exact arithmetic, the command."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import nnsym as nn
from nnsym import demo
from nnsym.ask.lipschitz.constant import LipschitzConstant
from nnsym.ask.lipschitz.jacobians import by_regions
from nnsym.ask.lipschitz.space import Space
from nnsym.cli.main import app
from nnsym.errors import InputError, LanguageError, UnsupportedError
from nnsym.ir.exact import to_fractions
from nnsym.ir.network import Network
from nnsym.results.result import Trust
from nnsym.testing.random_nets import random_network

INF = float("inf")


def ask(f: Network, *args: Any, **options: Any) -> LipschitzConstant:
    found = nn.lipschitz(f, *args, **options)
    assert isinstance(found, LipschitzConstant)
    return found


def check_slope(f: Network, found: LipschitzConstant) -> None:
    """The two points in plain rational arithmetic."""
    w = found.witness
    assert w is not None
    a, b = to_fractions(w.a), to_fractions(w.b)
    rise, run = (np.abs(v) for v in (f.evaluate(a) - f.evaluate(b), a - b))
    for side, p in ((rise, found.q), (run, found.p)):
        assert all(isinstance(v, Fraction) for v in side.ravel()), p

    def power(v: np.ndarray, p: Any) -> Fraction:
        values = v.ravel().tolist()
        return max(values) ** 2 if p == "inf" else sum(values) ** 2 if p == 1 else sum(x * x for x in values)

    assert Fraction(found.falsified) ** 2 * power(run, found.p) <= power(rise, found.q)


_SLOW = [pytest.param(p, q, marks=pytest.mark.slow) for p, q in ((1, 2), (2, 1), (2, INF), (INF, 1), (INF, 2), (1, 1))]


@pytest.mark.parametrize(("p", "q"), [(2, 2), (1, INF), (INF, INF), *_SLOW])
def test_every_upper_bound_holds_and_the_exact_one_is_met_by_a_slope(p: float, q: float) -> None:
    f = random_network("dense", 1)
    found = ask(f, -1, 1, ["norms", "sdp", "jacobian", "crown"], p=p, q=q)
    check_slope(f, found)
    assert found.trust is Trust.CERTIFIED
    for tried in found.tried:
        assert found.falsified <= tried.bound < INF
    if (p, q) in ((2, 2), (1, INF), (2, INF)):
        exact = ask(f, -1, 1, "exact", p=p, q=q)
        assert all(exact.certified <= t.bound * (1 + 1e-5) for t in found.tried)
        assert exact.falsified >= exact.certified * (1 - 1e-4) - 1e-6  # two points as steep as the steepest region


def test_methods_on_all_of_the_space() -> None:
    f = demo.network()
    found = ask(f)
    assert [t.method for t in found.tried] == ["norms", "sdp", "jacobian"]
    assert found.method == "sdp"
    assert found.certified <= 27.0404
    assert found.falsified >= 26
    assert found.where == ""
    check_slope(f, found)
    assert "Lipschitz constant 2 -> 2 in [26." in repr(found)
    assert json.loads(json.dumps(found.to_json()))["method"] == "sdp"
    with pytest.raises(LanguageError, match="neither true nor false"):
        bool(found)


def test_a_domain_makes_it_smaller() -> None:
    f = random_network("dense", 4)
    x = nn.Variable(2, name="x")
    everywhere, box, ball = (ask(f, where=w) for w in (None, (-1, 1), nn.ball(x, [0.5, 0.25], 0.125, p=2)))
    assert ball.certified <= box.certified <= everywhere.certified * (1 + 1e-9)
    assert ball.falsified <= ball.certified
    w = ball.witness
    assert w is not None
    assert all(np.linalg.norm(v - [0.5, 0.25]) <= 0.125 for v in (w.a, w.b))
    assert "norm" in ball.where or "ball" in ball.where


def test_directions_that_cannot_change_do_not_count() -> None:
    f = nn.sequential([([[1.0, 100.0]], None)])
    found = ask(f, where=([0, 2], [1, 2]), method=["jacobian", "crown", "bigm"], p=INF, q=INF)
    assert found.certified == 1.0 or np.isclose(found.certified, 1.0)
    assert found.falsified == 1.0
    point = ask(f, where=(1, 1), method=["jacobian", "crown", "exact"])
    assert (point.certified, point.falsified) == (0.0, 0.0)


@pytest.mark.parametrize("kind", ["residual", *(pytest.param(k, marks=pytest.mark.slow) for k in ("abs", "clip"))])
def test_the_jacobian_as_terms(kind: str) -> None:
    """Its bounds, and its largest norm by a program, which is that of the steepest region."""
    f = random_network(kind, 2)
    found = ask(f, -1, 1, ["crown", "bigm", "jacobian"], p=INF, q=INF, timeout=60)
    bounds = {t.method.partition("+")[0]: t.bound for t in found.tried}
    regions, _ = by_regions(Space.of(f, (-1, 1)), "inf", "inf")
    assert found.falsified <= regions
    assert regions * (1 - 1e-5) <= bounds["bigm"] <= regions * (1 + 1e-5)
    assert regions <= min(bounds["crown"], bounds["jacobian"]) * (1 + 1e-9)
    check_slope(f, found)


@pytest.mark.parametrize("kind", ["maxpool", "tanh"])
def test_graphs_of_other_nodes(kind: str) -> None:
    f = random_network(kind, 3)
    found = ask(f, -1, 1)
    assert 0 < found.falsified <= found.certified < INF
    assert all(t.bound >= found.falsified for t in found.tried)


def residual(seed: int) -> Network:
    """``x - 2 W T^-1 relu(W' x + b)`` with T of row sums (an SLL layer), twice."""
    import torch

    class Block(torch.nn.Module):
        def __init__(self, n: int, m: int) -> None:
            super().__init__()
            weight = torch.randn(m, n, dtype=torch.float64)
            self.register_buffer("weight", weight.float())
            self.register_buffer("scale", (weight @ weight.T).abs().sum(1).float())
            self.register_buffer("bias", torch.randn(m))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x - 2 * (torch.relu(x @ self.weight.T + self.bias) / self.scale) @ self.weight

    torch.manual_seed(seed)
    return nn.from_torch(torch.nn.Sequential(Block(4, 6), Block(4, 3)), input_shape=(1, 4))


def sorting(seed: int) -> Network:
    """Orthogonal layers and MaxMin between them."""
    import torch

    class Layer(torch.nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.register_buffer("weight", torch.linalg.qr(torch.randn(n, n))[0])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a, b = (x @ self.weight.T).chunk(2, -1)
            return torch.cat([torch.maximum(a, b), torch.minimum(a, b)], -1)

    torch.manual_seed(seed)
    return nn.from_torch(torch.nn.Sequential(Layer(6), Layer(6)), input_shape=(1, 6))


@pytest.mark.parametrize("where", [None, ([-1.0], [1.0])])
@pytest.mark.parametrize("method", [None, "norms", "jacobian"])
@pytest.mark.parametrize(("first", "second"), [(1.7e308, 1.0), (1e308, 1e-308), (5e-324, 1e-300), (1e-200, 1e-200)])
def test_constants_of_numbers_at_the_ends_of_floats(first: float, second: float, method: Any, where: Any) -> None:
    f = nn.sequential([([[first], [first]], [0.0, 0.0]), ([[second, 0.0]], [0.0])], activation="relu")
    for p in (1, 2, INF):
        for q in (1, 2, INF):
            found = ask(f, method=method, where=where, p=p, q=q)
            assert Fraction(found.certified) >= Fraction(first) * Fraction(second)


@pytest.mark.parametrize("method", ["norms", pytest.param("sdp", marks=pytest.mark.slow)])
@pytest.mark.parametrize("make", [pytest.param(residual, marks=pytest.mark.slow), sorting])
def test_networks_of_constant_1_are_recognised(make: Any, method: str) -> None:
    """Where the product of norms gives 2 and more; each method by itself."""
    found = ask(make(0), method=[method])
    for tried in found.tried:
        assert tried.bound <= 1 + 1e-5, tried.method
    assert found.falsified >= 0.5


def test_halves_that_do_not_belong_together_count_twice() -> None:
    """The larger of two, and the smaller of two others: no sort, and the joint change may be sqrt 2 as long."""
    from nnsym.bounds.lipschitz.sorting import sorted_pairs
    from nnsym.ir.linear import Scale
    from nnsym.ir.node import affine, maximum, new_input

    x = new_input("x", 4)
    minus = affine(((Scale(-np.ones(4)), x),))
    shifted = affine(((Scale(-np.ones(4)), x),), [0.0, 1.0, 0.0, 0.0])
    larger, smaller = maximum(x, [[0, 1], [2, 3]]), maximum(minus, [[0, 1], [2, 3]])
    assert sorted_pairs([larger, smaller]) == [(larger, smaller)]
    assert not sorted_pairs([larger, maximum(shifted, [[0, 1], [2, 3]])])
    assert not sorted_pairs([larger, maximum(minus, [[0, 2], [1, 3]])])
    assert not sorted_pairs([maximum(x, [[0, 1], [1, 2]]), maximum(minus, [[0, 1], [1, 2]])])


def test_what_cannot_be_asked_is_refused() -> None:
    f = nn.zoo.random_mlp(1, widths=(2, 3, 2))
    x, z = nn.Variable(2, name="x"), nn.Variable(3, name="z")
    for options, words in (
        ({"method": "foo"}, "bounds no Jacobian"),
        ({"method": "attack"}, "bounds no Jacobian"),
        ({"method": []}, "no method"),
        ({"p": 3}, "Use 1, 2 or inf"),
        ({"where": nn.box(z, 0, 1)}, "reads 2 elements"),
        ({"where": nn.all(nn.box(x, 0, 1), x[0] <= x[1])}, "a box, cut by balls"),
        ({"where": (1, 0)}, "lower|no input|exceeds"),
        ({"lower": 0}, "one limit"),
        ({"lower": 0, "upper": 1, "where": (0, 1)}, "twice"),
        ({"gap": 1}, "along L"),
        ({"method": "crown"}, "on a domain"),
        ({"high": 3, "q": 2, "lower": 0, "upper": 1}, "not in the norm 2"),
    ):
        with pytest.raises(InputError, match=words):
            nn.lipschitz(f, **options)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="no maximum of sums"):
        nn.lipschitz(f, -1, 1, "bigm")
    with pytest.raises(UnsupportedError, match="no gradient of 'tanh'"):
        nn.lipschitz(random_network("tanh", 0), -1, 1, "crown")


def test_the_command() -> None:
    run = CliRunner().invoke
    norms = ["-p", "inf", "-q", "inf", "--method", "norms"]
    found = run(app, ["lipschitz", str(demo.NETWORK), "--lower", "0", "--upper", "1", *norms])
    assert found.exit_code == 0
    assert "Lipschitz constant inf -> inf in [" in found.output
    assert all(len(line) <= 80 for line in found.output.splitlines())
    said = json.loads(run(app, ["lipschitz", str(demo.NETWORK), "--method", "norms", "--json"]).output)
    assert said["certified"] >= said["falsified"] > 0
    assert isinstance(run(app, ["lipschitz", str(demo.NETWORK), "--lower", "a"]).exception, InputError)


@pytest.mark.parametrize("method", ["exact", "bigm", "crown", "norms"])
@pytest.mark.parametrize("p", [1, 2, np.inf])
def test_what_is_beyond_floats_is_infinite_by_every_method(method: str, p: float) -> None:
    if (method, p) == ("bigm", 2):
        pytest.skip("no maximum of sums")
    f = nn.sequential([([[1e200, 0.0], [0.0, 1.0]], [0.0, 0.0]), ([[1e200, 1.0]], [0.0])], activation="relu")
    found = nn.lipschitz(f, -1, 1, method, p=p, q=p, timeout=20)
    assert found.certified == np.inf
    assert found.falsified > 0.9
