"""Ready properties print the formula they stand for and mean it; the cases C1, C2 and C5 of the property languages."""

from __future__ import annotations

import gc
import itertools
import pickle
import weakref
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import nnsym as nn
from nnsym.ask.export import build_program
from nnsym.errors import InputError
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.program import Kind
from nnsym.results.result import Verdict
from tests.depth import drawn

f = nn.zoo.random_mlp(2, widths=(3, 6, 4))
CENTRE = np.array([0.25, -0.5, 0.125])
LABEL = int(f.evaluate(CENTRE).argmax())


def then(p: nn.Property) -> str:
    return str(p).splitlines()[-1].removeprefix("  then  ")


def test_every_property_prints_its_formula() -> None:
    g = nn.zoo.random_mlp(1, widths=(3, 5, 4))
    assert then(nn.props.robust(f, CENTRE, 1, "0.1")) == "argmax(random_mlp_2(x)) == 1"
    assert then(nn.props.targeted(f, CENTRE, 1, "0.1")) == "argmax(random_mlp_2(x)) != 1"
    assert [then(p) for p in nn.props.margin_table(f, CENTRE, 1, "0.1")] == [
        f"random_mlp_2(x)[1] > random_mlp_2(x)[{j}]" for j in (0, 2, 3)
    ]
    assert then(nn.props.monotone(f, 1, -1, 1, output=2, increasing=False)) == (
        "random_mlp_2(x)[2] >= random_mlp_2(concat(x[:1], v, x[2:]))[2]"
    )
    assert then(nn.props.lipschitz(f, -1, 1, 3, gap="0.5")) == (
        "all(abs(random_mlp_2(x) - random_mlp_2(z)) <= norm(x - z, inf) * 3 + 0.5)"
    )
    assert then(nn.props.equivalent(f, g, -1, 1, "0.1")) == "norm(random_mlp_2(x) - random_mlp_1(x), inf) <= 0.1"
    assert then(nn.props.dead_neuron(f, "relu_1", 2, -1, 1)) == 'all(random_mlp_2(x).hidden("relu_1").pre[2] <= 0)'
    assert str(nn.props.fair(f, -1, 1, [1, 2], deviation="0.1")).splitlines() == [
        "forall u[1], v[1], s[2] one-hot, t[2] one-hot",
        "  where all(box(u, -1, 1), box(v, -1, 1), all(abs(u - v) <= 0.1), any(s != t))",
        "  then  argmax(random_mlp_2(concat(u, s))) == argmax(random_mlp_2(concat(v, t)))",
    ]


@pytest.mark.parametrize("ask", [nn.props.robust, nn.props.targeted])
def test_of_one_output_no_class_is_asked(ask: Callable[..., nn.Property]) -> None:
    """It is always the largest: robustness would be verified, and attacks would find nothing, whatever it does."""
    with pytest.raises(InputError, match="has one output"):
        ask(nn.zoo.random_mlp(1, widths=(3, 5, 1)), CENTRE, 0, "0.1")


@pytest.mark.parametrize("make", [nn.props.robust, nn.props.targeted])
def test_what_items_share_is_made_once_and_every_query_is_its_own(make: Callable[..., nn.Property]) -> None:
    twin = nn.zoo.random_mlp(3, widths=(3, 6, 4))
    for label, eps in itertools.product((0, 2, np.int64(2)), (0, "1/3", 0.25)):
        x = nn.Variable(3, name="x")
        taken = nn.argmax(twin(x)) == label if make is nn.props.robust else nn.argmax(twin(x)) != label
        alone = nn.forall(x, where=nn.ball(x, CENTRE, eps, within=(-1, 1)), then=taken, name=make.__name__)
        shared = make(twin, CENTRE, label, eps, within=(-1, 1))
        assert shared.query.hash == alone.query.hash
        assert (shared.query.text, shared.query.labels) == (alone.query.text, alone.query.labels)
        assert nn.parse(shared.text(), [twin]).query.hash == alone.query.hash
    first, second = make(twin, CENTRE, 2, 0.1), make(twin, -CENTRE, 2, 0.2)
    assert first.then is second.then
    assert first.query.rows is second.query.rows
    assert pickle.loads(pickle.dumps(first)).query.hash == first.query.hash
    for wrong in (True, 1.0, 4, "1", [1]):  # True and 1.0 are equal to 1
        make(twin, CENTRE, 1, 0.1)
        with pytest.raises(nn.NnsymError):
            make(twin, CENTRE, wrong, 0.1)


def test_what_is_shared_goes_with_the_network() -> None:
    f = nn.zoo.random_mlp(5, widths=(3, 4, 2))
    p, gone = nn.props.robust(f, CENTRE, 0, 0.1), weakref.ref(f)
    assert p.query.rows is not None
    del f, p
    gc.collect()
    assert gone() is None


