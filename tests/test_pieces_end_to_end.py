"""Clip and sign from where they are written to the verdict: models, modules, properties, replay, jumps."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from onnx import helper

import nnsym as nn
from nnsym.bounds.methods import compute
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.errors import UnsupportedError
from nnsym.ir.node import Max, Pointwise
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.judge.method import Settings
from nnsym.judge.programs.methods import program
from nnsym.judge.programs.solving import judge_program
from nnsym.read.onnx import load
from nnsym.results.clock import Clock
from tests.models import agrees, f32, model, single
from tests.test_write_vnnlib import same

node = helper.make_node


def functions(network: nn.Network) -> list[str]:
    return [n.fn.name for n in network.nodes if isinstance(n, Pointwise)]


def layered(*activation, **attributes):
    """Two dense layers with one activation between them, as ONNX."""
    constants = {"w": f32(3, 4, seed=1), "b": f32(4, seed=2), "v": f32(4, 2, seed=3)}
    constants |= {f"c{k}": np.float32(c) for k, c in enumerate(activation[1:])}
    inputs = ["h", *(f"c{k}" for k in range(len(activation) - 1))]
    nodes = [
        node("Gemm", ["x", "w", "b"], ["h"], name="one"),
        node(activation[0], inputs, ["a"], name="act", **attributes),
        node("MatMul", ["a", "v"], ["y"], name="two"),
    ]
    return model(nodes, {"x": (1, 3)}, ["y"], constants)


def test_operators_become_one_node():
    assert functions(agrees(single("Clip", (2, 3), np.float32(0), np.float32(6)))) == ["clip"]
    assert functions(agrees(single("Sign", (2, 3)))) == ["sign"]
    assert functions(agrees(single("HardSigmoid", (2, 3)))) == ["clip"]
    one_sided = agrees(single("Clip", (2, 3), np.float32(0.25)))
    assert all(isinstance(n.fn, Hinge) for n in one_sided.nodes if isinstance(n, Pointwise))


def test_limits_are_the_stored_float32_numbers():
    (clip,) = (
        n.fn for n in load(single("Clip", (1, 1), np.float32(0.1), np.float32(0.7))).nodes if isinstance(n, Pointwise)
    )
    assert isinstance(clip, Piecewise)
    assert clip.breaks.tolist() == [[float(np.float32(0.1)), float(np.float32(0.7))]]
    assert not clip.jumps


def test_sign_at_zero_is_that_of_the_runtime():
    network = load(single("Sign", (1, 3)), check=False)
    np.testing.assert_array_equal(network.evaluate(np.array([[-1e-30, 0.0, 1e-30]])), [[-1, 0, 1]])


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (torch.nn.ReLU6(), ["clip"]),
        pytest.param(torch.nn.Hardtanh(-0.3, 0.7), ["clip"], marks=pytest.mark.slow),
        pytest.param(torch.nn.Hardsigmoid(), ["clip"], marks=pytest.mark.slow),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, torch.nn.Module) else "",
)
def test_modules(module, names):
    torch.manual_seed(0)
    network = nn.from_torch(torch.nn.Sequential(torch.nn.Linear(3, 4), module, torch.nn.Linear(4, 2)), (1, 3))
    assert functions(network) == names


def test_torch_functions():
    class Net(torch.nn.Module):
        def forward(self, x):
            return torch.sign(x) + torch.clamp(x, -0.25, 0.5)

    assert sorted(functions(nn.from_torch(Net(), (1, 3)))) == ["clip", "sign"]


@pytest.mark.parametrize("activation", [("Clip", -0.3, 0.6), ("Sign",), ("HardSigmoid",)], ids=lambda a: a[0])
def test_counterexamples_are_confirmed_by_the_runtime(activation):
    f = load(layered(*activation), name="f")
    x = nn.Variable((1, 3), name="x")
    y = f(x)[0]
    where = nn.box(x, -1, 1)
    span = nn.maximize(y[0] - y[1], where=where)
    wide = (span.upper - span.lower) + 0.5
    p = nn.forall(x, where=where, then=y[0] - y[1] <= span.lower - wide / 10, name="false")
    q = nn.forall(x, where=where, then=y[0] - y[1] <= span.upper + 0.01, name="true")
    for method in ("bigm", "balas", "smt"):
        found = nn.verify(p, method)
        assert found.status.value == "falsified"
        assert found.counterexample.replayed_by == "onnxruntime"
        assert nn.verify(q, method).status.value == "verified"


@pytest.mark.parametrize("activation", ["relu6", "hard_tanh", "sign"])
def test_networks_from_arrays(activation):
    layers = [([[3.0, -2.0], [1.0, 4.0]], [0.5, 0.0]), ([[1.0, -1.0]], [0.25])]
    f = nn.sequential(layers, activation=activation)
    assert functions(f) == [activation]
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] <= 2, name="p")
    verdicts = {m: nn.verify(p, m).status.value for m in ("bigm", "balas", "smt", "smt-ite")}
    assert len(set(verdicts.values())) == 1, verdicts


def jump(strict: bool = False) -> nn.Property:
    """relu(x) - relu(-x) - x is 0, which no encoding of single neurons knows; its sign is 0, not -1."""
    x = nn.Variable(1, name="x")
    y = nn.sign(nn.relu(x) - nn.relu(-x) - x)[0]
    return nn.forall(x, where=nn.box(x, -1, 2), then=y > -1 if strict else y >= 0, name="jump")


@pytest.mark.parametrize("encoding", ["bigm", "balas"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_violation_of_the_closure_only_is_no_verdict(encoding, strict):
    """The program's point has y = -1 at h = 0. It is not confirmed, and nothing is claimed."""
    method = program(encoding, solver="highs")
    result = judge_program(jump(strict).query, method, Clock(30.0), Settings())
    assert result.status.value == "unknown"
    assert result.reason in ("jump", "within_rounding")
    assert result.counterexample is None


