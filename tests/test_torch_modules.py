"""What users bring from torch: common networks, attention, recurrent cells unrolled, a free batch axis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds.engine.backward.linear import crown

torch = pytest.importorskip("torch")

from torch import nn as layers  # noqa: E402 - torch is there

pytestmark = pytest.mark.slow


class Unrolled(layers.Module):
    """Three steps of a recurrent cell, then a linear layer."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell, self.leave = cell(2, 4), layers.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        state: Any = torch.zeros(1, 4)
        if isinstance(self.cell, layers.LSTMCell):
            state = (state, state)
        for step in range(3):
            state = self.cell(x[:, step], state)
        return self.leave(state[0] if isinstance(state, tuple) else state)


class Attending(layers.Module):
    """Two heads over the tokens of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = layers.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.attention(x, x, x, need_weights=False)[0]


class Residual(layers.Module):
    """A residual block with batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = layers.Conv2d(1, 1, 3, padding=1), layers.BatchNorm2d(1)

    def forward(self, x: Any) -> Any:
        return torch.relu(x + self.two(self.one(x))).flatten(1)


def chain(*parts: Any) -> Any:
    return layers.Sequential(layers.Linear(3, 5), *parts, layers.Linear(5, 2))


def ended(part: Any) -> Any:
    return layers.Sequential(layers.Linear(3, 5), layers.ReLU(), layers.Linear(5, 3), part)


def image(*parts: Any) -> Any:
    return layers.Sequential(layers.Conv2d(1, 2, 3), *parts, layers.Flatten())


MODULES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "mlp": (lambda: chain(layers.ReLU()), (1, 3)),
    "cnn": (lambda: image(layers.ReLU()), (1, 1, 6, 6)),
    "bn": (lambda: chain(layers.BatchNorm1d(5), layers.ReLU()), (1, 3)),
    "maxpool": (lambda: image(layers.ReLU(), layers.MaxPool2d(2)), (1, 1, 6, 6)),
    "silu": (lambda: chain(layers.SiLU()), (1, 3)),
    "tanh": (lambda: chain(layers.Tanh()), (1, 3)),
    "leaky": (lambda: chain(layers.LeakyReLU(0.1)), (1, 3)),
    "prelu": (lambda: chain(layers.PReLU()), (1, 3)),
    "resnet": (Residual, (1, 1, 5, 5)),
    "softmax": (lambda: ended(layers.Softmax(-1)), (1, 3)),
    "logsoftmax": (lambda: ended(layers.LogSoftmax(-1)), (1, 3)),
    "gelu": (lambda: chain(layers.GELU()), (1, 3)),
    "layernorm": (lambda: chain(layers.LayerNorm(5), layers.ReLU()), (1, 3)),
    "elu": (lambda: chain(layers.ELU()), (1, 3)),
    "hardswish": (lambda: chain(layers.Hardswish()), (1, 3)),
    "softplus": (lambda: chain(layers.Softplus()), (1, 3)),
    "attention": (Attending, (1, 3, 4)),
    "encoder": (lambda: layers.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True), (1, 3, 4)),
    "rnn": (lambda: Unrolled(layers.RNNCell), (1, 3, 2)),
    "gru": (lambda: Unrolled(layers.GRUCell), (1, 3, 2)),
    "lstm": (lambda: Unrolled(layers.LSTMCell), (1, 3, 2)),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_read_right_and_bounded(name: str) -> None:
    make, shape = MODULES[name]
    torch.manual_seed(0)
    module = make().eval()
    f, x = nn.from_torch(module, shape), nn.Variable(shape, name="x")
    random = np.random.default_rng(0)
    points = random.uniform(-0.1, 0.1, (20, *shape)).astype(np.float32)
    with torch.no_grad():
        wanted = np.array([module(torch.tensor(point)).numpy().ravel() for point in points], dtype=float)
    found = np.array([np.ravel(f.evaluate(point.astype(float))) for point in points])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    ends = np.full(shape, 0.1)
    rows = crown(nn.forall(x, where=nn.box(x, -ends, ends), then=nn.all(f(x) >= 0)).query).rows
    assert (rows.lower <= wanted.min(0) + 1e-6).all()
    assert (rows.upper >= wanted.max(0) - 1e-6).all()
    assert np.isfinite(rows.lower).all()
    assert np.isfinite(rows.upper).all()


def test_a_free_batch_axis_of_the_new_exporter_is_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, path = chain(layers.ReLU()).eval(), tmp_path / "free.onnx"
    free = {"input": {0: torch.export.Dim("batch")}}
    torch.onnx.export(module, (torch.zeros(2, 3),), dynamo=True, dynamic_shapes=free, verbose=False).save(path)
    f = nn.load(path)
    point = np.array([[0.5, -0.25, 1.0]])
    with torch.no_grad():
        wanted = module(torch.tensor(point, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(f.evaluate(point), wanted, rtol=1e-5, atol=1e-6)
