"""Sources of bounds by Lipschitz constants: against exact runs on balls, and against each other."""

from __future__ import annotations

import numpy as np
import pytest

import nnsym as nn
from nnsym import demo
from nnsym.bounds.methods import compute, find_source, summands
from nnsym.errors import InputError
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.network import Network
from nnsym.ir.node import affine, new_input
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.lang.property import Property
from nnsym.relaxation.sources import find_source as find_any
from nnsym.results.result import Trust
from nnsym.testing.check_bounds import check_bounds
from nnsym.testing.random_nets import SMOOTH_KINDS, random_network

SOURCES = ("lipschitz", "lipschitz:outputs", "lipschitz:sdp", "lipschitz:sdp:outputs", "bcp", "crown+lipschitz:sdp")


@pytest.fixture(scope="module")
def digits() -> Network:
    return demo.network()


def in_ball(f: Network, p: float, radius: float, seed: int) -> Property:
    x = nn.Variable(next(iter(f.inputs.values())).shape, name="x")
    centre = np.random.default_rng(seed).integers(-4, 5, x.size) / 8
    y = f(x).ravel()
    where = nn.ball(x, centre, radius, p=p)
    return nn.forall(x, where=where, then=nn.all(y[0] - y[k] <= 3 for k in range(1, y.size)))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", ["residual", "maxpool", "tanh"])
def test_rows_and_nodes_hold_at_runs_in_balls(source: str, kind: str) -> None:
    f = random_network(kind, 3)
    exact = kind not in SMOOTH_KINDS
    for p in (1, 2):
        query = in_ball(f, p, 0.75, 3).query
        bounds = compute(query, find_any(source))
        (x,) = query.inputs
        rng = np.random.default_rng(p)
        ways = rng.standard_normal((12, x.size))
        ways = np.concatenate((ways, np.eye(x.size)[:3], -np.eye(x.size)[:3]))
        edge = 0.75 * (1 - 1e-12) * ways / np.linalg.norm(ways, ord=p, axis=1, keepdims=True)
        points = query.move_inside({x: np.array(query.boxes[x].outer).mean(axis=0) + edge})[x]
        for point in points:
            values = query.values({x: to_fractions(point) if exact else point}, exact=exact)
            room = 0 if exact else 1e-12
            rows = query.rows.value(values)
            assert (bounds.rows.lower <= rows + room).all()
            assert (rows <= bounds.rows.upper + room).all()
            for node in query.nodes:
                assert (bounds[node].lower <= values[node] + room).all()
                assert (values[node] <= bounds[node].upper + room).all()


@pytest.mark.parametrize("source", SOURCES)
def test_a_row_of_a_constant_is_a_constant(source: str) -> None:
    x = new_input("x", 2)
    two = affine((), np.full(2, 2.0))
    rows = Rows.of(affine(((Dense(np.array([[1.0, 0.5]])), two),), np.array([-1.0])))
    query = Query("constant", {x: Box(np.zeros(2), np.ones(2))}, rows, Atoms(np.array([0]), False, True))
    found = compute(query, find_any(source)).rows
    assert (found.lower[0], found.upper[0]) == pytest.approx((2.0, 2.0))


@pytest.mark.slow
@pytest.mark.parametrize("source", ["lipschitz:sdp", "bcp"])
def test_the_kit_of_sources(source: str) -> None:
    assert check_bounds(source).runs > 1000


def test_a_row_has_its_own_constant(digits: Network) -> None:
    """Merged with the last layer a margin's constant is below sqrt 2 times that of the outputs."""
    image, label = demo.digit(2)
    query = nn.props.robust(digits, image, label, 0.25, p=2).query
    lower = {s: compute(query, s).rows.upper for s in ("lipschitz:outputs", "lipschitz", "lipschitz:sdp", "bcp")}
    assert (lower["lipschitz"] < lower["lipschitz:outputs"]).all()
    assert (lower["lipschitz:sdp"] < lower["lipschitz"]).all()
    assert (lower["bcp"] <= lower["lipschitz"]).all()


