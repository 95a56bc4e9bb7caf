"""What a search or a program of all layers would take is told from their coefficients, before any of it is made."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

import nnsym as nn
from nnsym.ir.convolution import Conv
from tests.models import model

#: A convolution of 3 million coefficients, of whose matrix nobody may ask.
SHAPE, MEMORY = (1, 8, 32, 32), 2**26


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> nn.Network:
    monkeypatch.setattr(Conv, "csr", None)
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["h"]),
        helper.make_node("GlobalAveragePool", ["h"], ["m"]),
        helper.make_node("ReduceSum", ["m"], ["y"]),
    ]
    weight = rng.normal(size=(8, 8, 9, 9)).astype(np.float32)
    return nn.load(model(nodes, {"x": SHAPE}, ["y"], {"w": weight}))


def asked(f: nn.Network, bound: float) -> nn.Property:
    x = nn.Variable(SHAPE, name="x")
    return nn.forall(x, where=nn.box(x, 0.0, 0.01), then=f(x) <= bound)


@pytest.mark.slow
def test_a_search_that_would_not_fit_is_not_begun_and_others_are_asked(network: nn.Network) -> None:
    result = nn.verify(asked(network, 1e6), "bab", memory=MEMORY)
    assert (result.status.value, result.reason) == ("unknown", "memory")
    assert any("matrices would take" in step.note for step in result.trail if step.name == "search")
    result = nn.verify(asked(network, 1e6), nn.portfolio(["bab", "ibp"]), memory=MEMORY)
    assert result.status.value == "verified"
    x = nn.Variable(SHAPE, name="x")
    least = nn.minimize(network(x).sum(), "bab", where=nn.box(x, 0.0, 0.01), memory=MEMORY)
    assert least.lower == -np.inf


def test_a_program_that_would_not_fit_is_not_begun(network: nn.Network) -> None:
    result = nn.verify(asked(network, 0.0), "bigm", bounds="ibp", memory=MEMORY)
    assert (result.status.value, result.reason) == ("unknown", "memory")
