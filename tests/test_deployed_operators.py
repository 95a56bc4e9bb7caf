"""How far float runs of one operator may be from the reals: normalisations, lines with offsets, secants."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from onnx import helper

import nnsym as nn
from nnsym.bounds.methods import compute
from nnsym.deployed.enclose import enclose
from nnsym.deployed.secants import row_errors
from nnsym.errors import InputError
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import identity
from nnsym.ir.network import Network
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.smooth_functions import Sigmoid
from nnsym.ir.univariate import absolute, clip, leaky_relu, relu, sign
from nnsym.read.agree import require_agreement
from nnsym.read.runtime import run as run_model
from nnsym.replay.orders import float_runs
from tests.models import model as graph_of
from tests.models import single

FLOAT32 = np.float32


def normalised(kind: str) -> Network:
    """One normalisation of three numbers; scale 1, bias 0."""
    ones, zeros = np.ones(3, FLOAT32), np.zeros(3, FLOAT32)
    operators = {
        "layer": ("LayerNormalization", [1, 3], ones, zeros, 17, {"axis": -1}),
        "group": ("GroupNormalization", [1, 3, 1], ones, zeros, 21, {"num_groups": 1}),
        "instance": ("InstanceNormalization", [1, 1, 3], ones[:1], zeros[:1], 17, {}),
        "variance": ("MeanVarianceNormalization", [1, 1, 3], None, None, 13, {"axes": [2]}),
        "mean square": ("RMSNormalization", [1, 3], ones, None, 23, {"axis": -1, "epsilon": 2.0**-120}),
        "length": ("LpNormalization", [1, 3], None, None, 13, {"axis": -1, "p": 2}),
    }
    op, shape, scale, bias, opset, options = operators[kind]
    constants = [c for c in (scale, bias) if c is not None]
    return nn.load(single(op, shape, *constants, opset=opset, **options))


def by_hand(kind: str, x: np.ndarray) -> list[np.ndarray]:
    """The same in float32, step by step: with the variance of deviations, and with that of moments."""
    n, one = FLOAT32(len(x)), FLOAT32(1)
    mean, square = x.sum() / n, (x * x).sum()
    if kind == "length":
        return [x / np.sqrt(square), x * (one / np.sqrt(square))]
    if kind == "mean square":
        return [x / np.sqrt(square / n + FLOAT32(2.0**-120)), x * (one / np.sqrt(square / n + FLOAT32(2.0**-120)))]
    c, epsilon = x - mean, FLOAT32(0 if kind == "variance" else 1e-5)
    return [c / np.sqrt(v + epsilon) for v in ((c * c).sum() / n, square / n - mean * mean)]


@pytest.mark.parametrize("kind", ["layer", "group", "instance", "variance", "mean square", "length"])
def test_normalisations_are_enclosed_by_whichever_formula_an_engine_takes(kind: str) -> None:
    """ONNX writes a variance as ``mean x^2 - (mean x)^2``, and nobody clips a deviation that is beyond its limit."""
    f = normalised(kind)
    shape = f.inputs["x"].shape
    x = nn.Variable(shape, name="x")
    rng, told = np.random.default_rng(3), 0
    for offset in (0.0, 3.0, 30.0, 100.0, 1000.0):
        centre = (offset + rng.normal(size=3)).astype(FLOAT32)
        if kind == "mean square":  # one value alone is as long as can be, and by rounding longer
            alone = (FLOAT32([abs(centre[0]) + k / 64, 0, 0]) for k in range(64))
            centre = next(x for x in alone if float(by_hand(kind, x)[1][0]) > 3**0.5 * (1 + 2.0**-30))
        where = nn.box(x, centre.reshape(shape), centre.reshape(shape))
        query = nn.forall(x, where=where, then=f(x).ravel()[0] >= 0).query  # the row is y itself
        enclosed = enclose(query, compute(query, "crown"))
        rows = compute(enclosed.query, "crown").rows
        errors = row_errors(enclosed.query, enclosed.errors, enclosed.ranges)
        (run, *_) = float_runs(query, {query.inputs[0]: centre})
        (ran,) = run.outputs.values()
        real = float(f.evaluate(centre.reshape(shape).astype(float)).ravel()[0])
        with np.errstate(invalid="ignore", divide="ignore"):
            values = [float(v.ravel()[0]) for v in (ran, *by_hand(kind, centre))]
        for value in values:
            if not np.isfinite(value):  # the variance of moments is negative: nothing may be said
                assert errors is None or not np.isfinite(errors[0])
                continue
            assert rows.lower[0] <= value <= rows.upper[0], (offset, values)
            assert errors is None or abs(value - real) <= errors[0] + 1e-12, (offset, values)
        told += errors is not None and bool(np.isfinite(errors[0]))
    assert told >= 3


@pytest.mark.parametrize("loud", [1.0, 100.0, 1e4])
def test_a_sum_that_moves_from_channel_to_channel_is_enclosed(loud: float) -> None:
    """Of a loud first channel something is left in ONNX Runtime's sum when it has moved on."""
    centre = np.full((1, 8, 1, 1), 0.3, FLOAT32)
    centre[0, 0] = loud
    f = nn.load(single("LRN", [1, 8, 1, 1], opset=13, size=3, alpha=1.0, bias=1.0), check=False)
    x = nn.Variable(centre.shape, name="x")
    run = run_model(f, {"x": centre})["y"].ravel()
    for k in (0, 4, 7):
        query = nn.forall(x, where=nn.box(x, centre, centre), then=f(x).ravel()[k] >= 0).query
        enclosed = enclose(query, compute(query, "crown"))
        if enclosed.overflow:  # what was left may be more than the sum itself
            assert loud > 1000
            continue
        rows = compute(enclosed.query, "crown").rows
        errors = row_errors(enclosed.query, enclosed.errors, enclosed.ranges)
        real = float(f.evaluate(centre.astype(float)).ravel()[k])
        assert rows.lower[0] <= run[k] <= rows.upper[0]
        assert errors is None or abs(run[k] - real) <= errors[0] + 1e-12


