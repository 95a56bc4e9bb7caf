"""Both sides of an optimum with certificates, which the checker accepts again and refuses of a claim beyond them."""

from __future__ import annotations

import hashlib
import json

import pytest

import nnsym as nn
from nnsym.check.checker import Checker
from nnsym.check.errors import Refused
from nnsym.check.files import read_json
from nnsym.results.optimum import Optimum
from nnsym.results.result import Trust


def optimum(goal: str, *, certificate: bool) -> Optimum:
    x = nn.Variable(2)
    term = nn.zoo.random_mlp(3, widths=(2, 6, 1))(x)[0] - x[1]
    found = getattr(nn, goal)(term, where=nn.box(x, -1, 1), certificate=certificate)
    assert isinstance(found, Optimum)
    return found


def files() -> dict[str, bytes]:
    model = nn.zoo.random_mlp(3, widths=(2, 6, 1)).model
    return {hashlib.sha256(model).hexdigest(): bytes(model)} if model else {}


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_both_sides_are_checked(goal: str) -> None:
    known, found = optimum(goal, certificate=False), optimum(goal, certificate=True)
    assert found.uncertified == ()
    assert found.lower_trust is found.upper_trust is Trust.CHECKED
    assert found.lower <= known.lower + 1e-9 <= known.upper + 1e-9 <= found.upper + 1e-8
    assert found.upper - found.lower < 1e-3
    claims = []
    for made in (found.lower_certificate, found.upper_certificate):
        assert made is not None
        claims.append(Checker(read_json(made.data), files(), "reference").run().claim)
    assert claims == (["unsat", "sat"] if goal == "minimize" else ["sat", "unsat"])


def test_a_bound_beyond_the_optimum_is_not_proved() -> None:
    found = optimum("minimize", certificate=True)
    assert found.lower_certificate is not None
    assert found.upper_certificate is not None
    proof, value = (json.loads(c.data) for c in (found.lower_certificate, found.upper_certificate))
    other = proof | {"property": value["property"], "networks": value["networks"]}  # no point is as low as the best one
    with pytest.raises(Refused, match="not positive"):
        Checker(read_json(json.dumps(other).encode()), files()).run()


@pytest.mark.slow
def test_what_has_no_certificate_says_why() -> None:
    x = nn.Variable(1)
    found = nn.minimize(x[0], where=x <= 1, certificate=True, timeout=5)
    assert found.lower_certificate is None
    assert any("the bound" in reason for reason in found.uncertified)
