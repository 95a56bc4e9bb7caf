"""Losses of properties: bounds that the engine has, gradients that differences have, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn as layers

import nnsym as nn
from nnsym.bounds.engine.backward.linear import crown
from nnsym.bounds.methods import compute
from nnsym.bounds.sources import LowerSlope
from nnsym.ir.network import Network
from nnsym.lang.property import Property
from nnsym.read.torch import unchecked
from nnsym.train.tags import Tags

Family = Callable[[Network], Property]


class Residual(layers.Module):
    """A skip connection, a slope per channel that is a parameter, and smooth functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = layers.Linear(4, 5), layers.Linear(5, 5), layers.Linear(5, 2)
        self.kink = layers.PReLU(5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.kink(self.first(x))
        return self.last(h + torch.tanh(self.second(h)) * torch.sigmoid(h))


class Distance(layers.Module):
    """Weights that the graph holds negated."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.last = layers.Parameter(torch.randn(5, 4)), layers.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last((x[:, None, :] - self.weight[None]).abs().amax(-1))


def convolutions() -> layers.Module:
    return layers.Sequential(
        layers.Unflatten(1, (1, 6, 6)),
        layers.Conv2d(1, 2, 3, stride=2, padding=1),
        layers.ReLU(),
        layers.Conv2d(2, 3, 3, padding=1),
        layers.ReLU(),
        layers.MaxPool2d(2, 1),
        layers.Flatten(),
        layers.Linear(12, 2),
    )


NETS = {"residual": (Residual, 4), "distance": (Distance, 4), "convolutions": (convolutions, 36)}


def mlp(*widths: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> layers.Sequential:
    torch.manual_seed(seed)
    made: list[layers.Module] = []
    for a, b in pairwise(widths):
        made += [layers.Linear(a, b), layers.ReLU()]
    return layers.Sequential(*made[:-1]).to(dtype)


def mixed(size: int) -> Family:
    """A formula with an "or" of an "and"."""

    def stated(f: Network) -> Property:
        x = nn.Variable(size)
        y = f(x).ravel()
        return nn.forall(x, where=nn.box(x, -0.5, 0.7), then=(y[0] >= y[1] + 0.5) | ((y[0] <= 1) & (y[1] <= 2)))

    return stated


def label_wins(f: Network) -> Sequence[Property]:
    x = nn.Variable(4)
    y = f(x).ravel()
    return [nn.forall(x, where=nn.box(x, 0, 1), then=nn.wins(y, k)) for k in range(3)]


@pytest.mark.parametrize(("bounds", "lower"), [("fastlin-ibp", "parallel"), ("crown-ibp", "adaptive")])
@pytest.mark.parametrize("seed", range(4))
def test_lines_of_hinges_are_the_engines(bounds: str, lower: LowerSlope, seed: int) -> None:
    torch.manual_seed(seed)
    kinks = [layers.PReLU(6, init=-0.7 + 0.8 * seed), layers.LeakyReLU(0.1), layers.ReLU()]  # concave above 1
    module = layers.Sequential(layers.Linear(4, 6), kinks[seed % 3], layers.Linear(6, 6), kinks[0], layers.Linear(6, 2))
    module = module.double()
    loss = nn.train.Loss(mixed(4), module, (1, 4), bounds=bounds)
    query = mixed(4)(unchecked(module, (1, 4), traced=True)).query
    low, high = query.boxes[query.inputs[0]].outer
    mine = loss.rows((low[None], high[None])).detach().numpy()[0]
    engines = crown(query, lower=lower, hidden=False).rows.lower
    np.testing.assert_allclose(np.maximum(mine, compute(query, "ibp").rows.lower), engines, atol=1e-9)


def test_a_module_of_which_one_run_tells_too_little_is_read_from_its_code() -> None:
    class Turns(layers.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = layers.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.first(x)
            return y if float(x.sum()) > 0 else -y

    with pytest.raises(nn.UnsupportedError, match="might cause the trace to be incorrect"):
        unchecked(Turns(), (1, 4), traced=True)
    with pytest.raises(nn.UnsupportedError, match=r"data-dependent|Could not"):
        nn.train.Loss(mixed(4), Turns(), (1, 4))


@pytest.mark.parametrize(
    ("net", "bounds", "source"),
    [
        pytest.param("residual", "ibp", "ibp-merged", marks=pytest.mark.slow),
        pytest.param("residual", "crown", "crown", marks=pytest.mark.slow),
        ("distance", "ibp", "ibp-merged"),
        pytest.param("convolutions", "crown-ibp", "crown-ibp", marks=pytest.mark.slow),
        pytest.param("convolutions", "crown", "crown", marks=pytest.mark.slow),
    ],
)
def test_bounds_are_the_engines_and_gradients_those_of_differences(net: str, bounds: str, source: str) -> None:
    torch.manual_seed(0)
    make, size = NETS[net]
    module = make().double()
    loss = nn.train.Loss(mixed(size), module, (1, size), bounds=bounds, goal=30.0, cells=3)
    fixed = mixed(size)(unchecked(module, (1, size))).query
    low, high = fixed.boxes[fixed.inputs[0]].outer
    mine, engines = loss.rows((low[None], high[None])).detach().numpy()[0], compute(fixed, source).rows.lower
    assert (mine <= engines + 1e-9).all()  # the engine meets lines with intervals
    if net == "residual":
        np.testing.assert_allclose(mine, engines, atol=1e-9)
    loss().backward()
    for parameter in module.parameters():
        assert parameter.grad is not None
        along, step = torch.randn_like(parameter), 1e-6
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * step * along)
            values.append(float(loss().detach()))
            with torch.no_grad():
                parameter.sub_(sign * step * along)
        slope = (values[0] - values[1]) / (2 * step)
        assert float((parameter.grad * along).sum()) == pytest.approx(slope, rel=1e-5, abs=1e-5)


def written_by_hand(
    module: layers.Sequential, low: torch.Tensor, high: torch.Tensor, label: torch.Tensor
) -> torch.Tensor:
    """Gowal's loss: intervals forward, the last layer merged into the margins, cross-entropy of the worst scores."""
    linear = [layer for layer in module if isinstance(layer, layers.Linear)]
    for layer in linear[:-1]:
        centre, radius = (low + high) / 2 @ layer.weight.T + layer.bias, (high - low) / 2 @ layer.weight.abs().T
        low, high = (centre - radius).relu(), (centre + radius).relu()
    weight, bias = linear[-1].weight, linear[-1].bias
    apart = weight[label][:, None] - weight[None]
    worst = torch.einsum("bkn,bn->bk", apart, (low + high) / 2) - torch.einsum(
        "bkn,bn->bk", apart.abs(), (high - low) / 2
    )
    worst = worst + bias[label][:, None] - bias[None]
    return torch.nn.functional.cross_entropy(-worst, label)  # the label's own margin is 0


def test_training_by_the_engine_is_training_by_hand() -> None:
    rng = torch.Generator().manual_seed(3)
    x, label = torch.rand(20, 4, generator=rng, dtype=torch.float64), torch.randint(0, 3, (20,), generator=rng)
    low, high = (x - 0.1).clamp(0, 1), (x + 0.1).clamp(0, 1)
    ours, theirs = mlp(4, 8, 6, 3), mlp(4, 8, 6, 3)
    loss = nn.train.Loss(label_wins, ours, (1, 4), bounds="ibp", smooth=True)
    steps = [torch.optim.Adam(m.parameters(), lr=1e-2) for m in (ours, theirs)]
    for _ in range(20):
        values = [loss((low, high), case=label), written_by_hand(theirs, low, high, label)]
        assert float(values[0].detach()) == pytest.approx(float(values[1].detach()), abs=1e-6)
        for value, step in zip(values, steps, strict=True):
            step.zero_grad()
            value.backward()
            step.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_property_of_a_network_that_was_read_is_the_same_loss() -> None:
    module = mlp(4, 6, 2, dtype=torch.float32)
    with torch.no_grad():
        module[0].bias.zero_()  # as many do: equal numbers are told apart by their places
        module[2].bias.zero_()
    by_family = nn.train.Loss(mixed(4), module, (1, 4), goal=5.0)
    by_property = nn.train.Loss(mixed(4)(nn.from_torch(module, (1, 4))), module, goal=5.0)
    assert float(by_family().detach()) == float(by_property().detach())
    by_property().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


@pytest.mark.slow
def test_what_a_precondition_rules_out_costs_nothing() -> None:
    module = mlp(2, 4, 1, dtype=torch.float32)

    def stated(f: Network) -> Property:
        x = nn.Variable(2)
        return nn.forall(x, where=nn.box(x, -1, 1) & (x[0] + x[1] >= 1), then=f(x).ravel()[0] >= 100)

    loss = nn.train.Loss(stated, module, (1, 2), bounds="crown", cells=16)
    found = loss.margins()
    assert len(found) == 16
    assert (found > 1e6).sum() == 10  # x0 + x1 < 1 on these
    assert (found < -50).sum() == 6
    near = nn.train.Loss(stated, module, (1, 2), bounds="attack", cells=16)
    assert 0 < float(near().detach()) <= float(loss().detach())
    whole = (np.array([[-1.0, -1.0]]), np.array([[1.0, 1.0]]))
    small = nn.train.Loss(stated, module, (1, 2), bounds="sabr:0.1")(whole)
    assert float(small.detach()) < float(nn.train.Loss(stated, module, (1, 2))(whole).detach())


def test_what_cannot_be_followed_is_refused_by_name() -> None:
    def tame(f: Network) -> Property:
        x = nn.Variable(3)
        return nn.forall(x, where=nn.box(x, 0, 1), then=f(x).ravel()[0] <= 1)

    normalised = layers.Sequential(layers.Linear(3, 3), layers.BatchNorm1d(3), layers.Linear(3, 1))
    with pytest.raises(nn.UnsupportedError, match=r"computed from parameters.*batch normalisation"):
        nn.train.Loss(tame, normalised, (1, 3))
    module = mlp(3, 2, 1, dtype=torch.float32)
    module.register_parameter("spare", layers.Parameter(torch.ones(2)))
    with pytest.raises(nn.UnsupportedError, match="no layer of the network holds spare"):
        nn.train.Loss(tame, module, (1, 3))


def test_options_out_of_range_are_refused_in_words() -> None:
    module = mlp(4, 2, dtype=torch.float32)
    for bounds in ("crwon", "sabr:2", "mtl", "mtl:x"):
        with pytest.raises(nn.InputError, match=r"computed from|names no part of 1"):
            nn.train.Loss(mixed(4), module, (1, 4), bounds=bounds)
    with pytest.raises(nn.InputError, match="cells"):
        nn.train.Loss(mixed(4), module, (1, 4), cells=0)
    with pytest.raises(nn.InputError, match="input_shape"):
        nn.train.Loss(mixed(4), module)
    with pytest.raises(nn.UnsupportedError, match="forall"):
        nn.train.Loss(
            lambda f: nn.exists(x := nn.Variable(4), where=nn.box(x, 0, 1), then=f(x).ravel()[0] >= 0), module, (1, 4)
        )
    loss = nn.train.Loss(mixed(4), module, (1, 4))
    with pytest.raises(nn.InputError, match="boxes of shapes"):
        loss((np.zeros((2, 3)), np.ones((2, 3))))
    with pytest.raises(nn.InputError, match="2 cases for 1 boxes"):
        loss((np.zeros((1, 4)), np.ones((1, 4))), case=[0, 0])
    for case in ([1], [0.5], [float("nan")], "a"):
        with pytest.raises(nn.InputError, match="cases"):
            loss((np.zeros((1, 4)), np.ones((1, 4))), case=case)
    ends = (np.ones((1, 4)), np.zeros((1, 4))), (np.full((1, 4), np.nan), np.ones((1, 4))), (np.zeros((0, 4)),) * 2
    for boxes in (*ends, (np.zeros((1, 4)), np.full((1, 4), np.inf)), "ab", (np.zeros((1, 4)),) * 3):
        with pytest.raises(nn.InputError, match="boxes"):
            loss(boxes)
    for options in ({"goal": "a"}, {"goal": np.nan}, {"seed": "a"}, {"seed": -1}, {"cells": 10**12}):
        with pytest.raises(nn.InputError, match=next(iter(options))):
            nn.train.Loss(mixed(4), module, (1, 4), **options)


def test_a_module_is_left_as_it_was() -> None:
    module = mlp(4, 3, 2, dtype=torch.float32)
    module.train()
    before = [p.detach().clone() for p in module.parameters()]
    nn.train.Loss(mixed(4), module, (1, 4))
    assert module.training
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_tags_are_distinct_and_found_through_signs_and_order() -> None:
    tags = Tags(mlp(30, 40, 3))
    assert len(np.unique(tags.numbers)) == len(tags.numbers) == 30 * 40 + 40 + 40 * 3 + 3
    copies = tags.copies(np.array([-tags.numbers[5], 1.5, tags.numbers[0], 0.0]), "here")
    assert copies is not None
    assert copies.index.tolist() == [5, -1, 0, -1]
    assert copies.sign.tolist() == [-1, 1, 1, 0]
    assert tags.copies(np.array([1.0, -2.0]), "here") is None
