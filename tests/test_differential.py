"""Two runs at once: difference nodes are exact, their bounds sound and never looser than those of the runs apart."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.bounds.engine.backward.slopes import preconditions
from nnsym.bounds.methods import compute, find_source
from nnsym.bounds.pairs.differential import DIFFERENTIAL
from nnsym.ir.check import check_query
from nnsym.ir.domain import Box
from nnsym.ir.evaluate import evaluate
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms, conjunction
from nnsym.ir.linear import Dense, Scale, Select, Sparse, identity
from nnsym.ir.node import Affine, affine, maximum, new_input, pointwise
from nnsym.ir.pairs.difference import Difference, difference
from nnsym.ir.pairs.paired import pair
from nnsym.ir.pairs.pairs import map_difference
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows, stack
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import Hinge, absolute, leaky_relu, relu
from nnsym.ir.walk import fold
from nnsym.testing.random_nets import KINDS, random_network

pytestmark = pytest.mark.slow

SOURCES = ("ibp", "zonotope", "forward", "crown-ibp", "crown", "alpha:3")
HOW = ("shared", "near", "free")


def related(root, inputs, rng):
    """The graph over other inputs; with ``rng``, its weights moved by amounts that no float difference holds."""

    def rule(node, parents):
        if node in inputs:
            return inputs[node]
        if rng is None or not isinstance(node, Affine) or not all(isinstance(m, Dense) for m in node.maps):
            return node.with_parents(parents) if parents else node
        maps = [Dense(m.weight * (1 + rng.choice([0, 1e-3, 1 / 3], m.weight.shape))) for m in node.maps]
        return affine(tuple(zip(maps, parents, strict=True)), node.bias + rng.normal(size=node.size) / 3)

    return fold([root], rule)[root]


def compared(root, x, how, rng, *, other=False, radius=1.0):
    """``root(x) - root'(z)`` row by row: z is x (with other weights), near x by a precondition, or free."""
    z = x if how == "shared" else new_input("z", x.size)
    second = related(root, {x: z}, rng if other or how == "shared" else None)
    centre = rng.integers(-8, 9, x.size) / 8
    boxes = dict.fromkeys((x, z), Box(centre - radius, centre + radius))
    rows = Rows.of(root) - Rows.of(second)
    rows = stack((rows, -rows, Rows.of(root) + Rows.of(second).scale(Fraction(-1, 3))))
    formula = Atoms(np.arange(len(rows)), True, True)
    if how == "near":  # z - x in [0, 1/8] at some elements, 0 at the others
        apart = Rows.of(z) - Rows.of(x)
        most = Rows.constants(np.where(np.arange(x.size) % 2, 0.125, 0.0))
        hard = stack((apart - most, -apart))
        formula = conjunction(Atoms(len(rows) + np.arange(len(hard)), False, soft=False), formula)
        rows = stack((rows, hard))
    return Query(how, boxes, rows, formula), z


def runs(query, x, z, rng, count=12):
    """Exact points of the domain, corners among them, near ones first."""
    box = query.boxes[x]
    steps = rng.choice([0, 64, *range(65)], (count, x.size))
    one = to_fractions(box.lower) + (to_fractions(box.upper) - to_fractions(box.lower)) * to_fractions(steps / 64.0)
    if z is x:
        return {x: one}
    near = one + to_fractions(np.arange(x.size) % 2 * rng.choice([0, 0.0625, 0.125], (count, x.size)))
    far = one[::-1]
    two = near if query.name == "near" else np.where(rng.random((count, x.size)) < 0.5, one, far)
    inside = (two <= to_fractions(box.upper)).all(axis=1)
    return {x: one[inside], z: two[inside]}


def node_values(paired, point):
    """Values of all nodes over differences, those of the new inputs computed from the original ones."""
    given = {**point, **{gap: point[a] - point[b] for gap, (a, b) in paired.inputs.items()}}
    return evaluate((*paired.query.nodes, *paired.gaps.values(), *paired.nodes.values()), given)


