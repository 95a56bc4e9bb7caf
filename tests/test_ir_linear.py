"""Linear maps: apply, adjoint, matrix and abs agree with each other, with torch, and exactly with Fractions."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.errors import InputError
from nnsym.ir import convolution
from nnsym.ir.convolution import Conv, window_sources
from nnsym.ir.exact import to_fractions
from nnsym.ir.linear import Dense, LinearMap, Scale, Select, Sparse, digest, freeze, identity
from nnsym.ir.transposed import ConvTranspose


def _sparse(rng: np.random.Generator) -> Sparse:
    full = rng.integers(-3, 4, (4, 5)) * (rng.random((4, 5)) < 0.5) / 4
    places = [np.flatnonzero(row) for row in full]
    indptr = np.concatenate(([0], np.cumsum([len(p) for p in places])))
    return Sparse(full[full != 0], np.concatenate(places), indptr, 5)


def _conv(rng: np.random.Generator) -> Conv:
    groups = int(rng.choice([1, 2]))
    kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 3)))
    weight = rng.integers(-4, 5, (2 * groups, 2, *kernel)) / 4
    strides, dilations = (int(rng.integers(1, 3)), 2), (1, int(rng.integers(1, 3)))
    return Conv(weight, (2 * groups, 5, 4), strides, (1, 0, 2, 1), dilations, groups)


MAKERS = {
    "dense": lambda rng: Dense(rng.integers(-4, 5, (3, 4)) / 4),
    "sparse": _sparse,
    "scale": lambda rng: Scale(rng.integers(-4, 5, 4) / 4),
    "select": lambda rng: Select(rng.integers(-1, 5, 7), 5),
    "conv": _conv,
    "transposed": lambda rng: ConvTranspose(_conv(rng)),
}
maps = st.builds(
    lambda kind, seed: MAKERS[kind](np.random.default_rng(seed)), st.sampled_from(sorted(MAKERS)), st.integers(0, 999)
)


@settings(max_examples=60, deadline=None)
@given(maps)
def test_all_views_of_a_map_are_the_same_matrix(linear: LinearMap) -> None:
    assert linear.nnz == len(linear.csr()[0])
    matrix = linear.matrix().toarray()
    assert matrix.shape == (linear.n_out, linear.n_in)
    rng = np.random.default_rng(0)
    x, y = rng.integers(-8, 9, (2, 3, linear.n_in)) / 8, rng.integers(-8, 9, (2, 3, linear.n_out)) / 8
    assert np.array_equal(linear.apply(x), x @ matrix.T)  # short dyadics: float sums are exact
    assert np.array_equal(linear.adjoint(y), y @ matrix)
    assert np.array_equal(linear.abs().matrix().toarray(), np.abs(matrix))
    data, indices, indptr = linear.csr()
    assert indptr[-1] == len(data) == len(indices) == linear.nnz
    assert linear.longest == np.diff(indptr).max(initial=0)
    assert np.isin(data, linear.coefficients).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.booleans())
def test_a_large_convolution_needs_no_matrix(seed: int, turned: bool) -> None:
    rng = np.random.default_rng(seed)
    conv = _conv(rng)
    matrix = (ConvTranspose(conv) if turned else conv).matrix().toarray()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "_LARGE", -1)
        patch.setattr(Conv, "csr", None)
        linear = ConvTranspose(Conv(*conv.__reduce__()[1])) if turned else Conv(*conv.__reduce__()[1])
        x, y = rng.integers(-8, 9, (2, 3, linear.n_in)) / 8, rng.integers(-8, 9, (2, 3, linear.n_out)) / 8
        assert np.array_equal(linear.apply(x), x @ matrix.T)
        assert np.array_equal(linear.adjoint(y), y @ matrix)
        assert np.array_equal(linear.abs().apply(x), x @ np.abs(matrix).T)
        assert np.array_equal(linear.squared().apply(x), x @ (matrix**2).T)


@settings(max_examples=40, deadline=None)
@given(maps)
def test_maps_are_exact_on_fractions(linear: LinearMap) -> None:
    matrix = linear.matrix().toarray()
    x = np.array([[Fraction(k + 1, 3) for k in range(linear.n_in)]], dtype=object)
    y = np.array([[Fraction(k - 2, 7) for k in range(linear.n_out)]], dtype=object)
    expected_x = [sum(Fraction(a) * v for a, v in zip(row, x[0], strict=True)) for row in matrix]
    expected_y = [sum(Fraction(a) * v for a, v in zip(column, y[0], strict=True)) for column in matrix.T]
    assert linear.apply(x)[0].tolist() == expected_x
    assert linear.adjoint(y)[0].tolist() == expected_y


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_convolution_is_torchs(seed: int) -> None:
    import torch

    conv = _conv(np.random.default_rng(seed))
    image = np.random.default_rng(seed + 1).normal(size=(2, *conv.in_shape))
    top, left, bottom, right = conv.pads
    padded = torch.nn.functional.pad(torch.from_numpy(image), (left, right, top, bottom))
    expected = torch.nn.functional.conv2d(
        padded, torch.from_numpy(conv.weight.copy()), stride=conv.strides, dilation=conv.dilations, groups=conv.groups
    )
    assert conv.out_shape == tuple(expected.shape[1:])
    np.testing.assert_allclose(conv.apply(image.reshape(2, -1)), expected.reshape(2, -1).numpy(), rtol=0, atol=1e-12)


def test_max_pool_windows_are_torchs() -> None:
    import torch

    image = np.random.default_rng(3).normal(size=(1, 1, 5, 6))
    for ceil in (False, True):
        source, inside = window_sources((5, 6), (3, 2), (2, 2), (1, 1, 1, 1), (1, 1), ceil=ceil)
        ours = np.where(inside, image.reshape(-1)[source], -np.inf).max(axis=1)
        padded = torch.nn.functional.pad(torch.from_numpy(image), (1, 1, 1, 1), value=-np.inf)
        assert np.array_equal(
            ours, torch.nn.functional.max_pool2d(padded, (3, 2), 2, ceil_mode=ceil).reshape(-1).numpy()[: len(ours)]
        )


def test_constants_are_frozen_copies_and_finite() -> None:
    weight = np.ones((2, 2))
    dense = Dense(weight)
    weight[0, 0] = 7
    assert dense.weight[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        dense.weight[0, 0] = 2
    for bad in (np.nan, np.inf):
        with pytest.raises(InputError, match="NaN or infinity"):
            freeze([1.0, bad])


def test_digest_is_of_content() -> None:
    assert Dense([[1.0, 2.0]]).key == Dense([[1.0, 2.0]]).key != Dense([[1.0], [2.0]]).key
    assert Select([0, 1], 3).key != identity(2).key
    many = [np.array([Fraction(k, 3) for k in range(2000)], dtype=object) for _ in range(2)]
    assert digest((many[0],)) == digest((many[1],))
    many[1][1000] = Fraction(1)
    assert digest((many[0],)) != digest((many[1],))


def test_selection_outside_its_input_is_refused() -> None:
    for index in ([0, 3], [-2, 0]):
        with pytest.raises(InputError, match="outside"):
            Select(index, 3)
    assert Select([-1, 2], 3).apply(to_fractions([5.0, 6.0, 7.0])).tolist() == [0, 7]


@pytest.mark.parametrize("zeros", [0.4, 0.9, 1.0])
def test_few_entries_are_summed_in_the_order_of_scipy(zeros: float) -> None:
    rng = np.random.default_rng(5)
    full = rng.normal(0, 1, (4, 30)) * 10.0 ** rng.integers(-9, 9, (4, 30)) * (rng.random((4, 30)) >= zeros)
    row, column = np.nonzero(full)
    few = Sparse(full[row, column], column, np.searchsorted(row, np.arange(5)), 30)
    x = rng.normal(0, 1, (2, 3, 30)) * 10.0 ** rng.integers(-9, 9, (2, 3, 30))
    x[0, 0, 3], x[0, 1, 4] = np.inf, 1e308
    y = rng.normal(0, 1, (2, 3, 4))
    forth, back = few.apply(x), few.adjoint(y)
    assert forth.dtype == back.dtype == np.float64
    assert np.array_equal(forth, (few.matrix() @ x.reshape(6, 30).T).T.reshape(2, 3, 4), equal_nan=True)
    assert np.array_equal(back, (few.matrix().T @ y.reshape(6, 4).T).T.reshape(2, 3, 30))


def test_few_entries_need_no_scipy() -> None:
    code = (
        "import sys, numpy as np; from nnsym.ir.linear import identity; identity(5).adjoint(np.ones((2, 5)));"
        "sys.exit('scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