def test_monotone_and_dead_neurons_are_decided() -> None:
    grows = nn.sequential([([[1.0, -1.0], [2.0, 0.5]], [0.0, 1.0]), ([[1.0, 1.0]], [0.0])], name="grows")
    assert nn.verify(nn.props.monotone(grows, 0, -1, 1), "smt").status is Verdict.VERIFIED
    assert nn.verify(nn.props.monotone(grows, 0, -1, 1, increasing=False)).status is Verdict.FALSIFIED
    assert nn.verify(nn.props.monotone(grows, 1, -1, 1)).status is Verdict.FALSIFIED
    assert nn.verify(nn.props.dead_neuron(grows, "relu_1", 1, -2, -1)).status is Verdict.VERIFIED
    assert nn.verify(nn.props.dead_neuron(grows, "relu_1", 1, -2, 1)).status is Verdict.FALSIFIED
    for make in (
        lambda: nn.props.monotone(grows, 2, -1, 1),
        lambda: nn.props.fair(grows, -1, 1, [0]),
        lambda: nn.props.fair(grows, -1, 1, [0, 1]),
    ):
        with pytest.raises(InputError):
            make()


def ten_classes() -> tuple[nn.Network, np.ndarray, int]:
    g = nn.zoo.random_mlp(11, widths=(3, 6, 10))
    centre = np.array([0.5, 0.25, 0.75])
    return g, centre, int(g.evaluate(centre).argmax())


def test_ten_classes_are_one_program_and_its_optimum_is_the_margin(tmp_path: Path) -> None:
    """C1: f_c > max of the nine others, strictly: a tie is a violation."""
    g, centre, c = ten_classes()
    x = nn.Variable(3)
    y = g(x)
    others = [j for j in range(10) if j != c]
    margin, where = y[c] - nn.max(y[others]), nn.ball(x, centre, 0.125, within=(0, 1))
    p = nn.forall(x, where=where, then=margin > 0, name="strict winner")
    _, program, _ = build_program(p, "bigm")
    assert program.disjuncts == ()  # one MILP: no disjunct is left to solve by itself
    optimum = nn.minimize(margin, "bigm", where=where)
    table = nn.margin_table(g, centre, c, 0.125, "bigm", within=(0, 1))
    assert optimum.gap <= 2e-6
    assert optimum.upper == pytest.approx(min(m.upper for m in table.margins), abs=2e-6)
    pairs = [minimum_margin(nn.forall(x, where=where, then=y[c] > y[j]).query, max_unstable=20).margin for j in others]
    assert optimum.lower <= min(pairs) <= optimum.upper
    result = nn.verify(p)
    assert result.status is (Verdict.VERIFIED if min(pairs) > 0 else Verdict.FALSIFIED)
    assert nn.verify(nn.forall(x, where=where, then=nn.wins(y, c))).status is result.status
    far = nn.verify(nn.forall(x, where=nn.ball(x, centre, 4), then=margin > 0))
    assert far.counterexample is not None
    out = g.evaluate(far.counterexample.inputs["x"].astype(float))
    assert out[c] <= np.delete(out, c).max()
    for name in ("p.lp", "p.mps", "p.smt2"):
        assert nn.export(p, tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize("ball", [True, False])
def test_an_l1_ball_and_a_plane_cost_rows_that_grow_linearly(ball: bool) -> None:
    """C2: norm(x - x0, 1) <= r, a x <= b and a box, for n = 10, 20, 40; nothing is 2^n."""

    def sizes(n: int) -> tuple[int, int, int]:
        rng = np.random.default_rng(0)
        g = nn.zoo.random_mlp(1, widths=(n, 4, 2))
        x = nn.Variable(n)
        near = nn.ball(x, 0.5, 1, p=1) if ball else nn.norm(x - 0.5, 1) <= 1
        where = nn.box(x, 0, 1) & near & (rng.integers(1, 4, n) @ x <= n)
        p = nn.forall(x, where=where, then=g(x)[0] >= g(x)[1] - 100)
        _, program, _ = build_program(p, "bigm")
        return program.n_rows, program.n_columns, program.n_binary

    ten, twenty, forty = (np.array(sizes(n)) for n in (10, 20, 40))
    assert (forty - twenty <= 2 * (twenty - ten) + 8).all()  # a row of the network may be decided or open
    assert (forty <= 6 * 40 + 60).all()


@pytest.mark.parametrize("seed", range(drawn(4, 2)))
def test_an_l1_ball_and_a_plane_are_decided_exactly(seed: int) -> None:
    g = nn.zoo.random_mlp(seed, widths=(3, 3, 2))
    x = nn.Variable(3)
    where = nn.box(x, -1, 1) & (nn.norm(x - [0.25, 0, -0.5], 1) <= "0.75") & (x[0] + 2 * x[1] <= 1)
    y = g(x)
    least = minimum_margin(nn.forall(x, where=where, then=y[0] >= y[1]).query, max_unstable=20).margin
    for offset, expected in ((0, Verdict.VERIFIED), (Fraction(1, 100), Verdict.FALSIFIED)):
        p = nn.forall(x, where=where, then=y[0] >= y[1] + Fraction(least) + offset)
        for method in ("bigm", "smt"):
            assert nn.verify(p, method).status is expected


def brute(g: nn.Network, deviation: Fraction, categories: int) -> bool:
    """Individual fairness by every pair of categories: continuous properties for the exact oracle."""
    u, v = nn.Variable(2, name="u"), nn.Variable(2, name="v")
    unit = np.eye(categories)
    for s, t in itertools.permutations(range(categories), 2):
        where = [nn.box(u, -1, 1), nn.box(v, -1, 1), nn.all(nn.abs(u - v) <= deviation)]
        y, z = g(nn.concat(u, unit[s])), g(nn.concat(v, unit[t]))
        unfair = nn.exists([u, v], where=where, then=(y[0] > 0) & (z[0] <= 0))
        strict = minimum_margin(unfair.query, max_unstable=20).margin
        if strict < 0:
            return False
    return True


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(k, marks=pytest.mark.slow) for k in (0, 5, 9))])
def test_fairness_with_a_category_is_what_all_pairs_of_categories_say(seed: int, tmp_path: Path) -> None:
    """C5: two applications, s != s', if and only if, integrality; solvers against enumeration."""
    g = nn.zoo.random_mlp(seed, widths=(5, 4, 1))
    p = nn.props.fair(g, -1, 1, [2, 3, 4], deviation="0.25")
    expected = Verdict.VERIFIED if brute(g, Fraction(1, 4), 3) else Verdict.FALSIFIED
    for method in ("bigm", "smt", None):
        result = nn.verify(p, method)
        assert result.status is expected, (method, result)
        if result.counterexample is None:
            continue
        found = {name: np.array(v, dtype=float) for name, v in result.counterexample.inputs.items()}
        for name in "st":
            assert sorted(found[name]) == [0, 0, 1]
        assert (found["s"] != found["t"]).any()
        apart = result.counterexample.inputs["u"] - result.counterexample.inputs["v"]  # rationals
        assert np.abs(apart).max() <= Fraction(1, 4)
        decisions = [g.evaluate(np.concatenate((found[a], found[b])))[0] > 0 for a, b in (("u", "s"), ("v", "t"))]
        assert decisions[0] != decisions[1]
    text = nn.export(p, tmp_path / "fair.smt2").read_text()
    assert "(declare-const |s[0].value| Bool)" in text
    assert "s[0].value" in nn.export(p, tmp_path / "fair.lp").read_text()