def test_the_jump_is_decided_in_rationals():
    result = nn.verify(jump(), "bigm")
    assert (result.status.value, result.trust.value) == ("verified", "exact")
    assert "exact re-check" in result.reason
    for encoding in ("smt", "smt-textbook", "smt-ite", "smt-implies"):
        assert nn.verify(jump(), encoding).status.value == "verified"
        assert nn.verify(jump(True), encoding).status.value == "verified"
    assert nn.verify(jump(), "triangle").status.value == "unknown"


@pytest.mark.parametrize(
    ("low", "high", "limit", "holds"),
    [(0, 1, 0, True), (-1, 1, 0, False), (0, 1, 1, False), ("1e-30", 1, 1, True), (-1, 0, -1, True), (-1, 0, 1, False)],
)
def test_sign_at_and_next_to_zero(low, high, limit, holds):
    """Exact methods tell [0, 1] from (0, 1] and never contradict the others."""
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, low, high), then=nn.sign(x)[0] >= limit, name="p")
    for method in ("crown", "triangle", "bigm", "balas", "smt", "smt-ite"):
        said = nn.verify(p, method).status.value
        assert said in (("verified", "unknown") if holds else ("falsified", "unknown")), method
        assert said != "unknown" or method in ("crown", "triangle"), method


@pytest.mark.parametrize("method", ["smt", "smt-textbook", "smt-ite", "smt-implies"])
def test_the_limit_at_an_end_of_the_domain_is_no_value(method):
    """Over [0, 1] the line y = 1 begins at l itself, and is open there."""
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, 0, 1), then=(nn.sign(x)[0] <= 0) | (x[0] > 0), name="end")
    assert nn.verify(p, method).status.value == "verified"


def test_a_sign_of_rounding_noise_does_not_refuse_a_model():
    """(x + 10000) - 10000 - x is 0, and noise in float32, whose sign is anything."""
    big = np.float32(10000)
    nodes = [
        node("Add", ["x", "big"], ["a"]),
        node("Sub", ["a", "big"], ["b"]),
        node("Sub", ["b", "x"], ["h"]),
        node("Sign", ["h"], ["y"]),
    ]
    assert "sign" in functions(load(model(nodes, {"x": (1, 4)}, ["y"], {"big": big})))


