"""Functions of one variable: bounds at points, lines against hulls, files, compounds, engines, undefined points."""

from __future__ import annotations

import decimal
import itertools
import math
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from onnx import helper

import nnsym as nn
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.functions.exponentials import CutSoftplus, Elu, Exp, Log, LogSigmoid, Softplus, celu, selu
from nnsym.ir.functions.gates import CUBIC, ROOT_2_OVER_PI, Gelu, HardSwish, Mish, Silu, TanhGelu
from nnsym.ir.functions.powers import InversePower, RealPower, Reciprocal, Sqrt, WholePower, power_function
from nnsym.ir.functions.shrinks import shrink, threshold
from nnsym.ir.functions.steps import Atan, Erf, Softsign
from nnsym.ir.functions.waves import Cos, Sin
from nnsym.ir.node import Pointwise, Product
from nnsym.ir.smooth_functions import Sigmoid, Smooth, Tanh
from nnsym.ir.univariate import Univariate
from nnsym.ir.walk import topological
from nnsym.read.runtime import run
from nnsym.testing.check_activation import check_activation
from nnsym.testing.check_bounds import ConformanceError
from tests.models import agrees, model, single

Array = np.ndarray[Any, np.dtype[Any]]

f32 = np.float32
SMOOTH: tuple[Smooth, ...] = (
    *(Exp(), Log(), Softplus(), Softplus(3.0), LogSigmoid(), Elu(), Elu(0.3), Elu(2.0), Elu(-0.5), selu(), celu(0.5)),
    *(Sqrt(), Reciprocal(), WholePower(3), WholePower(4), InversePower(2), InversePower(3)),
    *(RealPower(1.5), RealPower(-0.5), RealPower(0.3), Sin(), Cos()),
    *(Gelu(), TanhGelu(), Silu(), Silu(1.702), Mish(), HardSwish(), Erf(), Atan(), Softsign(), Sigmoid(), Tanh()),
)
OTHERS: tuple[Univariate, ...] = (
    CutSoftplus(),
    CutSoftplus(2.0, 10.0),
    shrink(0.5, 0.5),
    shrink(0.3),
    threshold(0.1, 2.0),
)
ENDS = (-7.0, -3.0, -1.5, -0.3, 0.0, 0.4, 2.0, 3.5, 8.0)
POSITIVE = (0.02, 0.3, 1.0, 2.5, 9.0)


def label(fn: Univariate) -> str:
    return f"{fn.name}-{fn.key[:8]}"


def intervals(fn: Univariate) -> tuple[Array, Array]:
    whole = fn.defined(np.array([-9.0]), np.array([9.0]))[0]
    low, high = (np.array(side) for side in zip(*itertools.combinations(ENDS if whole else POSITIVE, 2), strict=True))
    return low, high


@pytest.mark.parametrize("fn", [*SMOOTH, *OTHERS], ids=label)
def test_ranges_slopes_and_lines_hold_and_lines_are_hulls(fn: Univariate) -> None:
    lo, hi = intervals(fn)
    x = lo + np.linspace(0, 1, 801)[:, None] * (hi - lo)
    y = fn.value(x)
    low, high = fn.span(lo, hi)
    room = 1e-13 * np.maximum(1.0, np.abs(y))
    assert ((low <= y + room) & (y - room <= high)).all()
    if isinstance(fn, Smooth):
        assert (high - y.max(axis=0) <= 1e-2 * np.maximum(1, np.abs(high))).all()
        assert (y.min(axis=0) - low <= 1e-2 * np.maximum(1, np.abs(low))).all()
    least, most = fn.steepness(lo, hi)
    rise = np.diff(y, axis=0) / np.diff(x, axis=0)
    assert ((least - 1e-9 <= rise) & (rise <= most + 1e-9)).all() or getattr(fn, "jumps", False)
    a, b, c, d = fn.lines(lo, hi)
    assert ((a * x + b <= y + room) & (y - room <= c * x + d)).all()
    slope, down, up = fn.band(lo, hi)
    assert ((slope * x + down <= y + room) & (y - room <= slope * x + up)).all()
    if isinstance(fn, Smooth):
        middle = 0.5 * (lo + hi)
        for k in range(len(lo)):
            scale = 3e-3 * max(1.0, float(np.ptp(y[:, k])))
            assert c[k] * middle[k] + d[k] - hull(x[:, k], y[:, k], middle[k]) <= scale
            assert -hull(x[:, k], -y[:, k], middle[k]) - (a[k] * middle[k] + b[k]) <= scale