def test_one_hot_variables_are_choices() -> None:
    s = nn.one_hot((2, 3), name="s")
    p = nn.forall(s, then=nn.all(s.sum(axis=1) == 1) & nn.all(s.max(axis=1) == 1))
    for method in ("smt", "bigm"):
        assert nn.verify(p, method).status is Verdict.VERIFIED
    _, program, _ = build_program(p, "bigm")
    assert (program.kind == Kind.BINARY).sum() >= 6
    assert not p.query.violated(p.query.values({s.input: np.array([1.0, 1.0, 0, 0, 0, 1])}))
    assert p([1, 0, 0, 0, 0, 1])
    weights = np.array([[3.0, 1.0, 2.0], [0.5, -1.0, 4.0]])
    for method in ("bigm", "smt", None):
        best = nn.maximize((weights * s).sum(), method)
        assert best.upper == pytest.approx(7, abs=1e-5)
        assert best.lower == 7
        assert best.point is not None
        assert best.point.inputs["s"].tolist() == [1, 0, 0, 0, 0, 1]
    ordered = nn.exists(s, where=s[0, 0] > s[1, 0], then=s[1, 1] + s[1, 2] < 1)
    assert nn.verify(ordered, "bigm").status is Verdict.FALSIFIED  # strict integer rows stay strict in a MILP


def satisfied(clauses: list[list[int]], n: int) -> int:
    """The most clauses that one assignment satisfies."""
    return max(
        sum(any((k > 0) == values[abs(k) - 1] for k in clause) for clause in clauses)
        for values in itertools.product((False, True), repeat=n)
    )


@pytest.mark.parametrize("seed", range(5))
def test_sat_formulas_as_networks(seed: int) -> None:
    """Violated iff satisfiable, and the margin counts clauses; against all assignments."""
    rng = np.random.default_rng(seed)
    n, m = 4, 10 + 6 * (seed % 3)
    clauses = [(rng.permutation(n)[:3] + 1) * rng.choice([-1, 1], 3) for _ in range(m)]
    clauses = [[int(k) for k in clause] for clause in clauses]
    if seed % 2:
        clauses += [[1], [-1, 2], [-2]]
    most = satisfied(clauses, n)
    p = nn.zoo.unsatisfiable(clauses)
    x = nn.Variable(n)
    for method in ("bigm", None):
        assert nn.verify(p, method).status is (Verdict.FALSIFIED if most == len(clauses) else Verdict.VERIFIED)
    best = nn.maximize(nn.zoo.sat3(clauses)(x)[0], "bigm", where=nn.box(x, 0, 1))
    assert best.upper == pytest.approx(most, abs=5e-6)
    assert best.lower == most
    with pytest.raises(InputError, match="one to three literals"):
        nn.zoo.sat3([[1, 2, 3, 4]])
