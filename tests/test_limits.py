"""Long steps look at the clock between layers, points and tries: what they answer then is less, and never wrong."""

from __future__ import annotations

import importlib
import re
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from moments import Moments, cut_short

import nnsym as nn
from nnsym.ask.lipschitz.jacobians import by_regions, entries
from nnsym.ask.lipschitz.slope import slope_between
from nnsym.ask.lipschitz.space import Space
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.maps.torch_maps import SparseMap
from nnsym.bounds.lipschitz.certificate import _exact_matrix, _matrix, certified
from nnsym.bounds.lipschitz.distance import NORMS, Distance, propagate
from nnsym.bounds.lipschitz.jacobian import interval_jacobian
from nnsym.bounds.lipschitz.multipliers import search as search_multipliers
from nnsym.bounds.lipschitz.sectors import sectors
from nnsym.bounds.points.attack import lowest
from nnsym.bounds.points.steep import steep_pairs
from nnsym.bounds.points.tape import Tape
from nnsym.certify.emit import UncertifiedError, certified_unsat
from nnsym.encode.affine import Terms
from nnsym.evidence.certificates import find_certificate
from nnsym.evidence.draw import Heard, Sampler, samples_at_once
from nnsym.ir.intervals import interval_run
from nnsym.replay.real import run_real
from nnsym.results.clock import Deadline, OutOfTime, latest
from nnsym.testing.random_nets import KINDS, random_network

RNG = np.random.default_rng(0)


def space(seed=1, widths=(3, 8, 8, 2), box=True) -> Space:
    return Space.of(nn.zoo.random_mlp(seed, widths=widths), (-1, 1) if box else None)


def ranges_of(s: Space):
    return interval_run(s.nodes, {s.x: s.query.boxes[s.x].outer})


def system_of(s: Space, deadline=None):
    inner = tuple(n for n in s.nodes if n is not s.x)
    return sectors(s.root, (s.x,), ranges_of(s), inner, **({"deadline": deadline} if deadline else {}))


def test_steep_pairs_of_what_there_was_time_for() -> None:
    s = space()
    steepest = []
    for few, pairs in cut_short(
        lambda end: steep_pairs(s.root, s.x, s.place(), p=2, q=2, deadline=end),  # type: ignore[arg-type]
        6,
    ):
        assert all(s.holds(a) and s.holds(b) for a, b in pairs)
        assert pairs or few is not None
        steepest.append(max((slope_between(s, a, b, 2, 2).value for a, b in pairs[:1]), default=0.0))
    assert steepest[1] == 0.0  # no look at all
    assert max(steepest[1:]) <= steepest[0]
    assert steepest[-1] > 0


def test_multipliers_that_were_found_in_time_prove_what_they_say() -> None:
    system = system_of(space(widths=(3, 5, 5, 2)))
    best = np.inf
    for few, found in cut_short(lambda end: search_multipliers(system, steps=25, deadline=end), 6):  # type: ignore[arg-type]
        if few is None:
            best = found.rho
        elif found is None:
            assert few < 20
        else:
            assert found.rho >= best
            assert np.sqrt(best) <= certified(system, found.multipliers, found.rho) < np.inf
    assert certified(system, found.multipliers, found.rho, deadline=Moments(0)) == np.inf  # type: ignore[arg-type]


def test_sectors_that_are_not_finished_are_none_at_all() -> None:
    s, every = space(), Moments()
    assert system_of(s, every) is not None
    for few in range(every.taken):
        with pytest.raises(OutOfTime):
            system_of(s, Moments(few))


@pytest.mark.parametrize("kind", KINDS)
def test_the_matrix_of_a_certificate_holds_the_exact_one(kind: str) -> None:
    s = Space.of(random_network(kind, 3), (-1, 1))
    system = system_of(s)
    if system is None:
        pytest.skip("no sectors of such a graph")
    multipliers = tuple(RNG.uniform(0.1, 2, b.size) for b in system.blocks)
    matrix, error = _matrix(system, multipliers)
    off = _exact_matrix(system, multipliers, 0.0) - np.vectorize(Fraction)(matrix)
    assert (off >= -error).all()  # above it where sums of multipliers are rounded up
    if all(b.groups is None for b in system.blocks):
        assert (off <= error).all()
        assert error.max() < 1e-9 * max(1.0, np.abs(matrix).max())