def refuted(query, x, z, rng, sources=SOURCES):
    """How many exact values lie outside their bounds: nodes, rows, differences."""
    point = runs(query, x, z, rng)
    values = query.values(point, exact=True)
    rows = query.rows.value(values)
    assert (rows[:, preconditions(query)] <= 0).all()
    found = 0
    for source in sources:
        bounds = compute(query, source)
        found += int((rows < bounds.rows.lower).sum() + (rows > bounds.rows.upper).sum())
        for node in query.nodes:
            found += int((values[node] < bounds[node].lower).sum() + (values[node] > bounds[node].upper).sum())
        assert bounds.differences
        for (a, b), interval in bounds.differences.items():
            apart = values[a] - values[b]
            found += int((apart < interval.lower).sum() + (apart > interval.upper).sum())
    return found


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6), how=st.sampled_from(HOW), other=st.booleans())
def test_a_query_over_differences_says_the_same(kind, seed, how, other):
    rng = np.random.default_rng(seed)
    network = random_network(kind, seed)
    x = next(iter(network.inputs.values())).node
    query, z = compared(next(iter(network.outputs.values())).node, x, how, rng, other=other)
    paired = pair(query)
    check_query(paired.query)
    point = runs(query, x, z, rng)
    values, original = node_values(paired, point), query.values(point, exact=True)
    for (a, b), gap in paired.gaps.items():
        assert (values[gap] == original[a] - original[b]).all()
    for node, same in paired.nodes.items():
        assert (values[same] == original[node]).all()
    rows = paired.query.rows.value({n: values[n] for n in paired.query.rows.parts})
    assert (rows[:, : len(query.rows)] == query.rows.value(original)).all()
    for gap in paired.inputs:
        box = paired.query.boxes[gap]
        assert (values[gap] >= box.lower).all()
        assert (values[gap] <= box.upper).all()


@settings(max_examples=12, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6), how=st.sampled_from(HOW), other=st.booleans())
def test_exact_values_of_random_pairs_are_inside(kind, seed, how, other):
    rng = np.random.default_rng(seed)
    network = random_network(kind, seed)
    x = next(iter(network.inputs.values())).node
    query, z = compared(next(iter(network.outputs.values())).node, x, how, rng, other=other)
    assert refuted(query, x, z, rng) == 0


def rough(rng, activation, x):
    """A residual network with a maximum, of weights that cancel: 1/3, 1e8 beside -1e8, 1e-9."""

    def dense(m, n):
        weight = rng.normal(size=(m, n)) / 3
        weight[0] *= 1e8
        weight[-1] = -weight[0] + rng.normal(size=n)
        weight[:, 0] *= rng.choice([1.0, 1e-9, 0.0])
        return Dense(weight)

    h = affine(((dense(4, x.size), x),), rng.normal(size=4))
    a = pointwise(activation, h)
    g = affine(((dense(4, 4), a), (identity(4), h)), rng.normal(size=4))
    m = maximum(g, [[0, 3], [1, 2], [1, -1], [0, 1]])
    return affine(((Dense(rng.normal(size=(2, 4))), m), (dense(2, 4), a)), rng.normal(size=2))


ACTIVATIONS = {
    "relu": relu(),
    "abs": absolute(),
    "prelu": Hinge(np.array([0.3, -0.7, 1.5, 0.0]), np.array([1.0, 1.0, 0.2, -1.0])),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), how=st.sampled_from(HOW), radius=st.sampled_from([0.125, 1.0]))
def test_exact_values_of_cancelling_pairs_are_inside(activation, seed, how, radius):
    rng = np.random.default_rng(seed)
    x = new_input("x", 3)
    query, z = compared(rough(rng, ACTIVATIONS[activation], x), x, how, rng, radius=radius)
    assert refuted(query, x, z, rng, ("ibp", "crown")) == 0


@settings(max_examples=15, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6), how=st.sampled_from(HOW))
def test_never_looser_than_the_runs_apart(kind, seed, how):
    rng = np.random.default_rng(seed)
    network = random_network(kind, seed)
    x = next(iter(network.inputs.values())).node
    query, _ = compared(next(iter(network.outputs.values())).node, x, how, rng)
    for source in ("ibp", "crown", "alpha:3"):
        plain, together = find_source(source).compute(query), compute(query, source)
        assert (together.rows.lower >= plain.rows.lower).all()
        assert (together.rows.upper <= plain.rows.upper).all()
        assert all((together[n].lower >= plain[n].lower).all() for n in query.nodes)


@pytest.mark.parametrize("fn", [Sigmoid(), Tanh(), leaky_relu(0.1)], ids=lambda fn: fn.name)
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_one_neuron_by_sampling(fn, scale):
    """Lines in each phase and across, on all sides: every pair of arguments of a fine grid."""
    x, z = new_input("x", 1), new_input("z", 1)
    rows = Rows.of(pointwise(fn, x)) - Rows.of(pointwise(fn, z))
    for low, high in ((-1.0, 1.0), (0.1, 1.0), (-1.0, -0.2)):
        for least, most in ((-0.3, 0.1), (0.1, 0.4), (-0.5, -0.1)):
            hard = stack(
                (Rows.of(x) - Rows.of(z) - Rows.constants([most]), Rows.of(z) - Rows.of(x) - Rows.constants([-least]))
            )
            formula = conjunction(Atoms(np.array([1, 2]), False, soft=False), Atoms(np.array([0]), True, True))
            box = Box(np.array([low * scale]), np.array([high * scale]))
            query = Query("one", {x: box, z: box}, stack((rows, hard)), formula)
            a, b = (v.ravel() for v in np.meshgrid(*[np.linspace(low, high, 201) * scale] * 2))
            kept = (a - b <= most) & (a - b >= least)
            apart = fn.value(a[kept]) - fn.value(b[kept])
            for source in ("ibp", "crown"):
                bounds = compute(query, source).rows
                slack = 1e-12
                assert bounds.lower[0] - slack <= apart.min(initial=np.inf)
                assert bounds.upper[0] + slack >= apart.max(initial=-np.inf)
                assert bounds.upper[0] - bounds.lower[0] <= (most - least) + abs(most + least) + slack


