"""Planes above the shares of a softmax: valid as they are stored, and tight where they may be."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import torch

from nnsym.bounds.engine.backward.linear import crown
from nnsym.bounds.engine.backward.shares import exponents, plane
from nnsym.ir.functions.exponentials import Exp
from nnsym.ir.functions.powers import Reciprocal
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.softmax import softmax
from nnsym.testing.bound_queries import about


@pytest.mark.parametrize("spread", [0.0, 1e-9, 0.1, 3.0, 40.0])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_plane_lies_above_the_share_and_touches_it_in_the_middle_of_a_narrow_box(count, spread):
    random = np.random.default_rng(count)
    for _ in range(50):
        centre = random.normal(0, 3, count)
        low, high = centre - spread * random.random(count), centre + spread * random.random(count)

        def share(d):
            return 1.0 / (1.0 + np.exp(d).sum(-1))

        middle = 0.5 * low + 0.5 * high
        slopes, offset = plane(*map(torch.tensor, (middle, share(high), share(low))))
        points = np.concatenate((random.uniform(low, high, (200, count)), [low, high, middle]))
        gaps = points @ slopes.numpy() + offset.item() - share(points)
        assert (gaps >= 0).all()
        if spread <= 0.1:
            assert gaps[-1] <= share(middle) * spread**2 + 1e-11


def test_the_offset_is_what_the_entropy_says():
    """Of the chord's slope c and any q: ``max(l - c log l, u - c log u) + c sum q log q``, q_0 included."""
    slopes, offset = plane(torch.tensor([0.3, -1.0]), torch.tensor(0.2).double(), torch.tensor(0.6).double())
    steep = 0.4 / np.log(3.0)
    q = np.exp([0.0, 0.3, -1.0]) / np.exp([0.0, 0.3, -1.0]).sum()
    assert slopes.numpy() == pytest.approx(-steep * q[1:], rel=1e-6)
    assert offset.item() == pytest.approx(0.2 - steep * np.log(0.2) + steep * (q * np.log(q)).sum(), rel=1e-6)


def test_shares_are_told_from_what_only_looks_like_them():
    x = new_input("x", 6)
    d, index = exponents(softmax(x, np.arange(6).reshape(2, 3)))
    assert d.size == index.numel() == 12
    powers = pointwise(Exp(), x)
    for weight, bias in ((np.ones((2, 6)), 2.0), (np.full((2, 6), 2.0), 1.0), (np.tril(np.ones((2, 6))), 1.0)):
        assert exponents(pointwise(Reciprocal(), affine(((Dense(weight), powers),), bias))) is None
    assert exponents(powers) is None
    assert exponents(pointwise(Reciprocal(), x)) is None


@pytest.mark.parametrize("k", [3, 6])
def test_bounds_of_a_softmax_are_tighter_than_by_exponential_and_reciprocal_alone(k, monkeypatch):
    random = np.random.default_rng(0)
    x = new_input("x", 4)
    y = softmax(affine(((Dense(random.normal(size=(k, 4))), x),)), np.arange(k)[None])
    query = about("share", y, x, np.full(4, -0.5), np.full(4, 0.5))
    with_plane = crown(query).rows
    monkeypatch.setattr(
        import_module("nnsym.bounds.engine.backward.linear"), "below_shares", lambda node, lines, ranges: lines
    )
    without = crown(query).rows
    assert (with_plane.upper <= without.upper + 1e-12).all()
    assert (with_plane.upper - with_plane.lower).mean() < 0.99 * (without.upper - without.lower).mean()