def test_distances_that_came_late_are_any() -> None:
    s = space()
    start, ranges = {s.x: Distance.of(np.ones(3), inf=1.0)}, ranges_of(s)
    whole = propagate(s.nodes, start, ranges)
    for few, found in cut_short(lambda end: propagate(s.nodes, start, ranges, deadline=end)):  # type: ignore[arg-type]
        for node in s.nodes:
            assert (found[node].each >= whole[node].each).all()
            assert all(found[node][p] >= whole[node][p] for p in NORMS)
        assert few is None or np.isinf(found[s.root].two)


def test_a_jacobian_is_given_whole_or_not_at_all() -> None:
    s, every = space(), Moments()
    ranges = ranges_of(s)
    interval_jacobian(s.root, s.x, ranges, deadline=every)  # type: ignore[arg-type]
    many = Moments()
    entries(s, many)  # type: ignore[arg-type]
    some = Moments()
    by_regions(space(widths=(2, 4, 1)), 2, 2, some)  # type: ignore[arg-type]
    for few in range(every.taken):
        with pytest.raises(OutOfTime):
            interval_jacobian(s.root, s.x, ranges, deadline=Moments(few))  # type: ignore[arg-type]
    with pytest.raises(OutOfTime):
        entries(s, Moments(many.taken - 1))  # type: ignore[arg-type]
    with pytest.raises(OutOfTime):
        by_regions(space(widths=(2, 4, 1)), 2, 2, Moments(some.taken - 1))  # type: ignore[arg-type]


def test_regions_of_a_large_network_are_refused_before_anything_is_made_of_fractions() -> None:
    f = nn.zoo.random_mlp(0, widths=(900, 900, 2))  # 810,000 Fractions, minutes, for the inputs alone
    with pytest.raises(nn.UnsupportedError, match="open neurons"):
        nn.lipschitz(f, -1, 1, "exact")


@pytest.mark.parametrize("method", [None, "norms", "sdp", "jacobian", "exact", "crown", "bigm"])
def test_a_constant_without_time_is_infinite_and_says_so(method: object) -> None:
    found = nn.lipschitz(nn.zoo.random_mlp(1, widths=(3, 8, 8, 2)), -1, 1, method, p="inf", q="inf", timeout=1e-9)
    whole = nn.lipschitz(nn.zoo.random_mlp(1, widths=(3, 8, 8, 2)), -1, 1, "norms", p="inf", q="inf")
    assert found.certified >= whole.falsified
    assert all(t.note in ("no time", "no bound") for t in found.tried if np.isinf(t.bound))


def test_points_that_no_run_was_made_of_are_no_candidates() -> None:
    s = space(widths=(4, 8, 8, 3))
    x = nn.Variable(4, name="x")
    y = nn.zoo.random_mlp(1, widths=(4, 8, 8, 3))(x)
    query = nn.forall(x, where=nn.box(x, -1, 1), then=y[0] >= y[1]).query
    tape, start = Tape(query), {query.inputs[0]: RNG.uniform(-1, 1, (5, 4))}
    limits = {query.inputs[0]: (np.full((5, 4), -1.0), np.full((5, 4), 1.0))}

    def ask(end):
        return lowest(tape, start, limits, steps=20, rng=np.random.default_rng(0), deadline=end)

    for few, found in cut_short(ask):
        for k in range(5):
            own = query.margin(query.values({x: v[k] for x, v in found.points.items()}))
            assert found.margin[k] == pytest.approx(own) or (few is not None and found.margin[k] == np.inf)
        assert few != 0 or np.isinf(found.margin).all()
    assert s.query is not None


def test_a_point_that_there_was_no_time_for_is_no_counterexample() -> None:
    f = nn.zoo.random_mlp(1, widths=(40, 900, 900, 3))  # so large that intervals come first
    x = nn.Variable(40, name="x")
    y = f(x)
    query = nn.forall(x, where=nn.box(x, -1, 1), then=y[0] >= 10**6).query
    point = {query.inputs[0]: np.zeros(40)}
    whole = run_real(query, point)
    assert whole.found
    assert whole.by == "intervals"
    assert not run_real(query, point, deadline=Deadline(-np.inf)).found


def test_the_last_answer_in_time_counts() -> None:
    def answers(end):
        for k in range(3):
            end.check()
            yield k

    assert [latest(answers(Moments(k))) for k in range(5)] == [None, 0, 1, 2, 2]


