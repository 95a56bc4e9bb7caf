"""What people state, in every file format: several networks and applications, disjunctions, norms, products."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nnsym as nn
from nnsym.lang.property import Property

f, g = nn.zoo.random_mlp(1, widths=(3, 6, 4)), nn.zoo.random_mlp(2, widths=(3, 5, 5, 4))
critic = nn.zoo.random_mlp(3, widths=(2, 4, 1))
policy = nn.zoo.random_mlp(4, widths=(2, 4, 1))
x, z = nn.Variable(3, name="x"), nn.Variable(3, name="z")
unit = nn.box(x, -1, 1)


def closed_loop() -> Property:
    state = nn.Variable(2, name="s")
    following = np.array([[0.5, 0.25], [0.0, 0.5]]) @ state + np.array([0.25, 0.5]) * policy(state)
    now, then = critic(state)[0], critic(following)[0]
    return nn.forall(state, where=nn.box(state, -1, 1) & (nn.norm(state, np.inf) >= 0.25) & (now <= 4), then=then <= 9)


CASES: dict[str, Property] = {
    "robust, every class": nn.forall(x, where=nn.ball(x, [0, 0, 0], 0.25, within=(-1, 1)), then=nn.wins(f(x), 2)),
    "few changes": nn.forall(x, where=unit & nn.ball(x, [0, 0, 0], 0.5, p=1) & (x.sum() <= 1), then=f(x)[0] >= f(x)[1]),
    "monotone": nn.forall(
        [x, z], where=unit & nn.box(z, -1, 1) & (x[0] <= z[0]) & (x[1:] == z[1:]).all(), then=f(x)[0] <= f(z)[0]
    ),
    "equivalent": nn.forall(x, where=unit, then=nn.norm(f(x) - g(x), np.inf) <= 3),
    "same class": nn.forall(x, where=unit & (f(x)[0] >= nn.max(f(x)[1:]) + 0.5), then=nn.argmax(g(x)) == 0),
    "iff": nn.forall([x, z], where=unit & nn.box(z, -1, 1), then=(f(x)[0] > 0) == (f(z)[0] > 0)),
    "lipschitz": nn.forall(
        [x, z],
        where=unit & nn.box(z, -1, 1),
        then=nn.abs(f(x)[0] - f(z)[0]) <= 9 * nn.norm(x - z, np.inf) + 0.25,
    ),
    "closed loop": closed_loop(),
    "units": nn.forall(x, where=nn.box(x, 1000, 1100), then=f((x - 1050) / 64)[0] * 7.5 + 2 <= 1500),
    "universal": nn.exists(x, where=nn.box(x, -0.5, 0.5), then=nn.all([nn.argmax(f(x + c)) != 1 for c in np.eye(3)])),
    "curved": nn.forall(x, where=unit & (200 * x[0] >= x[1] ** 2) & (x[0] > 0), then=f(x)[0] <= 99),
}


@pytest.mark.parametrize("suffix", [".smt2", ".lp", ".mps", ".vnnlib"])
@pytest.mark.parametrize("name", CASES)
def test_every_case_in_every_format(name: str, suffix: str, tmp_path: Path) -> None:
    p, path = CASES[name], tmp_path / f"case{suffix}"
    nn.export(p, path)
    text = path.read_text()
    assert p.query.hash in text
    if suffix == ".vnnlib":
        known = {a.network.name: a.network for a in p.query.applications}
        back = nn.load_vnnlib(path, networks=known)
        assert back.declared
        assert len(back.applications) == len(p.query.applications)
        assert text.count("equal-to") == len(p.query.applications) - len(known)
