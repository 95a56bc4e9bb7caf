"""Rounding goes the right way: limbs as integers, affine rows as fractions, weights that are no dyadic numbers."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from certificates import below, box, certificate, plain, stated, verdict
from check_graphs import CURVES

from nnsym.check.checker import Checker
from nnsym.check.errors import OutOfRange
from nnsym.check.graph import Graph, Map
from nnsym.check.limbs import (
    COARSE,
    FINE,
    REACH,
    Matrix,
    Rows,
    charged,
    dot,
    floored,
    joined,
    limbs,
    settled,
    times_slope,
    written,
)
from nnsym.check.lines import live_lines, relu_lines
from nnsym.check.problem import Case
from nnsym.check.tree import Tree
from tests.depth import drawn


def _whole(rng: np.random.Generator, bits: int, shape: tuple[int, ...]) -> Any:
    return rng.integers(-(1 << bits), 1 << bits, shape)


def _exact(rows: Rows) -> list[list[Fraction]]:
    """The numbers that rows stand for."""
    return [[Fraction(int(v)) / Fraction(2) ** e for v in c] for c, e in zip(rows.c, rows.e.tolist(), strict=True)]


def _loses(true: list[list[Fraction]], found: Rows, units: Any) -> None:
    """No coefficient is above the true one, or below it by more than the units that are told."""
    for wanted, made, e, told in zip(true, _exact(found), found.e.tolist(), units.tolist(), strict=True):
        for a, b in zip(wanted, made, strict=True):
            assert 0 <= a - b <= told / Fraction(2) ** e
    assert np.abs(found.c).max() <= (1 << found.bits) * 1.02


@pytest.mark.parametrize("seed", range(24))
def test_limbs_multiply_and_floor_as_integers_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense, sparse = rng.standard_normal((7, 6)).astype(np.float32), [(0, 3), (), (2,), (1, 4, 5), (5,), (0,), (3, 2)]
    dense *= np.float32(2.0) ** rng.integers(-20, 16, (7, 6))
    if seed % 3 == 2:
        m = Map(6, [(None, [Fraction(float(v)) / 3 for v in row]) for row in dense])
    elif seed % 2:
        m = Map(6, [(None, [float(v) for v in row]) for row in dense])
    else:
        m = Map(6, [(list(js), [float(dense[i, j]) for j in js]) for i, js in enumerate(sparse)])
    matrix = Matrix(m)
    matrix.dense = matrix.full or bool(seed % 4)
    least, weights, _ = m.integers
    shift = matrix.shift
    assert shift == least or shift > max(least, 40)  # of a wide range it need not be the least
    full = [[dict(zip(range(6) if js is None else js, ws, strict=True)).get(j, 0) << shift - least for j in range(6)]
            for (js, _), ws in zip(m.rows, weights, strict=True)]  # fmt: skip
    for bits in (COARSE, FINE):
        c, e = _whole(rng, int(rng.integers(1, bits)), (5, 7)).astype(float), rng.integers(-40, 40, 5)
        sums = matrix.times([c] if bits == COARSE else limbs(c.astype(np.int64), matrix.width), "back")
        products = [[sum(int(c[r, i]) * full[i][j] for i in range(7)) for j in range(6)] for r in range(5)]
        true = [[Fraction(v, 1 << shift) / Fraction(2) ** int(e[r]) for v in row] for r, row in enumerate(products)]
        for told in (True, False):
            _loses(true, *settled(sums, matrix.width, e + shift, bits, told))
    values, w = _whole(rng, int(rng.integers(1, 30)), (3, 6)), matrix.width
    made = floored(matrix.times(limbs(values, w), "forth"), shift, w)
    for r in range(3):
        for i in range(7):
            assert made[r, i] == sum(int(values[r, j]) * full[i][j] for j in range(6)) >> shift


@pytest.mark.parametrize("many", [23, 24, 40])
@pytest.mark.parametrize("wide", [127, 128, 200])
def test_columns_of_zeros_change_nothing(many: int, wide: int) -> None:
    """Many rows, of which some columns are 0 in all, and some in all but one."""
    rng = np.random.default_rng(many * wide)
    weights = rng.integers(-(1 << 30), 1 << 30, (20, wide)).astype(float)
    matrix = Matrix(Map(wide, [(None, row) for row in weights.tolist()]))
    c = _whole(rng, COARSE, (many, 20))
    c[:, rng.random(20) < 0.5] = 0
    c[:, 5], c[:, 7] = 0, 0
    c[many // 2, 7] = 1
    for used in (c, c | 1, c * 0):
        sums = matrix.times([used.astype(float)], "back")
        made = sum((part.astype(object) << matrix.width * k for k, part in enumerate(np.array(sums, np.int64))), 0)
        assert (made == used.astype(object) @ (weights.astype(np.int64).astype(object) << matrix.shift)).all()


def test_lines_of_the_relu_lie_on_their_sides() -> None:
    """In integers, at 0 and at both ends, with slopes of its own and of a certificate; near and far."""
    rng, one, shape = np.random.default_rng(6), 1 << 30, (3, 400)
    sizes = rng.integers(0, 54, (2, *shape))
    left, right = (rng.integers(0, 1 << 53, shape) >> s for s in sizes)
    left, right = (np.where(rng.random(shape) < p, side, -side) for p, side in ((0.2, left), (0.8, right)))
    left, right = np.minimum(left, right), np.maximum(left, right)
    for at in np.ndindex(
        3, 40
    ):  # chords a little below a slope that can be written: no digit of a float tells them apart
        k = int(rng.integers(1 << 20, 1 << 25)) | 1
        gap = pow(k, -1, 1 << 54)
        right[at] = gap * k >> 54 << 27
        left[at] = right[at] - gap
    opened = (left < 0) & (right > 0)
    assert opened.sum() > 300
    given: list[Any] = [None, rng.bytes(int(opened[1].sum())), dict.fromkeys(opened[2].nonzero()[0][:9].tolist(), 7)]
    made = relu_lines(left, right, opened, given)
    dead = np.setdiff1d(np.arange(shape[1]), made.live)
    assert not np.maximum(right[:, dead], 0).any()
    for b, k in np.ndindex(shape[0], len(made.live)):
        ends = int(left[b, made.live[k]]), int(right[b, made.live[k]])
        below, above = int(made.below[0][b, k]), int(made.above[0][b, k])
        under, over = int(made.offset_below[b, k]), int(made.offset_above[b, k])
        for z in {*ends, 0} if ends[0] < 0 < ends[1] else {*ends}:
            assert (below * z >> 30) + under <= max(z, 0)
            assert max(z, 0) * one <= above * z + over * one
        assert below % 8 == above % 8 == 0
        if opened[b, made.live[k]]:  # the chord, but for its last digits
            assert over * one - max(-above * ends[0], (one - above) * ends[1]) < 2 * one
            assert abs(above * (ends[1] - ends[0]) - ends[1] * one) < 16 * (ends[1] - ends[0])
    known = [list(bytes(given[1])), [7] * 9]
    for b in (1, 2):
        places = np.searchsorted(made.live, opened[b].nonzero()[0])[: len(known[b - 1])]
        assert (made.below[0][b, places] == [n * one // 255 & -8 for n in known[b - 1]]).all()


@pytest.mark.parametrize(("share", "few"), [(0.3, False), (0.05, True)])
def test_elements_that_are_left_out_are_0_in_every_case(share: float, few: bool) -> None:
    """Lines of a product: two slopes and an offset on each side, of which any one alone may be there."""
    rng, shape = np.random.default_rng(6), (3, 80)
    numbers = [rng.integers(-9, 10, shape) * (rng.random(shape[1]) < share) for _ in range(6)]
    a, b, low, c, d, high = numbers
    made = live_lines([a, b], low, [c, d], high)
    assert made.few == few
    assert all(side.any() for side in numbers)
    found = (*made.below, made.offset_below, *made.above, made.offset_above)
    for some, whole in zip(found, numbers, strict=True):
        full = np.zeros(shape)
        full[:, made.live if made.few else slice(None)] = some
        assert (full == whole).all()
    for side in numbers:  # where it alone is not 0
        others = [np.zeros(shape, dtype=np.int64)] * 6
        others[next(k for k, n in enumerate(numbers) if n is side)] = side
        assert (
            live_lines(others[:2], others[2], others[3:5], others[5]).live.tolist()
            == np.any(side, 0).nonzero()[0].tolist()
        )


@pytest.mark.parametrize("seed", range(20))
def test_limbs_that_cancel_are_added_up_exactly(seed: int) -> None:
    rng, width = np.random.default_rng(seed), 17
    partial = [
        _whole(rng, 30, (3, 2)),
        *(_whole(rng, 33, (3, 2)) for _ in range(3)),
    ]  # of the limbs from k on, over 2^17k
    sums = [partial[k] - (partial[k + 1] << width) for k in range(3)] + partial[3:]
    true = [[Fraction(int(v)) for v in row] for row in partial[0]]
    made, units = settled([s.astype(float) for s in sums], width, np.zeros(3, dtype=np.int64), FINE, True)
    _loses(true, made, units)


@pytest.mark.parametrize("seed", range(20))
def test_rows_floor_as_integers_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits = (COARSE, FINE)[seed % 2]
    rows = [Rows(_whole(rng, bits, (4, 9)).astype(float), rng.integers(24, 60, 4), bits) for _ in range(2)]
    exact = [_exact(r) for r in rows]
    _loses([[a + b for a, b in zip(*pair, strict=True)] for pair in zip(*exact, strict=True)], *joined(*rows))
    for most, rounded in ((30, True), (30, False), (34, False)):
        slope = _whole(rng, most, (4, 9)) & (-8 if rounded else -1)
        slope = np.minimum(slope, 1 << 30) if rounded else slope
        pairs = zip(exact[0], slope.tolist(), strict=True)
        true = [[a * Fraction(s, 1 << 30) for a, s in zip(*pair, strict=True)] for pair in pairs]
        _loses(true, *times_slope(rows[0], slope.astype(float), rounded))
    low = _whole(rng, 40, (4, 9))
    high, owner = low + _whole(rng, 20, (4, 9)) ** 2, rng.integers(0, 4, 4)
    for r, found in enumerate(dot(rows[0], low, high, owner, 3).tolist()):
        ends = [a * int((low if a > 0 else high)[owner[r], i]) for i, a in enumerate(exact[0][r])]
        assert 0 <= sum(ends) / 8 - found < 30
    units = np.full(4, 2.0)
    for r, found in enumerate(charged(rows[0], units, low, owner).tolist()):
        wanted = 2 * int(np.minimum(low[owner[r]], 0).sum()) / Fraction(2) ** int(rows[0].e[r])
        assert wanted - (1 << 18) / Fraction(2) ** int(rows[0].e[r]) - 2 < found <= wanted


@pytest.mark.parametrize(("bits", "step"), [(COARSE, 8), (COARSE, 1), (FINE, 8), (FINE, 1)])
@pytest.mark.parametrize("side", [-1, 1])
def test_slopes_that_miss_a_whole_number_by_the_least_are_floored(bits: int, step: int, side: int) -> None:
    """``c s`` is ``step`` beside a multiple of 2^30: one digit too few, and nothing seems lost, or gained."""
    c = [(1 << bits) - 1 - 2 * k for k in range(400)]
    slopes = [step * (side * pow(v, -1, (1 << 30) // step) % ((1 << 30) // step)) for v in c]
    made, units = times_slope(
        Rows(np.array([c], float), np.zeros(1, np.int64), bits), np.array([slopes], float), step == 8
    )
    for v, slope, found in zip(c, slopes, made.c[0].tolist(), strict=True):
        assert v * slope % (1 << 30) == side * step % (1 << 30)
        assert found == v * slope >> 30
    assert units == 1


@pytest.mark.parametrize("stored", ["d", "f", "list", "fractions"])
def test_weights_are_the_numbers_that_are_stored(stored: str) -> None:
    """Of near and of far exponents, with 53 digits or few; as arrays, lists, and quotients."""
    rng = np.random.default_rng(12)
    for spread in (*range(16), 40, 200):
        values = np.ldexp(rng.standard_normal((2, 3)), rng.integers(-spread // 2, spread // 2 + 1, (2, 3)))
        values[0, 0], values[1, 1] = 1 + 2.0**-52, 2.0**spread
        values = values.astype(np.float32) if stored == "f" and spread < 100 else values
        rows: list[Any] = [array("f" if values.dtype == np.float32 else "d", row) for row in values.tolist()]
        if stored in ("list", "fractions"):
            rows = [[float(v) if stored == "list" else Fraction(v) / 3 for v in row] for row in values.tolist()]
        matrix = Matrix(Map(3, [(None, row) for row in rows]))
        parts = [p.astype(np.int64).astype(object) << matrix.width * k for k, p in enumerate(matrix.written("back"))]
        whole = np.sum(parts, axis=0)
        assert matrix.loose == (stored == "fractions")
        for made, weight in zip(whole.ravel().tolist(), (w for row in rows for w in row), strict=True):
            off = abs(Fraction(made, 1 << matrix.shift) - Fraction(weight))
            assert off == 0 or (matrix.loose and off < Fraction(1, 1 << 72))


def test_values_without_bounds_are_not_charged_but_refused() -> None:
    """Sums of what nothing is known of leave 64 bits."""
    row = Rows(np.ones((1, 4)), np.zeros(1, dtype=np.int64), FINE)
    for far, fits in ((40, True), (56, False), (62, False)):
        below = np.full((1, 4), -(1 << far))
        if fits:
            assert charged(row, np.ones(1), below, np.zeros(1, dtype=np.int64)) == -(4 << far)
        else:
            with pytest.raises(OutOfRange):
                charged(row, np.ones(1), below, np.zeros(1, dtype=np.int64))


@pytest.mark.parametrize(("factors", "rounds"), [
    ([1, 1, 1], False), ([1, -1, 1], False), ([-1, -1, -1], False), ([1, -1, 2], True), ([0.1, 1, 1], True),
    ([3, 3, 3], True), ([1, -1, 0], True),
])  # fmt: skip
def test_only_signs_round_nothing_in_floats(factors: list[float], rounds: bool) -> None:
    graph = Graph()
    x = graph.input((3,))
    assert graph.scale(x, factors).node.rounds == rounds
    assert graph.scale(x, factors, [1, 1, 1]).node.rounds
    assert graph.shift(x, [1, 1, 1]).node.rounds


def test_numbers_of_facts_floor() -> None:
    added = {(0, 1): Fraction(1, 3), (0, 2): Fraction(-(10**9)), (2, 0): Fraction(0), (3, 0): Fraction(-7, 1 << 60)}
    rows, units = written(added, 4, 3, FINE)
    _loses([[added.get((r, i), Fraction(0)) for i in range(3)] for r in range(4)], rows, units)
    assert units.tolist() == [1, 0, 0, 0]


def test_carries_go_through_limbs_of_ones() -> None:
    width = 16
    ones, top = (1 << width) - 1, 1 << 45
    for low in (-1, 0, 1, ones, ones + 1, -ones - 1, -top):
        for high in (-1, 0, ones, -ones - 1):
            for third in (3, top, -top):
                for shift in (0, 1, width - 1, width, width + 1, 2 * width - 1, 2 * width, 47, 48, 49, 60, 64, 65, 140):
                    whole = low + (high << width) + (third << 2 * width) >> shift
                    if abs(whole) < REACH:
                        assert floored([np.array([low]), np.array([high]), np.array([third])], shift, width)[0] == whole
                    else:
                        with pytest.raises(OutOfRange):
                            floored([np.array([low]), np.array([high]), np.array([third])], shift, width)


@pytest.mark.parametrize("engine", ["reference", "fast"])
@pytest.mark.parametrize("far", [0, 3000])
def test_an_affine_row_is_never_above_the_exact_one(engine: str, far: int) -> None:
    """No function is between, so the exact least value is known: rounding may lose, by little, and never gain.

    Far from 0 what counts is what floored coefficients lose, near it constants; the box itself is exact.
    """
    rng = np.random.default_rng(17)
    for _ in range(60):
        w1, w2 = (rng.standard_normal((3, 3)).astype(np.float32).astype(float) * k for k in (1, 1 if far else 50))
        b1 = rng.standard_normal(3).astype(np.float32).astype(float)
        nodes = [["MatMul", ["x", "w1"], ["m"]], ["Add", ["m", "b1"], ["z"]], ["MatMul", ["z", "w2"], ["y"]]]
        graph = plain({"x": [3]}, nodes, ["y"], w1=w1, w2=w2, b1=b1)
        point = [Fraction(int(p), 64) - far for p in rng.integers(-999, 1000, 3)]
        factor = Fraction(int(rng.integers(1, 999)), 997)
        limits = box("x", point, [p + Fraction(1, 64) for p in point])
        text = stated(graph, limits + f"(assert (<= (+ y[0] (* {factor} y[1])) 0.0))", {"y": [3]})
        made = certificate(text, [["l"]], {"name": "f", "graph": graph}, precision=16)
        found = Checker(made, {}, engine).run(failures=True).least
        outer = [Fraction(a) + factor * Fraction(b) for a, b, _ in w2.tolist()]
        row = [sum((Fraction(v) * c for v, c in zip(line, outer, strict=True)), Fraction(0)) for line in w1.tolist()]
        constant = sum((Fraction(b) * c for b, c in zip(b1.tolist(), outer, strict=True)), Fraction(0))
        true = constant + sum(c * (p + (Fraction(1, 64) if c < 0 else 0)) for c, p in zip(row, point, strict=True))
        assert found is not None
        assert found <= true < found + (20 if far else 1)


def test_weights_that_are_no_dyadic_numbers_are_enclosed() -> None:
    """Thirds and square roots, with more places than they are known to."""
    nodes = [["Div", ["x", "three"], ["y"]]]
    graph = plain({"x": [1, 2]}, nodes, ["y"], three=[3, 7])
    limits = "".join(f"(assert (== x[0,{k}] {v}))" for k, v in enumerate((-5, 11)))
    text = stated(graph, limits, {"y": [1, 2]})
    made = certificate(text, [["l"]], {"name": "f", "graph": graph}, precision=200, names=[[0, "y"]])
    checker = Checker(made, {}, "reference")
    bounds = below(checker).known[checker.problem.names[0].node]
    for low, high, true in zip(bounds.lower, bounds.upper, (Fraction(-5, 3), Fraction(11, 7)), strict=True):
        assert Fraction(low, 1 << 200) < true < Fraction(high, 1 << 200) < Fraction(low, 1 << 200) + Fraction(1, 2**60)


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_splits_narrow_known_bounds_outward(engine: str) -> None:
    graph = plain({"x": [1]}, [["Relu", ["x"], ["y"]]], ["y"])
    text = stated(graph, box("x", [-1], [1]) + "(assert (<= y[0] -1.0))", {"y": [1]})
    made = certificate(text, [["l"]], {"name": "f", "graph": graph}, precision=16, names=[[0, "y"]])
    checker = Checker(made, {}, engine)
    for factor in (*(Fraction(n, 4) for n in range(1, 9)), *(Fraction(-n, 4) for n in range(1, 9))):
        sides = ("upper", "lower") if factor > 0 else ("lower", "upper")
        token = ["g", [[0, 0, factor]], factor / 3]
        for case, side in zip(
            Tree(checker.problem, checker.engine, []).children(0, token, below(checker)), sides, strict=True
        ):
            bounds = case.known[checker.problem.names[0].node]
            found = Fraction(int(getattr(bounds, side)[0]), 1 << checker.engine.bits)
            assert 0 < (found - Fraction(1, 3)) * (1 if side == "upper" else -1) < Fraction(1, 2**15)


@pytest.mark.parametrize("kind", [*CURVES, ("Product", {})], ids=lambda c: f"{c[0]}{c[1].get('alpha', '')}")
def test_rows_of_the_least_coefficients_know_their_sides(kind: tuple[str, dict[str, Any]]) -> None:
    """``f(x) + f(-x)`` with a weight of one unit, two or three, and what a point attains: lines lie on their sides."""
    constants: dict[str, Any] = {"W": [[1.0, -1.0]], "low": -0.5, "high": 1.25}
    name, attributes = kind
    extra = {"Clip": ["low", "high"], "Square": ["z"], "Product": ["v"]}.get(name, [])
    node = [{"Square": "Mul", "Product": "Mul"}.get(name, name), ["z", *extra], ["r"], attributes]
    nodes = [["MatMul", ["x", "W"], ["z"]], ["Neg", ["z"], ["v"]], node, ["ReduceSum", ["r"], ["y"], {"keepdims": 0}]]
    graph = plain({"x": [1]}, nodes, ["y"], **constants)
    for low, high in ((-2, 2), (-1, 3), (-3, 1)):
        points = [Fraction(low * 8 + k, 8) for k in range(8 * (high - low) + 1)]
        limits = box("x", [low], [high])
        head = certificate(stated(graph, limits, {"y": []}), [], {"name": "f", "graph": graph}, names=[[0, "y"]])
        checker = Checker(head, {}, "reference")
        runs = [checker.forward(Case((p,), (p,))) for p in points]
        y = checker.problem.places["y"].node
        least = min(Fraction(values[y].upper[0], 1 << bits) for bits, values in runs)
        most = max(Fraction(values[y].lower[0], 1 << bits) for bits, values in runs)
        for word, limit in (("<=", least), (">=", most)):
            text = stated(graph, limits + f"(assert ({word} y {limit}))", {"y": []})
            for units in (1, 2, 3):
                tree = [["l", [[0, f"{units}/65536"]]]]
                made = certificate(text, tree, {"name": "f", "graph": graph}, precision=16)
                for engine in ("reference", "fast"):
                    assert isinstance(verdict(made, engine), str), (word, units)


def test_limbs_of_weights_add_up_to_the_weights() -> None:
    """Stored floats of one range and of all, whole numbers, fractions, zeros: as the reference has them."""
    draw = random.Random(3)
    kinds: dict[str, Callable[[], Any]] = {
        "f": lambda: float(np.float32(draw.gauss(0, 1) * 2.0 ** draw.choice([0, draw.randint(-120, 120)]))),
        "d": lambda: draw.gauss(0, 1) * 2.0 ** draw.choice([0, 3, draw.randint(-1000, 1000)]),
        "": lambda: draw.choice([0, 1, -1, Fraction(1, 3), draw.randint(-(2**60), 2**60)]),
    }
    for _ in range(drawn(400, 100)):
        kind, width = draw.choice([*kinds]), draw.randint(0, 5)
        rows = [[draw.choice([0.0 if kind else 0, kinds[kind]()]) for _ in range(width)] for _ in range(3)]
        m = Map(width, [(None, array(kind, row) if kind else row) for row in rows])
        matrix, (shift, integers, loose) = Matrix(m), m.integers
        total = np.zeros((3, width), dtype=object)
        for k, limb in enumerate(matrix.written("back")):
            total += np.array([[int(v) << matrix.width * k for v in row] for row in limb.tolist()], dtype=object)
        found = [[Fraction(int(v), 1 << matrix.shift) for v in row] for row in total.tolist()]
        assert found == [[Fraction(v, 1 << shift) for v in row] for row in integers]
        assert matrix.loose == loose
