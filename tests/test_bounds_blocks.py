"""What spares backward passes work changes no bound: products stepped over, permuted windows, constants, copies."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from nnsym.bounds.engine.backward import descent
from nnsym.bounds.engine.backward.linear import Backward, crown
from nnsym.bounds.engine.maps.blocks import BlockMap, FullBlocks
from nnsym.bounds.engine.maps.contraction import contractions
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.maps.torch_maps import SelectMap
from nnsym.bounds.engine.maps.windows import Windows
from nnsym.bounds.methods import compute
from nnsym.ir.convolution import Conv
from nnsym.ir.domain import Box
from nnsym.ir.evaluate import evaluate
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense, Select, Sparse
from nnsym.ir.node import Affine, affine, new_input, pointwise, product
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.smooth_functions import Tanh
from nnsym.ir.univariate import relu, sign


def query_of(x, out, low, high):
    return Query("net", {x: Box(low, high)}, Rows.of(out), Atoms(np.arange(out.size), True, True, every=False))


def dense(rng, size, node):
    weight, bias = rng.normal(size=(size, node.size)) / np.sqrt(node.size), rng.normal(size=size) / 3
    return affine(((Dense(weight), node),), bias)


def copies(node, index):
    return affine(((Select(index.ravel(), node.size), node),), np.zeros(index.size))


def times(a, b, rows, inner, columns):
    """``a @ b`` as it is read: every product an element of its own, then a sum."""
    shape = (rows, columns, inner)
    i, j, k = np.indices(shape)
    pairs = product(copies(a, i * inner + k), copies(b, k * columns + j))
    ones = Sparse(np.ones(i.size), np.arange(i.size), np.arange(rows * columns + 1) * inner, i.size)
    return affine(((ones, pairs),), np.linspace(-1, 1, rows * columns))


def attention(seed, radius=0.2):
    """Products of computed tensors, one after another, with hinges and curves between."""
    rng = np.random.default_rng(seed)
    x = new_input("x", 6)
    a, b = pointwise(Tanh(), dense(rng, 6, x)), pointwise(relu(), dense(rng, 12, x))
    hidden = pointwise(relu(), times(a, b, 2, 3, 4))
    out = times(hidden, dense(rng, 8, x), 2, 4, 2)
    centre = rng.normal(size=6)
    return query_of(x, dense(rng, 3, out), centre - radius, centre + radius)


def same(one, other, query, tolerance=1e-9):
    for node in query.nodes:
        np.testing.assert_allclose(one[node].lower, other[node].lower, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(one[node].upper, other[node].upper, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(one.rows.lower, other.rows.lower, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(one.rows.upper, other.rows.upper, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("method", ["crown", "crown-zero", "crown-ibp", "alpha:3"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_stepping_over_products_changes_no_bound(method, dtype, monkeypatch):
    query = attention(1)
    assert len(contractions(query.nodes)) == 2
    found = compute(query, method, dtype=dtype)
    monkeypatch.setattr(descent, "sum_lines", lambda state, node: None)
    same(found, compute(query, method, dtype=dtype), query, 1e-9 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(3))
def test_stepping_over_products_is_sound(seed, dtype):
    rng, query = np.random.default_rng(seed), attention(seed)
    ((x, box),) = query.boxes.items()
    points = rng.uniform(box.lower, box.upper, size=(200, 6))
    found, spec = compute(query, "crown", dtype=dtype), query.spec[0]
    values = evaluate((*query.nodes, spec), {x: points})
    for node in query.nodes:
        assert (values[node] >= found[node].lower - 1e-12).all()
        assert (values[node] <= found[node].upper + 1e-12).all()
    assert (values[spec] >= found.rows.lower - 1e-12).all()


def test_a_batch_is_its_members_through_products():
    query = attention(2)
    ((x, box),) = query.boxes.items()
    low, high = np.stack((box.lower, box.lower + 0.1)), np.stack((box.upper, box.upper))
    batch = compute(query, "crown", boxes={x: (low, high)})
    for k in range(2):
        alone = compute(query_of(x, query.spec[0].parents[0], low[k], high[k]), "crown")
        same(batch.box(k), alone, query)


def test_the_price_of_stepping_over_products_is_paid(monkeypatch):
    """What rounding costs a pass is no less than node by node."""
    query = attention(3)

    def price():
        engine = Backward(query, *_domain(query), fixed={})
        engine.run(None)
        spec, state = query.spec[0], engine.state
        engine.prepare(spec)
        seed = descent.Seed.of(state, spec, torch.arange(3), torch.ones(3, dtype=torch.float64))
        free, paid = (descent.descend(state, seed, descent.Dual(), charge=charge) for charge in (False, True))
        return (free - paid).numpy()

    stepped = price()
    monkeypatch.setattr(descent, "sum_lines", lambda state, node: None)
    assert (stepped >= 0.8 * price()).all()


def test_offsets_of_sums_are_rounded_up():
    query = attention(3)
    engine = Backward(query, *_domain(query), fixed={})
    engine.run(None)
    for node, found in contractions(query.nodes).items():
        offsets = engine.state.known[found.product].high.reshape(node.size, -1)
        exact = [sum(map(Fraction, row)) for row in offsets.tolist()]
        assert all(
            Fraction(high) >= total
            for high, total in zip(descent.sum_lines(engine.state, node).high[0].tolist(), exact, strict=True)
        )


def _domain(query):
    from nnsym.bounds.engine.inputs import domain

    maps = Maps()
    return domain(query, None, maps)[0], maps


def test_products_that_others_read_are_not_stepped_over():
    rng, x = np.random.default_rng(0), new_input("x", 6)
    total = times(dense(rng, 6, x), dense(rng, 12, x), 2, 3, 4)
    read_twice = dense(rng, 3, total.parents[0])
    assert total in contractions((total.parents[0], total))
    assert total not in contractions((total.parents[0], total, read_twice))


def test_weighted_or_repeated_sums_are_not_stepped_over():
    x = new_input("x", 4)
    square = product(x, x)
    for data, index, starts in (
        ([1.0, 2.0, 1.0, 1.0], [0, 1, 2, 3], [0, 2, 4]),
        ([1.0, 1.0, 1.0], [0, 1, 2], [0, 2, 3]),
        ([1.0, 1.0, 1.0, 1.0], [0, 1, 1, 2], [0, 2, 4]),
    ):
        node = affine(((Sparse(np.array(data), np.array(index), np.array(starts), 4), square),), np.zeros(2))
        assert not contractions((square, node))


def test_blocks_of_a_permuted_matrix():
    rng = np.random.default_rng(0)
    full = np.kron(np.eye(16), np.ones((9, 12))) * rng.normal(size=(144, 192))
    matrix = full[rng.permutation(144)][:, rng.permutation(192)]
    matrix = np.concatenate((matrix[:, :5], np.zeros((144, 2)), matrix[:, 5:]), 1)  # columns that nobody reads
    row, column = np.nonzero(matrix)
    starts = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=144))))
    kind = Maps()[Sparse(matrix[row, column], column, starts, 194)]
    assert isinstance(kind, BlockMap)
    assert (kind.terms, kind.back) == (12, 9)
    x, y = rng.normal(size=(2, 3, 194)), rng.normal(size=(2, 3, 144))
    np.testing.assert_allclose(kind.apply(torch.tensor(x)), x @ matrix.T, atol=1e-12)
    np.testing.assert_allclose(kind.stretch(torch.tensor(x)), x @ np.abs(matrix).T, atol=1e-12)
    np.testing.assert_allclose(kind.adjoint(torch.tensor(y)), y @ matrix, atol=1e-12)
    np.testing.assert_allclose(kind.rows(torch.tensor([7, 0])), matrix[[7, 0]], atol=1e-12)


def test_blocks_have_to_be_full_and_of_one_size():
    for matrix in ([[1, 1, 0], [1, 0, 0]], [[1, 1, 0], [0, 0, 1]], [[1, 1], [0, 0]], [[1, 1, 0], [0, 1, 1]]):
        row, column = np.nonzero(matrix)
        assert FullBlocks.of(row, column, *np.shape(matrix)) is None


def convolutions(between, low=-1.0):
    """Two convolutions with signs and some copies between."""
    rng, x = np.random.default_rng(4), new_input("x", 2 * 8 * 8)
    first = Conv(rng.normal(size=(4, 2, 3, 3)), (2, 8, 8), (1, 1), (1, 1, 1, 1), (1, 1))
    node = between(affine(((first, x),), np.full(256, 0.1)))
    second = Conv(rng.normal(size=(2, 4, 3, 3)), (4, 8, 8), (1, 1), (0, 0, 0, 0), (1, 1))
    node = pointwise(relu(), affine(((second, node),), np.zeros(72)))
    return query_of(x, dense(rng, 3, node), np.full(128, low), np.full(128, low + 0.1))


ORDER = np.arange(256).reshape(4, 8, 8).transpose(1, 2, 0)  # channels last
BACK = np.argsort(ORDER.ravel())


def channels_last(node):
    return copies(pointwise(relu(), copies(node, ORDER)), BACK)


def test_windows_through_permutations_change_no_bound(monkeypatch):
    query, went = convolutions(channels_last), []
    through = Windows.through
    monkeypatch.setattr(Windows, "through", lambda self, kind: went.append(kind) or through(self, kind))
    found = compute(query, "crown")
    assert went
    monkeypatch.setattr(Windows, "small", property(lambda self: False))
    same(found, compute(query, "crown"), query)


def test_an_open_permutation_is_no_image():
    kind = SelectMap(torch.tensor(BACK), 256, torch.float64)
    windows = Windows((4, 8, 8), (1, 1), torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    conv = Maps()[Conv(np.ones((4, 1, 1, 1)), (1, 8, 8), (1, 1), (0, 0, 0, 0), (1, 1))]
    assert windows.suits(conv)
    turned = windows.through(kind)
    assert not turned.suits(conv)
    assert turned.through(SelectMap(torch.tensor(ORDER.ravel()), 256, torch.float64)).suits(conv)


def test_an_image_read_in_another_shape_keeps_no_windows(monkeypatch):
    """A reshape is no node: the second convolution sees 4 x 16 x 4 where the first made 4 x 8 x 8."""
    rng, x = np.random.default_rng(5), new_input("x", 2 * 8 * 8)
    first = Conv(rng.normal(size=(4, 2, 3, 3)), (2, 8, 8), (1, 1), (1, 1, 1, 1), (1, 1))
    second = Conv(rng.normal(size=(2, 4, 3, 1)), (4, 16, 4), (1, 1), (0, 0, 0, 0), (1, 1))
    node = pointwise(relu(), affine(((first, x),), np.zeros(256)))
    node = pointwise(relu(), affine(((second, node),), np.zeros(112)))
    query = query_of(x, dense(rng, 3, node), np.full(128, -0.3), np.full(128, 0.3))
    found = compute(query, "crown")
    monkeypatch.setattr(Windows, "small", property(lambda self: False))
    same(found, compute(query, "crown"), query)


def test_functions_of_one_bounded_element_need_no_pass(monkeypatch):
    """sign(sign(x) + 0.1): the inner range is as good as any pass, whatever copies and shifts it."""

    def twice(node):
        shifted = affine(((Select(ORDER.ravel(), 256), pointwise(sign(), node)),), np.full(256, 0.1))
        return copies(pointwise(sign(), shifted), BACK)

    query, asked = convolutions(twice, low=-0.05), []
    backward = Backward.backward
    monkeypatch.setattr(
        Backward,
        "backward",
        lambda self, node, *rest, **more: asked.append(node) or backward(self, node, *rest, **more),
    )
    found = compute(query, "crown")
    shifted = next(n for n in query.nodes if isinstance(n, Affine) and n.parents[0].__class__.__name__ == "Pointwise")
    assert shifted not in asked
    monkeypatch.setattr(Backward, "_inherit", lambda self, node: None)
    same(found, compute(query, "crown"), query)
    assert shifted in asked


def test_lines_without_slopes_that_differ_stay_in_the_support():
    query = attention(4)
    found = crown(query, lower="interval")
    x = next(iter(query.boxes))
    points = np.random.default_rng(4).uniform(query.boxes[x].lower, query.boxes[x].upper, size=(200, 6))
    values = evaluate((query.spec[0],), {x: points})[query.spec[0]]
    assert (values >= found.rows.lower).all()


def test_constant_elements_have_no_coefficients():
    """A decided sign is 1 whatever happens: its value is in the centre, exactly."""
    weight = np.array([[1.0], [1.0], [-1.0]])
    x = new_input("x", 1)
    node = pointwise(sign(), affine(((Dense(weight), x),), np.array([5.0, 0.0, -5.0])))
    out = affine(((Dense([[3.0, 2.0, 7.0]]), node),), np.zeros(1))
    query = query_of(x, out, np.array([-1.0]), np.array([1.0]))
    engine = Backward(query, *_domain(query), fixed={})
    engine.run(None)
    assert engine.state.supports[node].tolist() == [1]
    rows = crown(query).rows
    np.testing.assert_allclose(rows.lower, [-6.0], atol=1e-12)
    np.testing.assert_allclose(rows.upper, [-2.0], atol=1e-12)


@pytest.mark.parametrize("index", [np.arange(8)[::-1], np.array([0, 0, 1, 2, 3, 4, 5, 6])])
def test_a_layer_over_a_box_in_another_order_needs_no_pass(index, monkeypatch):
    """Intervals are exact there, unless an element is copied twice: then terms of it may cancel."""
    rng, x = np.random.default_rng(6), new_input("x", 8)
    turned = dense(rng, 5, copies(x, index))
    query, asked = query_of(x, dense(rng, 2, pointwise(relu(), turned)), np.full(8, -1.0), np.ones(8)), []
    backward = Backward.backward
    monkeypatch.setattr(
        Backward,
        "backward",
        lambda self, node, *rest, **more: asked.append(node) or backward(self, node, *rest, **more),
    )
    found = compute(query, "crown")
    assert (turned in asked) == (index[0] == index[1])
    weight = turned.maps[0].matrix().toarray() @ np.eye(8)[index]
    np.testing.assert_allclose(found[turned].upper, np.abs(weight).sum(1) + turned.bias, rtol=1e-9)