def test_a_network_with_two_formulas_travels() -> None:
    f = pickle.loads(pickle.dumps(normalised("layer")))
    assert len(f.either) == 2
    assert set(f.either) <= set(f.nodes)


def test_group_normalisation_far_from_0_is_read() -> None:
    """The comparison with ONNX Runtime allows for what its formula loses there."""
    nodes = [
        helper.make_node("Add", ["x", "c"], ["h"]),
        helper.make_node("GroupNormalization", ["h", "s", "b"], ["y"], num_groups=2),
    ]
    constants = {"c": FLOAT32([1000]), "s": np.ones(4, FLOAT32), "b": np.zeros(4, FLOAT32)}
    proto = graph_of(nodes, {"x": [1, 4, 4]}, constants=constants, opset=21)
    assert nn.load(proto).outputs["y"].shape == (1, 4, 4)
    nodes[1] = helper.make_node("LayerNormalization", ["h", "s", "b"], ["y"], epsilon=1.0)
    f = nn.load(graph_of(nodes, {"x": [1, 4, 4]}, constants=constants))
    with pytest.raises(InputError, match="gives"):  # so far, and no farther
        require_agreement(f, lambda at: {"y": run_model(f, at)["y"] + FLOAT32(3)}, by="another")


@pytest.mark.parametrize("size", [6.3e9, 3.0])
def test_a_line_of_slope_1_rounds_where_it_has_an_offset(size: float) -> None:
    f = nn.load(single("Shrink", [1], opset=12, bias=0.5, lambd=1.0))
    x, at = nn.Variable(1, name="x"), FLOAT32([size])
    r = nn.verify(nn.forall(x, where=nn.box(x, at, at), then=f(x)[0] >= 0), "ibp")
    apart = abs(float(run_model(f, {"x": at})["y"][0]) - float(f.evaluate(at.astype(float))[0]))
    assert apart <= r.float_error < 1e-5 * size
    assert (apart > 0) == (size > 4)


def secant_error(fn, low: float, high: float) -> float:
    """E of ``fn(x + e)`` for x in [low, high] and |e| <= 1/2, with the range of its argument."""
    x, e = new_input("x", 1), new_input("e", 1)
    z = affine(((identity(1), x), (identity(1), e)))
    y = pointwise(fn, z)
    boxes = {x: Box(np.array([low]), np.array([high])), e: Box(np.array([-0.5]), np.array([0.5]))}
    query = Query("secant", boxes, Rows.of(y), Atoms(np.array([0]), strict=False, soft=True))
    ranges = {n: (i.lower, i.upper) for n, i in compute(query, "ibp").nodes.items()}
    found = row_errors(query, {e: np.array([0.5])}, ranges)
    assert found is not None
    return float(found[0])


@pytest.mark.parametrize(
    ("fn", "low", "high", "least"),
    [
        (relu(), -1, 1, 0.5),
        (relu(), 2, 3, 0.5),
        (relu(), -3, -2, 0.0),
        (leaky_relu(0.25), -3, -2, 0.125),
        (absolute(), -1, 1, 0.5),
        (clip(-1.0, 1.0), 0, 5, 0.5),
        (clip(-1.0, 1.0), 3, 5, 0.0),
        (sign(), -3, 3, np.inf),
        (sign(), 1, 3, 0.0),
        (Sigmoid(), -1, 1, 0.12),
        (Sigmoid(), 5, 9, 1e-5),
    ],
)
def test_secants_are_as_steep_as_the_function(fn, low: float, high: float, least: float) -> None:
    """Not below what an error of 1/2 can do, and for one neuron hardly above it."""
    found = secant_error(fn, low, high)
    assert least <= found
    assert found <= max(1.3 * least, 0.01) or least in (0.12, np.inf)