def test_stable_neurons_move_as_their_arguments():
    """In one phase the difference is a multiple of the gap, across phases it lies in the band's chords."""
    x, z = new_input("x", 3), new_input("z", 3)
    query_box = Box(np.array([1.0, -2.0, -1.0]), np.array([2.0, -1.0, 1.0]))
    rows = Rows.of(pointwise(leaky_relu(0.5), x)) - Rows.of(pointwise(leaky_relu(0.5), z))
    hard = Rows.of(x) - Rows.of(z)
    hard = stack((hard - Rows.constants(np.full(3, 0.25)), -hard - Rows.constants(np.full(3, 0.25))))
    formula = conjunction(Atoms(3 + np.arange(6), False, soft=False), Atoms(np.arange(3), True, True))
    query = Query("stable", {x: query_box, z: query_box}, stack((rows, hard)), formula)
    for source in ("ibp", "crown"):
        bounds = compute(query, source).rows
        np.testing.assert_allclose(bounds.upper[:3], [0.25, 0.125, 0.25], rtol=1e-12)
        np.testing.assert_allclose(bounds.lower[:3], [-0.25, -0.125, -0.25], rtol=1e-12)


def test_the_gap_of_related_weights_is_exact():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(5, 4)) * 10.0 ** rng.integers(-9, 9, (5, 4))
    b = a * (1 + rng.normal(size=(5, 4)) * 10.0 ** rng.integers(-15, 0, (5, 4)))
    exact = to_fractions(a) - to_fractions(b)
    sparse = Sparse(b[b > 0], np.nonzero(b > 0)[1], np.concatenate(([0], np.cumsum((b > 0).sum(1)))), 4)
    for left, right, expected in (
        (Dense(a), Dense(b), exact),
        (Dense(a), sparse, to_fractions(a) - to_fractions(np.where(b > 0, b, 0.0))),
        (Scale(a[0]), Scale(b[0]), np.diag(exact[0])),
        (Select([2, 0, -1], 4), Select([2, 1, 3], 4), np.array([[0, 0, 0, 0], [1, -1, 0, 0], [0, 0, 0, -1]])),
    ):
        total = sum(to_fractions(part.matrix().toarray()) for part in map_difference(left, right))
        assert (total == expected).all()
    assert map_difference(Dense(a), Dense(a)) == ()
    assert map_difference(Dense([[1e308]]), Dense([[-1e308]])) is None


def test_teacher_and_student_gain_orders_of_magnitude():
    rng = np.random.default_rng(0)
    x = new_input("x", 4)
    sizes = [4, 20, 20, 2]
    layers = [(rng.normal(size=(m, n)) / np.sqrt(n), 0.1 * rng.normal(size=m)) for n, m in itertools.pairwise(sizes)]

    def network(layers):
        node = x
        for k, (weight, bias) in enumerate(layers):
            node = affine(((Dense(weight), node if k == 0 else pointwise(relu(), node)),), bias)
        return node

    rounded = [(np.round(w * 1024) / 1024, np.round(b * 1024) / 1024) for w, b in layers]
    rows = Rows.of(network(layers)) - Rows.of(network(rounded))
    query = Query("student", {x: Box(-np.ones(4), np.ones(4))}, rows, Atoms(np.arange(2), True, True))
    for source in ("ibp", "zonotope", "crown", "alpha:3"):
        plain, together = find_source(source).compute(query), compute(query, source)
        assert (together.rows.upper * 50 < plain.rows.upper).all()
        assert together.rows.source == DIFFERENTIAL