def test_entries_in_any_order_are_the_same_sparse_matrix() -> None:
    data, columns, ends = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2, 0, 1, 0]), np.array([0, 2, 2, 4])
    full = np.array([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0], [4.0, 3.0, 0.0]])
    made, maps = SparseMap(Maps().tensor(data), columns, ends, 3, exact=True), Maps()
    x, y = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3))
    assert np.allclose(made.apply(maps.tensor(x)), x @ full.T)
    assert np.allclose(made.adjoint(maps.tensor(y)), y @ full)
    assert np.allclose(made.stretch(maps.tensor(np.abs(x))), np.abs(x) @ full.T)


def test_runs_of_a_partition_are_the_same_in_groups_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("nnsym_encodings.partition")
    counts = RNG.integers(1, 6, 50)
    ends = np.concatenate(([0], np.cumsum(counts)))
    data = RNG.choice([-2.0, -1.0, 1.0, 2.0], ends[-1])  # ties
    terms = Terms(data, np.arange(len(data)), ends, False)
    split = SimpleNamespace(terms=terms, lower=RNG.random(len(data)) - 1, upper=RNG.random(len(data)) + 1)
    whole = module.runs(split, 2)
    monkeypatch.setattr(module, "_AT_ONCE", 7)
    looks = Moments()
    parts = module.runs(split, 2, looks.check)
    assert looks.taken > 10
    assert all((getattr(whole, name) == getattr(parts, name)).all() for name in ("owner", "lower", "upper"))
    assert (whole.terms.data == parts.terms.data).all()
    assert (whole.terms.columns == parts.terms.columns).all()


def test_a_certificate_that_there_was_no_time_for_is_none() -> None:
    x = nn.Variable(2, name="x")
    y = nn.zoo.random_mlp(1, widths=(2, 3, 2))(x)
    query = nn.forall(x, where=nn.box(x, 0, 1), then=y[0] <= y[1] + 10**6).query
    every = Moments()
    assert certified_unsat(query, every).claim == "unsat"  # type: ignore[arg-type]
    for few in range(0, every.taken, 2):
        with pytest.raises(UncertifiedError, match="no time"):
            certified_unsat(query, Moments(few))  # type: ignore[arg-type]


class Late(Heard):
    """Time is over at the look of this number."""

    def __init__(self, look: int) -> None:
        self.left = look

    def late(self) -> bool:
        self.left -= 1
        return self.left <= 0


@pytest.mark.parametrize("certificate", ["np", "dsrs"])
def test_samples_end_with_the_time_whatever_they_are_drawn_for(certificate: str) -> None:
    """Selecting and a second noise look at the clock too, and what is said is what there was time for."""
    f = nn.zoo.random_mlp(0, widths=(6, 8, 3))
    noise, asked = nn.general_gaussian(0.5, 2) if certificate == "dsrs" else nn.gaussian(0.5), {}
    sampler = Sampler.of(f, noise, 3, 10)
    for look in range(1, 12):
        found = sampler.evidence(
            np.zeros(6), n=60, n0=30, seed=0, certificate=find_certificate(certificate), heard=Late(look)
        )
        asked[look] = (sum(found.selected), found.n, found.stop)
    looks = {k: min(30, 10 * k) for k in asked}
    assert all(asked[k][0] == looks[k] for k in asked)
    assert asked[1] == (10, 10, "sequential")
    assert asked[5][1:] == (20, "sequential")
    assert asked[11][2] == "fixed"


def test_a_batch_of_samples_is_small_where_the_network_is_large() -> None:
    small, large = nn.zoo.random_mlp(0, widths=(6, 8, 3)), nn.zoo.random_mlp(0, widths=(6, 900, 900, 3))
    assert samples_at_once(small) == 4096
    assert samples_at_once(large) < 400
    point = np.zeros(6)
    one, other = (Sampler.of(small, nn.gaussian(0.5), 3, k) for k in (0, 7))
    options = {"n": 100, "n0": 20, "seed": 1, "certificate": find_certificate("np")}
    assert one.evidence(point, **options).counts == other.evidence(point, **options).counts  # type: ignore[arg-type]


def test_no_limit_goes_by_a_clock_that_somebody_may_set() -> None:
    """``time.time`` jumps with the system's clock; deadlines go by ``perf_counter`` and ``monotonic``."""
    root = Path(__file__).resolve().parents[1]
    files = [*(root / "nnsym").rglob("*.py"), *(root / "encodings").rglob("*.py")]
    assert len(files) > 300
    clocks = re.compile(r"\btime\.(time|time_ns|localtime|gmtime)\b|from time import")
    assert not [file for file in files if clocks.search(file.read_text("utf-8"))]
