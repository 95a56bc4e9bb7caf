from __future__ import annotations

import numpy as np
import pytest

import nnsym
from nnsym.errors import InputError, UnsupportedError
from nnsym.read.torch import from_torch

torch = pytest.importorskip("torch")
nn = torch.nn


class Residual(nn.Module):
    """Convolution, normalisation, pooling, a skip, a view, and a second output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4)
        self.skip, self.pool = nn.Conv2d(4, 4, 1, bias=False), nn.AvgPool2d(2)
        self.drop, self.last = nn.Dropout(0.5), nn.Linear(16, 3)

    def forward(self, x):
        h = torch.relu(self.norm(self.conv(x)))
        h = self.pool(h + nn.functional.leaky_relu(self.skip(h), 0.1))
        h = h.view(h.shape[0], -1)
        return self.last(self.drop(nn.functional.relu6(h))), h.mean(dim=1)


def values(network, module, *points):
    with torch.no_grad():
        expected = module(*map(torch.from_numpy, points))
    found = network.evaluate(*points)
    for a, b in zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]:
        np.testing.assert_allclose(a, b.numpy().reshape(a.shape), rtol=1e-4, atol=1e-5)


def test_a_residual_network_and_its_training_flags(capfd):
    torch.manual_seed(0)
    module = Residual()
    module.norm.running_mean.normal_()
    module.norm.running_var.uniform_(0.5, 2)
    module.skip.eval()
    network = from_torch(module, (1, 2, 8, 8), name="res")
    captured = capfd.readouterr()
    assert not captured.out
    assert not captured.err
    assert (module.training, module.conv.training, module.skip.training) == (True, True, False)
    assert network.name == "res"
    assert network.model
    assert network.dtype == "float32"
    assert [t.shape for t in network.outputs.values()] == [(1, 3), (1,)]
    module.eval()
    values(network, module, np.random.default_rng(0).normal(size=(1, 2, 8, 8)).astype(np.float32))


def test_float64_and_several_inputs():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 4, dtype=torch.float64)

        def forward(self, x, z):
            return torch.tanh(self.a(x)) - torch.abs(z)

    module = Two()
    network = from_torch(module, [(1, 3), (1, 4)])
    assert network.name == "Two"
    assert network.dtype == "float64"
    random = np.random.default_rng(1)
    values(network, module, random.normal(size=(1, 3)), random.normal(size=(1, 4)))


def test_errors():
    linear = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(InputError, match=r"Sequential: cannot be called on shape \(1, 4\)"):
        from_torch(linear, (1, 4))
    with pytest.raises(InputError, match="is not a shape"):
        from_torch(linear, 3)
    with pytest.raises(InputError, match="below 1"):
        from_torch(linear, (0, 3))
    with pytest.raises(InputError, match="str is not a torch"):
        from_torch("net.pt", (1, 3))
    assert linear.training


class Probabilities(nn.Module):
    """A softmax that is no module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        return nn.functional.softmax(self.last(torch.relu(self.first(x))), dim=1)


def test_a_softmax_at_the_end_is_dropped_where_it_is_asked_for():
    torch.manual_seed(0)
    module = Probabilities()
    network = from_torch(module, torch.zeros(1, 4), drop_softmax=True)
    assert list(network.outputs) == ["scores"]
    points = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    with torch.no_grad():
        scores = module.last(torch.relu(module.first(torch.from_numpy(points)))).numpy()
        chances = module(torch.from_numpy(points)).numpy()
    found = network.evaluate(points)
    assert found.shape == (20, 3)
    np.testing.assert_allclose(found, scores, rtol=1e-5, atol=1e-6)
    assert (found.argmax(1) == chances.argmax(1)).all()
    assert network.evaluate(points[:, None]).shape == (20, 1, 3)
    with pytest.raises(InputError, match="no softmax to drop: it ends in Gemm"):
        from_torch(module.last, (1, 5), drop_softmax=True)


class Forking(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


def test_a_refusal_is_the_message_alone(capfd):
    with pytest.raises(UnsupportedError, match=r"torch.onnx.export fails.*data-dependent"):
        from_torch(Forking(), (1, 4))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_a_model_says_nothing_of_the_machine_it_was_made_on():
    """The exporter's call stacks name files and folders of whoever exported."""
    import torch

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    data = bytes(from_torch(module, (1, 2, 2)).model)
    assert b"site-packages" not in data
    assert b".py" not in data


def test_a_chain_has_the_names_of_its_layers():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    network = from_torch(module, (1, 1, 4, 4), name="chain")
    assert (list(network.inputs), list(network.outputs)) == (["input"], ["linear_1"])
    at = network(nnsym.Variable((1, 1, 4, 4), name="x"))
    assert [at.hidden(name).pre.shape for name in ("relu", "relu_1")] == [(1, 2, 2, 2), (1, 4)]
    values(network, module, np.random.default_rng(0).normal(size=(1, 1, 4, 4)).astype(np.float32))