def test_what_has_nothing_to_compare_stays_as_it_is():
    network = random_network("residual", 0)
    x = next(iter(network.inputs.values())).node
    y = next(iter(network.outputs.values())).node
    box = {x: Box(-np.ones(2), np.ones(2))}
    assert pair(Query("one", box, Rows.of(y), Atoms(np.arange(1), True, True))) is None
    other = related(next(iter(random_network("dense", 1, width=5).outputs.values())).node, {}, None)
    rows = Rows.of(y) - Rows.of(other)
    free = [n for n in fold([other], lambda n, p: n) if not n.parents][:1]
    query = Query("unlike", {**box, **dict.fromkeys(free, box[x])}, rows, Atoms(np.arange(3), True, True))
    assert compute(query, "crown").differences == {}


def test_a_batch_of_boxes_is_what_each_box_gets_alone():
    rng = np.random.default_rng(3)
    network = random_network("dense", 3)
    x = next(iter(network.inputs.values())).node
    query, z = compared(next(iter(network.outputs.values())).node, x, "near", rng)
    box = query.boxes[x]
    halves = (np.stack([box.lower, box.lower]), np.stack([box.upper, 0.5 * (box.lower + box.upper)]))
    batch = compute(query, "crown", boxes={x: halves, z: halves})
    for i in range(2):
        alone = replace(query, boxes=dict.fromkeys((x, z), Box(halves[0][i], halves[1][i])))
        np.testing.assert_allclose(batch.box(i).rows.lower, compute(alone, "crown").rows.lower, atol=1e-9)
        assert set(batch.box(i).differences) == set(batch.differences)


def test_nodes_of_two_operations_have_no_difference():
    from nnsym.errors import InputError

    x, z = new_input("x", 2), new_input("z", 2)
    gap = affine(((identity(2), x), (Scale([-1.0, -1.0]), z)))
    node = difference(pointwise(relu(), x), pointwise(relu(), z), gap)
    assert isinstance(node, Difference)
    assert node is difference(pointwise(relu(), x), pointwise(relu(), z), gap)
    with pytest.raises(InputError, match="not one operation"):
        difference(pointwise(relu(), x), pointwise(absolute(), z), gap)


def test_only_members_that_can_win_count():
    """max(x0, x1) - max(z0, z1): x1 cannot win on the left, z1 can on the right, and the gaps differ."""
    x, z = new_input("x", 2), new_input("z", 2)
    rows = Rows.of(maximum(x, [[0, 1]])) - Rows.of(maximum(z, [[0, 1]]))
    boxes = {x: Box(np.array([2.0, 0.0]), np.array([3.0, 1.0])), z: Box(np.array([1.5, 0.0]), np.array([3.0, 2.5]))}
    query = Query("max", boxes, rows, Atoms(np.array([0]), True, True))
    for source in (
        "ibp",
        "crown",
    ):  # gaps in [-1, 1.5] and [-2.5, 1]: below at (2, 0) and (3, .), above at (3, .) and 1.5
        bounds = compute(query, source).rows
        assert bounds.upper[0] == pytest.approx(1.5)
        assert bounds.lower[0] <= -1.0
        values = query.values({x: np.array([[2.0, 0.0], [3.0, 0.0]]), z: np.array([[3.0, 2.5], [1.5, 0.0]])})
        assert (query.rows.value(values)[:, 0] >= bounds.lower[0]).all()


def test_the_loser_side_is_the_other_run():
    x, z = new_input("x", 2), new_input("z", 2)
    rows = Rows.of(maximum(x, [[0, 1]])) - Rows.of(maximum(z, [[0, 1]]))
    boxes = {x: Box(np.array([2.0, 0.0]), np.array([2.0, 0.0])), z: Box(np.array([0.0, 2.5]), np.array([1.0, 3.0]))}
    bounds = compute(Query("max", boxes, rows, Atoms(np.array([0]), True, True)), "ibp").rows
    assert bounds.lower[0] <= -1.0  # at z1 = 3, which only wins on the right: the gap of member 0 alone is at least 1
    assert bounds.upper[0] >= -0.5


@pytest.mark.parametrize("encoding", ["bigm", "smt"])
@pytest.mark.parametrize("bounds", ["crown", "alpha"])
def test_counterexamples_satisfy_the_equalities_that_the_bounds_used(encoding, bounds):
    """The bounds of ``x_0 - z_0`` are [0, 0] because of the precondition, which the program must not lose for that."""
    f = nn.sequential([([[1.0, -1.0]], [0.0]), ([[1.0]], [0.0])])
    x, z = nn.Variable(2, name="x"), nn.Variable(2, name="z")
    region = nn.box(x, 0, 1) & nn.box(z, 0, 1)
    p = nn.forall([x, z], where=region & (x[0] == z[0]), then=f(x)[0] <= f(z)[0], name="wrong")
    result = nn.verify(p, encoding, bounds=bounds)
    assert result.status.value == "falsified"
    found = result.counterexample.inputs
    assert found["x"][0] == found["z"][0]