@pytest.mark.slow
def test_sums_of_sources_are_met(digits: Network) -> None:
    image, label = demo.digit(0)
    p = nn.props.robust(digits, image, label, 0.4375, p=2)
    both = nn.verify(p, "crown+lipschitz:sdp")
    assert both.verified
    assert both.trust is Trust.CERTIFIED
    assert not nn.verify(p, "crown").verified
    assert both.lower == max(nn.verify(p, s).lower for s in ("crown", "lipschitz:sdp"))
    assert nn.verify(p, "bigm", bounds="crown+lipschitz:sdp").verified


def test_texts_of_sources() -> None:
    for text in SOURCES:
        assert find_any(text).text == text
    assert summands("crown+lipschitz:sdp") == ["crown", "lipschitz:sdp"]
    assert find_any("lp:triangle+krelu2+lipschitz").text == "lp:triangle+krelu2+lipschitz"
    assert find_source("lipschitz:sdp:outputs") == find_source("lipschitz:outputs:sdp")
    for wrong in ("lipschitz:foo", "bcp:3", "crown+foo:sdp", "foo+crown"):
        with pytest.raises(InputError):
            find_any(wrong)
    with pytest.raises(InputError, match="unknown method"):
        nn.verify(nn.forall(x := nn.Variable(1), where=nn.box(x, 0, 1), then=x[0] >= 0), "lipschitzz")


def linf_distance(weights: list[np.ndarray], x: nn.Variable) -> nn.Variable:
    """Layers of neurons ``|x - w|_inf`` (Zhang et al., Towards Certifying l_inf Robustness, 2021)."""
    for w in weights:
        x = nn.concat(*(nn.norm(x - row, np.inf) for row in w))
    return x


def test_distance_neurons_are_certified_by_their_structure() -> None:
    """Half the margin is a radius, whatever the depth; on a small network exact methods say more."""
    rng = np.random.default_rng(1)
    weights = [rng.integers(-8, 9, shape) / 8 for shape in ((5, 4), (3, 5))]
    centre = rng.integers(-8, 9, 4) / 8
    x = nn.Variable(4, name="x")
    y = -linf_distance(weights, x)
    values = np.array([float(y[k](centre)) for k in range(3)])
    label = int(values.argmax())
    margin = values[label] - np.delete(values, label).max()

    def robust(radius: float) -> Property:
        return nn.forall(x, where=nn.ball(x, centre, radius), then=nn.argmax(y) == label)

    assert nn.verify(robust(margin / 2 * (1 - 1e-9)), "lipschitz").verified
    assert nn.verify(robust(margin / 2 * (1 - 1e-9)), "lipschitz").trust is Trust.CERTIFIED
    assert not nn.verify(robust(margin / 2 * 1.01), "lipschitz:outputs").verified
    assert nn.verify(robust(margin / 2), "crown+lipschitz").verified


@pytest.mark.slow
def test_radii_of_six_digits(digits: Network) -> None:
    """Mean certified radii in the norm 2 (docs/performance.md): neither of the two is always better, both is best."""
    held: dict[str, list[float]] = {
        s: [] for s in ("ibp", "crown", "lipschitz", "lipschitz:sdp", "crown+lipschitz:sdp")
    }
    falls = []
    for k in range(6):
        image, label = demo.digit(k)
        for source, radii in held.items():
            radii.append(nn.radius(digits, image, label, source, high=1, p=2).certified)
        falls.append(nn.radius(digits, image, label, "attack", high=1, p=2).falsified)
    mean = {source: np.mean(radii) for source, radii in held.items()}
    assert mean["ibp"] < 0.06 < 0.22 < mean["lipschitz"]
    assert mean["lipschitz:sdp"] >= 0.38
    assert mean["crown+lipschitz:sdp"] >= 0.40
    assert np.mean(falls) <= 0.51
    for radii in held.values():
        assert all(r <= fall for r, fall in zip(radii, falls, strict=True))
    ahead = np.array(held["lipschitz:sdp"]) > np.array(held["crown"])
    assert ahead.any()
    assert not ahead.all()


def test_a_radius_in_the_norm_2_meets_both(digits: Network) -> None:
    image, label = demo.digit(0)
    found = nn.radius(digits, image, label, high=1, p=2, precision=0.25, timeout=20)
    assert any("lipschitz" in result.bounds for _, result in found.results)