def test_terms_are_numpys_functions():
    rng = np.random.default_rng(0)
    x = nn.Variable((2, 3), name="x")
    low, high = np.array([[-1.0], [0.0]]), np.array([0.25, 0.5, 1.0])
    t, s = nn.clip(x, low, high), nn.sign(x - 0.5)
    both = nn.forall(x, where=nn.box(x, -2, 2), then=(t.sum() + s[0, 1] <= 1), name="p")
    for point in [*rng.integers(-8, 9, (20, 2, 3)) / 4]:
        total = np.clip(point, low, high).sum() + np.sign(point - 0.5)[0, 1]
        assert both.margin(point) == 1 - total
    again = nn.parse(both.text())
    assert again.hash == both.hash
    assert "sign" in both.text()
    assert r"\mathrm{sign}" in both._repr_latex_()


def test_a_clip_of_the_language_is_one_function_where_it_can_be():
    x = nn.Variable(2, name="x")

    def kinds(term):
        p = nn.forall(x, where=nn.box(x, -2, 2), then=term.sum() <= 9, name="p")
        return [
            n.fn.name if isinstance(n, Pointwise) else "max" for n in p.query.nodes if isinstance(n, Pointwise | Max)
        ]

    assert kinds(nn.clip(x, 0, 1)) == ["clip"]
    assert kinds(nn.clip(x, Fraction(1, 3), [0.5, 1])) == ["clip"]
    assert kinds(nn.clip(x, 0, None)) == ["relu"]
    assert kinds(nn.clip(x, None, 1)) == ["max"]
    assert kinds(nn.clip(x, x[0], 1)) == ["max", "max"]
    assert kinds(nn.clip(x, [0, 1], 1)) == ["max", "max"]  # the second is constant


def test_hidden_neurons_keep_their_names():
    f = load(layered("Clip", 0.0, 0.5), name="f")
    x = nn.Variable((1, 3), name="x")
    hidden = f(x).hidden("act")
    p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.all(hidden.post <= 0.5) & nn.all(hidden.post >= 0), name="h")
    assert nn.verify(p, "crown").status.value == "verified"
    names = encode(p.query, compute(p.query, "ibp"), find_encoding("bigm")).column_names()
    assert "act[0].post" in names  # as the model calls it


def test_explanations_say_which_lines_are_left():
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, [-2, 0.25], [2, 0.5]), then=nn.clip(x, 0, 1).sum() + nn.sign(x[0]) <= 2, name="p")
    text = " ".join(str(nn.explain(p, "bigm", neuron="clip_1[0]")).split())
    assert "y = clip(h) = 0, h from 0, 1 from 1" in text
    assert "open: y = 0 where -2 <= h <= 0; y = h where 0 <= h <= 1; y = 1 where 1 <= h <= 2" in text
    assert "stable: y = h where 0.25 <= h <= 0.5" in str(nn.explain(p, "bigm", neuron="clip_1[1]"))
    assert "y = -1, 0 where h >= 0, 1 where h > 0" in str(nn.explain(p, "smt-ite", neuron="sign_1[0]"))


def test_files_of_the_standard_split_a_clip_and_refuse_a_sign():
    f = nn.sequential([([[1.0, 2.0], [0.5, -1.0]], [0.0, 0.25]), ([[1.0, -1.0], [1.0, 1.0]], [0.0, 0.0])])
    x = nn.Variable(2, name="x")
    y = f(x)
    for then in (nn.clip(y, -0.5, 0.25)[0] <= 0.2, nn.clip(y[1], 0, 1) + x[0] >= "0.1", nn.clip(y, 0, 1).sum() != 1):
        file, hits = same(nn.forall(x, where=nn.box(x, -1, 1), then=then).query)
        assert not file.losses
        assert hits
    with pytest.raises(UnsupportedError, match="no 'sign'"):
        nn.to_vnnlib(nn.forall(x, where=nn.box(x, -1, 1), then=nn.sign(y)[0] <= 0))


@pytest.mark.parametrize("op", ["clip", "sign"])
def test_pictures(op, tmp_path):
    path = tmp_path / f"{op}.svg"
    figure = nn.draw(["triangle", "balas"], op=op, l=-0.5, u=1.5, path=path)
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    areas = {text.split("  (area ")[1] for text in legend if "area" in text}
    assert len(areas) == 1, legend  # balas relaxed is the hull
    assert path.stat().st_size > 1000
