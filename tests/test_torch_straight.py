"""Modules that are read from one run: those whose code is straight, with what the exporter of the code gives."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym.ir.text import dump_network
from nnsym.read import torch as reading

torch = pytest.importorskip("torch")

from torch import nn as layers  # noqa: E402 - torch is there
from torch.nn import functional  # noqa: E402
from torch.nn.utils import parametrizations, prune  # noqa: E402

LINE, IMAGE = (1, 4), (1, 1, 6, 6)


class Own(layers.Module):
    """Some layers, and code of its own."""

    def __init__(self, code: Callable[..., Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.code, self.a, self.b = code, layers.Linear(4, 4), layers.Linear(4, 4, bias=False)
        self.conv, self.last = layers.Conv2d(1, 2, 3), layers.Linear(32, 3)
        self.pair, self.few = layers.Linear(8, 3), layers.Linear(8, 3)
        self.changing, self.drop = layers.ReLU(inplace=True), layers.Dropout()

    def forward(self, x: Any) -> Any:
        return self.code(self, x)


def pooled(m: Any, x: Any) -> Any:
    x = functional.max_pool2d(functional.relu(m.conv(x)), 2)
    return functional.log_softmax(m.few(torch.flatten(x, 1)), dim=1)


def sized(m: Any, x: Any) -> Any:
    x = m.changing(m.conv(x))
    return m.last(x.view(-1, x.shape[1] * x.size(2) * x.shape[3]))


STRAIGHT: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "residual": (lambda m, x: m.b(functional.relu(m.a(x))) + x, LINE),
    "twice": (lambda m, x: m.a(m.drop(m.a(x)).tanh()) - 0.5, LINE),
    "side by side": (lambda m, x: m.pair(torch.cat([m.a(x).relu(), 1 - x], dim=1)), LINE),
    "two outputs": (lambda m, x: (m.a(x), torch.sigmoid(m.b(x))), LINE),
    "pooled": (pooled, IMAGE),
    "sized": (sized, IMAGE),
}


def forking(m: Any, x: Any) -> Any:
    return m.a(x) if x.sum() > 0 else x


def looking(m: Any, x: Any) -> Any:
    """Straight to whoever has symbols: a symbol is no tensor."""
    return forking(m, x) if isinstance(x, torch.Tensor) else m.a(x)


def trying(m: Any, x: Any) -> Any:
    """Code that goes on after whatever a symbol raises, and after warnings that are raised."""
    try:
        return forking(m, x)
    except Exception:
        return m.a(x)


def traced(m: Any, x: Any) -> Any:
    return m.a(x) if torch.jit.is_tracing() else m.b(x)


def overwriting(m: Any, x: Any) -> Any:
    x = m.a(x)
    return x + m.changing(x)


CROOKED: dict[str, Callable[..., Any]] = {
    "forking": forking,
    "looking": looking,
    "trying": trying,
    "traced": traced,
    "overwriting": overwriting,
    "equal": lambda m, x: m.a(x) if torch.equal(x, x.abs()) else x,
    "random": lambda m, x: m.a(x) + random.random(),
    "noisy": lambda m, x: m.a(x) + torch.rand(4),
    "dropped": lambda m, x: functional.dropout(m.a(x)),
    "a parameter": lambda m, x: m.a(x) @ m.b.weight,
    "unknown": lambda m, x: functional.gelu(m.a(x)),
}


def read(module: Any, shape: tuple[int, ...]) -> Any:
    """The model of one run, or None."""
    with reading.evaluating(module), reading._quiet():
        return reading._ran(module, (torch.zeros(shape),))


@pytest.mark.parametrize("name", STRAIGHT)
def test_straight_code_is_read_from_one_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, shape = STRAIGHT[name]
    monkeypatch.setattr(reading, "_translated", None)
    f = nn.from_torch(Own(code), shape)
    assert list(f.inputs) == ["x"]
    assert len(f.outputs) == 1 + (name == "two outputs")


@pytest.mark.parametrize("name", CROOKED)
def test_other_code_is_not(name: str) -> None:
    assert read(Own(CROOKED[name]), LINE) is None


def test_what_is_done_to_a_module_is_code_of_its_own() -> None:
    class Turning(layers.Linear):
        def forward(self, x: Any) -> Any:
            return super().forward(x) if x.sum() > 0 else -super().forward(x)

    def plain() -> Any:
        return layers.Sequential(layers.Linear(4, 3), layers.Sequential(layers.ReLU(), layers.Dropout()))

    assert read(plain(), LINE) is not None
    assert read(layers.Linear(4, 3), LINE) is not None
    own, replaced, hooked, before, weighed, pruned = (plain() for _ in range(6))
    own[0] = Turning(4, 3)
    replaced[1].forward = lambda x: x if x.sum() > 0 else -x
    hooked[1][0].register_forward_hook(lambda _module, _given, found: found.sum() > 0)
    before[0].register_forward_pre_hook(lambda _module, given: given[0].sum() > 0)
    parametrizations.weight_norm(weighed[0])
    prune.random_unstructured(pruned[0], "weight", 0.5)  # type: ignore[no-untyped-call]
    for module in (own, replaced, hooked, before, weighed, pruned, layers.Sequential(layers.GELU())):
        assert read(module, LINE) is None
    everywhere = layers.modules.module.register_module_forward_hook(lambda _module, _given, found: found)
    try:
        assert read(plain(), LINE) is None
    finally:
        everywhere.remove()


def random_chain(rng: np.random.Generator) -> tuple[Any, tuple[int, ...]]:
    """An image's or a vector's network of torch's own layers."""
    torch.manual_seed(int(rng.integers(1 << 30)))
    curves = (layers.ReLU, layers.Tanh, layers.Sigmoid, lambda: layers.LeakyReLU(0.2), layers.Identity, layers.Dropout)
    parts: list[Any] = []
    width = int(rng.integers(1, 5))
    shape: tuple[int, ...] = (1, 0)
    if rng.random() < 0.5:
        shape = (1, 1, 6, 6)
        parts += [layers.Conv2d(1, 2, 3, stride=int(rng.integers(1, 3)), padding=1), curves[rng.integers(6)]()]
        parts += [(layers.MaxPool2d, layers.AvgPool2d)[rng.integers(2)](2), layers.Flatten()]
        width = layers.Sequential(*parts)(torch.zeros(shape)).numel()
    shape = shape if shape[1] else (1, width)
    for _ in range(int(rng.integers(1, 4))):
        after = int(rng.integers(1, 5))
        parts += [layers.Linear(width, after, bias=bool(rng.random() < 0.8)), curves[rng.integers(6)]()]
        width = after
    ends = (layers.Identity, lambda: layers.Softmax(-1), lambda: layers.LogSoftmax(-1))
    parts += [layers.Linear(width, 3), ends[rng.integers(3)]()]
    return layers.Sequential(*parts), shape


@pytest.mark.slow
@pytest.mark.parametrize("case", [*STRAIGHT, *range(12)])
def test_a_run_says_what_the_code_does(case: str | int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same network, with the same names: whose code it is, or a chain of torch's own layers."""
    if isinstance(case, str):
        code, shape = STRAIGHT[case]
        module: Any = Own(code)
    else:
        module, shape = random_chain(np.random.default_rng(case))
    quick = nn.from_torch(module, shape)
    monkeypatch.setattr(reading, "_ran", lambda *_: None)
    whole = nn.from_torch(module, shape)
    assert dump_network(quick) == dump_network(whole)
    assert (list(quick.inputs), list(quick.outputs)) == (list(whole.inputs), list(whole.outputs))
    hidden = {name for name in whole.tensors if "view" not in name}
    assert hidden <= set(quick.tensors)