def hull(x: Array, y: Array, at: float) -> float:
    """The least concave function above the points, at one place."""
    kept: list[tuple[float, float]] = []
    for p in zip(x.tolist(), y.tolist(), strict=True):
        while len(kept) > 1 and (kept[-1][1] - kept[-2][1]) * (p[0] - kept[-2][0]) <= (p[1] - kept[-2][1]) * (
            kept[-1][0] - kept[-2][0]
        ):
            kept.pop()
        kept.append(p)
    return float(np.interp(at, *zip(*kept, strict=True)))


def _some(k: int) -> pytest.MarkDecorator:
    """A quarter of them in the slow tier, the others where there is more time."""
    return pytest.mark.slow if k % 4 == 0 else pytest.mark.field


@pytest.mark.parametrize(
    "fn", [pytest.param(fn, marks=_some(k), id=label(fn)) for k, fn in enumerate([*SMOOTH, *OTHERS])]
)
def test_the_kit_takes_every_function(fn: Univariate) -> None:
    assert check_activation(fn).answers > 4000


class FlatLog(Log.__mro__[1]):  # type: ignore[misc,name-defined]
    """A logarithm that does not say where it is undefined."""

    name, key, bends, unit = "flat_log", "flat_log", (False,), 0.0

    def value(self, x: Array) -> Array:
        return np.log(np.maximum(np.abs(x), 1e-30))

    def derivative(self, x: Array) -> Array:
        return 1.0 / np.maximum(np.abs(x), 1e-30)


class Blunt(WholePower):  # type: ignore[misc]
    """An even power without its minimum."""

    def turns(self, lower: Array) -> tuple[Array | float, ...]:
        return ()

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return Smooth.span(self, lower, upper)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("wrong", [FlatLog(), Blunt(4)], ids=lambda fn: fn.name)
def test_the_kit_refuses_wrong_twins(wrong: Univariate) -> None:
    with pytest.raises((ConformanceError, InputError), match=wrong.name):
        check_activation(wrong, seeds=(0,))


def test_open_bounds_where_a_function_is_not_defined() -> None:
    ends = np.array([-1.0, 0.0, -2.0]), np.array([1.0, 1.0, -1.0])
    for fn, known in ((Log(), []), (Sqrt(), [1]), (Reciprocal(), [2]), (RealPower(-0.5), []), (InversePower(2), [2])):
        low, high = fn.span(*ends)
        assert np.isfinite(low).nonzero()[0].tolist() == np.isfinite(high).nonzero()[0].tolist() == known
        assert np.isneginf(np.delete(low, known)).all()
        assert np.isposinf(np.delete(high, known)).all()
    assert Exp().span(np.array([700.0]), np.array([800.0]))[1] == np.inf
    with pytest.raises(UnsupportedError, match=r"not defined at 0.*away from 0"):
        Reciprocal().value(np.array([Fraction(0)], dtype=object))


def test_far_waves_and_powers_by_name() -> None:
    low, high = Sin().span(np.array([1e9, 3.0, -1e5]), np.array([1e9 + 1e-3, 3.2, -1e5 + 1.0]))
    assert (low[0], high[0]) == (-1, 1)
    assert -0.0584 < low[1] < -0.0583
    assert high[1] < 0.1412
    kinds = [type(power_function(c)) for c in (-1, 0.5, 3, -2, 1.5)]
    assert kinds == [Reciprocal, Sqrt, WholePower, InversePower, RealPower]


