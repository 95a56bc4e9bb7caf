"""What a unit of each input counts: along every kind of node, whatever the unit is."""

from __future__ import annotations

import numpy as np
import pytest

import nnsym as nn
from nnsym.lang.property import Property
from nnsym.search.sensitivity import sensitivities

X = nn.Variable(3, name="x")
BOX = nn.box(X, [-1, -1, -1], [1, 1, 1])


def counted(asked_for: Property) -> list[float]:
    ((_, found),) = sensitivities(asked_for.query).items()
    return [float(v) for v in found]


def test_weights_multiply_without_their_signs() -> None:
    f = nn.sequential([(np.array([[1.0, -2, 0], [-3, 1, 0]]), [5, 5]), (np.array([[-1.0, 2]]), [0])])
    assert counted(nn.forall(X, where=BOX, then=f(X)[0] <= 1)) == [1.0, 4 / 7, 0.0]


def test_members_of_a_maximum_and_factors_of_a_product_count_like_weights() -> None:
    assert counted(nn.forall(X, where=BOX, then=nn.max(4 * X[0], -X[1]) + nn.max(X[2], X[1]) <= 1)) == [1.0, 0.5, 0.25]
    assert counted(nn.forall(X, where=BOX, then=nn.relu(2 * X[0]) + X[1] * (4 * X[2]) <= 1)) == [0.5, 0.25, 1.0]


def asked(u: np.ndarray, *, within: bool) -> nn.Property:
    """A property of inputs in some units; ``within`` a precondition on one of them."""
    z = nn.zoo.random_mlp(3, widths=(3, 8, 4))(X / u)
    y = nn.max(z[0], 2 * z[1]) + nn.abs(z[2]) + z[3] * z[0] + nn.relu(z[1] - 1)
    box = nn.box(X, -u, u)
    return nn.forall(X, where=box & (X[0] + X[1] >= 0) if within else box, then=y <= 1)


@pytest.mark.parametrize("units", [(1.0, 1.0, 1.0), (2.0**20, 1.0, 2.0**-12)])
@pytest.mark.parametrize("within", [False, True])
def test_units_cancel_through_every_node(units: tuple[float, ...], within: bool) -> None:
    plain, found = np.array(counted(asked(np.ones(3), within=False))), counted(asked(np.array(units), within=within))
    here = np.array(found) * units
    assert (here > 0).all()
    assert here / here.max() == pytest.approx(plain, rel=1e-12)


def test_without_a_network_rows_count_and_beyond_floats_all_are_alike() -> None:
    assert counted(nn.forall(X, where=BOX, then=X[0] - 4 * X[1] <= 7)) == [0.25, 1.0, 0.0]
    f = nn.sequential([(1e200 * np.eye(3), np.zeros(3)), (1e200 * np.eye(3), np.zeros(3))])
    assert counted(nn.forall(X, where=BOX, then=f(X)[0] <= 1)) == [1.0, 1.0, 1.0]