OPERATORS: dict[str, tuple[Any, Univariate, tuple[float, float]]] = {
    "Exp": (single("Exp", (2, 64)), Exp(), (-20, 20)),
    "Log": (single("Log", (2, 64)), Log(), (1e-6, 1e6)),
    "Sqrt": (single("Sqrt", (2, 64)), Sqrt(), (0, 1e6)),
    "Reciprocal": (single("Reciprocal", (2, 64)), Reciprocal(), (1e-6, 1e6)),
    "Sin": (single("Sin", (2, 64)), Sin(), (-50, 50)),
    "Cos": (single("Cos", (2, 64)), Cos(), (-50, 50)),
    "Atan": (single("Atan", (2, 64)), Atan(), (-50, 50)),
    "Erf": (single("Erf", (2, 64)), Erf(), (-5, 5)),
    "Softsign": (single("Softsign", (2, 64)), Softsign(), (-50, 50)),
    "Softplus": (single("Softplus", (2, 64)), Softplus(), (-50, 50)),
    "Elu": (single("Elu", (2, 64)), Elu(), (-20, 20)),
    "Elu 6": (single("Elu", (2, 64), opset=7, alpha=2.5), Elu(2.5), (-20, 20)),
    "Selu": (
        single("Selu", (2, 64)),
        selu(float(f32(1.67326319217681884765625)), float(f32(1.0507010221481323))),
        (-20, 20),
    ),
    "Celu": (single("Celu", (2, 64), opset=12, alpha=0.75), celu(0.75), (-20, 20)),
    "Gelu": (single("Gelu", (2, 64), opset=20), Gelu(), (-12, 12)),
    "Gelu tanh": (single("Gelu", (2, 64), opset=20, approximate="tanh"), TanhGelu(), (-12, 12)),
    "Mish": (single("Mish", (2, 64), opset=18), Mish(), (-30, 30)),
    "HardSwish": (single("HardSwish", (2, 64), opset=14), HardSwish(), (-8, 8)),
    "Shrink": (single("Shrink", (2, 64), opset=13, lambd=0.75, bias=0.25), shrink(0.75, 0.25), (-3, 3)),
    "Pow 3": (single("Pow", (2, 64), f32(3)), WholePower(3), (-50, 50)),
    "Pow -2": (single("Pow", (2, 64), f32(-2)), InversePower(2), (0.1, 50)),
    "Pow 3/2": (single("Pow", (2, 64), f32(1.5)), RealPower(1.5), (0, 50)),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_read_and_engines_stay_within_what_functions_say(name: str) -> None:
    proto, fn, (low, high) = OPERATORS[name]
    network = nn.load(proto)
    (node,) = (n for n in topological([t.node for t in network.outputs.values()]) if isinstance(n, Pointwise))
    assert (type(node.fn), node.fn.key) == (type(fn), fn.key)
    rng = np.random.default_rng(0)
    spread = rng.uniform(0, 1, (2, 64)) if low < 0 else rng.uniform(0, 1, (2, 64)) ** 4
    x = (low + (high - low) * spread).astype(f32)
    ((tensor, _),) = network.inputs.items()
    (given,) = run(network, {tensor: x}).values()
    exact = fn.value(x.astype(np.float64))
    if isinstance(fn, Smooth):
        slips = fn.slips(x.astype(np.float64), x.astype(np.float64), 2.0**-24, float(np.finfo(f32).max))
        assert (np.abs(given - exact) <= slips).all()
        assert (slips < 1e-4 * np.maximum(1, np.maximum(np.abs(x), np.abs(exact)))).all()
    else:
        np.testing.assert_allclose(given, exact, rtol=1e-6, atol=1e-6)


def names(network: nn.Network) -> list[str]:
    found = topological([t.node for t in network.outputs.values()])
    return [n.fn.name if isinstance(n, Pointwise) else "product" for n in found if isinstance(n, (Pointwise, Product))]


def test_powers_per_element() -> None:
    network = agrees(single("Pow", (2, 3), np.array([1, 2, 3], f32)))
    assert sorted(names(network)) == ["power", "product"]


def written(*nodes: Any, **constants: float) -> nn.Network:
    kept = {k: f32(v) for k, v in constants.items()}
    return agrees(model([helper.make_node(op, ins, [out]) for op, ins, out in nodes], {"x": (2, 3)}, ("y",), kept))


ERF = [("Mul", ["x", "s"], "a"), ("Erf", ["a"], "b"), ("Add", ["b", "one"], "c")]
NUMBERS = {"s": math.sqrt(0.5), "one": 1.0, "half": 0.5, "r": ROOT_2_OVER_PI, "k": CUBIC, "three": 3.0, "six": 6.0}
COMPOUNDS: dict[str, tuple[list[Any], list[str]]] = {
    "x half (1 + erf)": ([*ERF, ("Mul", ["x", "half"], "d"), ("Mul", ["d", "c"], "y")], ["gelu"]),
    "half (x (1 + erf))": ([*ERF, ("Mul", ["x", "c"], "d"), ("Mul", ["half", "d"], "y")], ["gelu"]),
    "x of another": ([*ERF, ("Relu", ["x"], "d"), ("Mul", ["d", "c"], "y")], ["erf", "product", "relu"]),
    "one and a half": ([*ERF, ("Add", ["c", "half"], "d"), ("Mul", ["x", "d"], "y")], ["erf", "product"]),
    "tanh": (
        [
            *(
                ("Pow", ["x", "three"], "a"),
                ("Mul", ["k", "a"], "b"),
                ("Add", ["x", "b"], "c"),
                ("Mul", ["r", "c"], "d"),
            ),
            *(("Tanh", ["d"], "e"), ("Add", ["one", "e"], "f"), ("Mul", ["half", "x"], "g"), ("Mul", ["g", "f"], "y")),
        ],
        ["gelu_tanh"],
    ),
    "swish": ([("Mul", ["x", "half"], "a"), ("Sigmoid", ["a"], "b"), ("Mul", ["b", "x"], "y")], ["silu"]),
    "gate of another": (
        [("Relu", ["x"], "a"), ("Sigmoid", ["a"], "b"), ("Mul", ["b", "x"], "y")],
        ["product", "relu", "sigmoid"],
    ),
    "mish": ([("Softplus", ["x"], "a"), ("Tanh", ["a"], "b"), ("Mul", ["x", "b"], "y")], ["mish"]),
    "hard swish": (
        [
            *(("Add", ["x", "three"], "a"), ("Clip", ["a", "zero", "six"], "b")),
            *(("Mul", ["x", "b"], "c"), ("Mul", ["c", "half"], "y")),
        ],
        ["hard_swish"],
    ),
    "softplus": ([("Exp", ["x"], "a"), ("Add", ["a", "one"], "b"), ("Log", ["b"], "y")], ["softplus"]),
    "log sigmoid": ([("Sigmoid", ["x"], "a"), ("Log", ["a"], "y")], ["log_sigmoid"]),
    "sigmoid": (
        [("Neg", ["x"], "a"), ("Exp", ["a"], "b"), ("Add", ["b", "one"], "c"), ("Reciprocal", ["c"], "y")],
        ["sigmoid"],
    ),
}


@pytest.mark.parametrize("name", COMPOUNDS)
def test_nodes_that_are_one_function_become_it_and_others_stay(name: str) -> None:
    nodes, expected = COMPOUNDS[name]
    assert sorted(names(written(*nodes, **NUMBERS, zero=0.0))) == expected


def test_choices_that_exporters_write_are_one_function() -> None:
    plus = [("Greater", ["x", "t"], "a"), ("Softplus", ["x"], "b"), ("Where", ["a", "x", "b"], "y")]
    assert names(written(*plus, t=20.0)) == ["softplus"]
    soft = [("Abs", ["x"], "a"), ("Greater", ["a", "t"], "b"), ("Sign", ["x"], "c"), ("Mul", ["c", "t"], "d")]
    soft += [("Sub", ["x", "d"], "e"), ("Mul", ["x", "zero"], "f"), ("Where", ["b", "e", "f"], "y")]
    assert names(written(*soft, t=0.5, zero=0.0)) == ["soft_shrink"]
    hard = [("Abs", ["x"], "a"), ("LessOrEqual", ["a", "t"], "b"), ("Where", ["b", "zero", "x"], "y")]
    assert names(written(*hard, t=0.5, zero=0.0)) == ["hard_shrink"]
    cut = [("LessOrEqual", ["x", "t"], "a"), ("Where", ["a", "v", "x"], "y")]
    assert names(written(*cut, t=0.5, v=2.0)) == ["threshold"]


def test_nothing_is_proved_where_a_function_is_undefined() -> None:
    x = nn.Variable(2, name="x")
    everywhere, away = nn.box(x, -1, 2), nn.box(x, 1, 2)
    for then in (nn.relu(nn.log(x[0])) >= 0, nn.relu(1 / x[0]) >= 0, nn.relu(nn.sqrt(x[0])) >= 0):
        for method in ("ibp", "crown", "zonotope"):
            found = nn.verify(nn.forall(x, where=everywhere, then=then), method, timeout=20)
            assert (found.status.value, found.reason) == ("unknown", "undefined"), found
            (said,) = {step.note for step in found.trail if step.name == "undefined"}
            assert "[-1, 2]" in said
            assert "away from 0" in said
        assert nn.verify(nn.forall(x, where=away, then=then), "crown").status.value == "verified"
    smt = nn.verify(nn.forall(x, where=everywhere, then=nn.relu(1 / x[0]) >= 0), "smt", timeout=20)
    assert smt.reason == "undefined"
    found = nn.verify(nn.forall(x, where=everywhere, then=1 / x[0] <= 3), timeout=20)
    assert found.status.value == "falsified"
    assert 0 < found.counterexample.inputs["x"][0] < Fraction(1, 3)
    assert nn.minimize(1 / x[0], where=everywhere, timeout=2).lower == -np.inf


def test_bounds_that_show_a_function_defined() -> None:
    """Intervals of every box where they do, which load no torch; backward bounds where intervals do not."""
    code = (
        "import sys, nnsym as nn; x = nn.Variable(2, name='x')\n"
        "where = (nn.box(x, -2, -1) | nn.box(x, 1, 2))\n"
        "print(nn.verify(nn.forall(x, where=where, then=1 / x[0] <= 1.5)).status.value, 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.stdout.split() == ["verified", "False"], ran.stderr
    x = nn.Variable(2, name="x")
    half = nn.relu(x[0] + 3) - x[0] - 2.5  # intervals take the two for unrelated
    assert nn.verify(nn.forall(x, where=nn.box(x, -1, 1), then=1 / half <= 2.5), "crown").status.value == "verified"


@pytest.mark.parametrize("r", [0.3, 0.1, 1 / 3, 0.49, -0.3, -1.1, -2.6, 0.7, 1.5, 3.3])
def test_the_range_of_a_power_s_slope_holds_far_out(r: float) -> None:
    """Where ``r - 1`` is no float, its rounding is worth some 30 last places of ``x^(r - 1)`` at 1e60."""
    rng = np.random.default_rng(0)
    lower = 10.0 ** rng.uniform(-60, 60, 60)
    upper = lower * 10.0 ** rng.choice([0.0, 1e-9, 1.0, 5.0], 60)
    with decimal.localcontext(prec=60):
        power = decimal.Decimal(r)
        for low, high, *ends in zip(*RealPower(r).steepness(lower, upper), lower, upper, strict=True):
            slopes = [power * decimal.Decimal(float(x)) ** (power - 1) for x in ends]
            assert decimal.Decimal(float(low)) <= min(slopes)
            assert max(slopes) <= decimal.Decimal(float(high))
            assert high - low <= float(max(slopes) - min(slopes)) + 1e-14 * float(max(map(abs, slopes)))


def test_quotients_and_powers_are_exact_in_smt() -> None:
    x = nn.Variable(2, name="x")
    where = nn.box(x, 1, 2)
    for term, least, most in ((x[0] / x[1], 0.5, 2), (x[0] ** -2, 0.25, 1), (1 / x[0] ** 3, 0.125, 1)):
        both = (term >= least) & (term <= most)
        assert nn.verify(nn.forall(x, where=where, then=both), "smt", timeout=30).status.value == "verified"
        for wrong in (term >= least + 2.0**-20, term <= most - 2.0**-20):
            assert nn.verify(nn.forall(x, where=where, then=wrong), "smt", timeout=30).status.value == "falsified"


def test_functions_in_the_language() -> None:
    x = nn.Variable(2, name="x")
    terms = (nn.sqrt(x[0]), nn.exp(x[1]), nn.log(x[0]), nn.sin(x[1]), nn.cos(x[0]), x[0] ** 1.5, x[1] ** -1, 3 / x[0])
    values = (math.sqrt(1.25), math.exp(1.5), math.log(1.25), math.sin(1.5), math.cos(1.25), 1.25**1.5, 1 / 1.5, 2.4)
    total = sum(terms) + 2 * nn.norm(x) / x[1]
    value = sum(values) + 2 * math.hypot(1.25, 1.5) / 1.5
    where = nn.box(x, 1, 2)
    for sign in (-1, 1):
        p = nn.forall(x, where=where, then=sign * total <= sign * value + 1e-9)
        assert p.margin([1.25, 1.5]) == pytest.approx(1e-9, abs=1e-12)
        again = nn.parse(nn.dumps(p))
        assert again.hash == p.hash
        assert nn.verify(p, timeout=20).status.value == "falsified"
    assert nn.verify(nn.forall(x, where=where, then=total <= 26), "crown").status.value == "verified"
    assert r"\sqrt{" in nn.forall(x, where=where, then=total <= 26)._repr_latex_()
