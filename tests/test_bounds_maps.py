"""Tensor maps against the exact ones: apply, adjoint, absolute values, rows."""

from itertools import product

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nnsym.bounds.engine.maps import maps as maps_module
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.maps.torch_maps import SparseMap
from nnsym.ir.convolution import Conv
from nnsym.ir.linear import Dense, Scale, Select, Sparse
from nnsym.ir.transposed import ConvTranspose

RNG = np.random.default_rng(1)


def conv(weight, shape, strides, pads, dilations, groups=1):
    return Conv(RNG.normal(size=weight), shape, strides, pads, dilations, groups)


MAPS = {
    "dense": Dense(RNG.normal(size=(3, 5))),
    "sparse": Sparse(RNG.normal(size=3), np.array([0, 3, 1]), np.array([0, 2, 2, 3]), 4),
    "scale": Scale(RNG.normal(size=4)),
    "select": Select(np.array([2, -1, 0, 0]), 3),
    "identity": Select(np.arange(3), 3),
    "conv1": conv((2, 3, 3), (3, 9), (2,), (1, 0), (2,)),
    "conv2": conv((4, 2, 3, 2), (2, 7, 6), (2, 3), (0, 1, 2, 0), (1, 2)),
    "even": conv((4, 3, 4, 3), (3, 8, 9), (2, 1), (1, 1, 1, 1), (1, 1)),
    "remainder": conv((2, 1, 2, 2), (1, 6, 5), (3, 2), (0, 0, 0, 0), (1, 1)),
    "grouped": conv((4, 1, 3, 3), (4, 5, 5), (1, 1), (1, 1, 1, 1), (1, 1), 4),
    "conv3": conv((2, 1, 2, 2, 2), (1, 3, 4, 3), (1, 2, 1), (0, 1, 0, 1, 0, 0), (1, 1, 1)),
    "transposed1": ConvTranspose(conv((2, 3, 3), (3, 9), (2,), (1, 0), (2,))),
    "transposed2": ConvTranspose(conv((4, 2, 3, 2), (2, 7, 6), (2, 3), (0, 1, 2, 0), (1, 2))),
    "transposed even": ConvTranspose(conv((4, 3, 4, 3), (3, 8, 9), (2, 1), (1, 1, 1, 1), (1, 1))),
    "transposed grouped": ConvTranspose(conv((4, 1, 3, 3), (4, 5, 5), (1, 1), (1, 1, 1, 1), (1, 1), 4)),
    "conv4": conv((1, 1, 2, 1, 2, 1), (1, 3, 2, 3, 2), (1, 1, 1, 1), (0,) * 8, (1, 1, 1, 1)),
}


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("name", MAPS)
def test_tensor_map_equals_matrix(name):
    linear = MAPS[name]
    matrix = linear.matrix().toarray()
    kind = Maps("cpu")[linear]
    x, y = RNG.normal(size=(2, 3, linear.n_in)), RNG.normal(size=(2, 3, linear.n_out))
    np.testing.assert_allclose(kind.apply(tensor(x)), x @ matrix.T, atol=1e-12)
    np.testing.assert_allclose(kind.adjoint(tensor(y)), y @ matrix, atol=1e-12)
    np.testing.assert_allclose(kind.stretch(tensor(x)), x @ np.abs(matrix).T, atol=1e-12)
    index = np.array([linear.n_out - 1, 0])
    np.testing.assert_allclose(kind.rows(torch.tensor(index)), matrix[index], atol=1e-12)
    np.testing.assert_array_equal(kind.touched.numpy() > 0, (matrix != 0).any(axis=1))
    nonzeros = matrix != 0
    assert kind.terms >= nonzeros.sum(axis=1).max()
    assert kind.back >= nonzeros.sum(axis=0).max()


def small_convolutions():
    """All windows over short images, among them those that read nothing but padding."""
    for length, kernel, stride in product((1, 2), (1, 3), (1, 4)):
        for pads in product((0, 2, 3), repeat=2):
            if length + sum(pads) >= 2 * kernel - 1:
                yield conv((1, 1, kernel), (1, length), (stride,), pads, (1,))
                yield conv((1, 1, kernel, 1), (1, length, 1), (stride, 2), (pads[0], 0, pads[1], 3), (2, 1))


def test_windows_that_read_padding_alone_are_windows():
    for linear in small_convolutions():
        matrix, kind = linear.matrix().toarray(), Maps("cpu")[linear]
        there, back = kind.apply(tensor(np.eye(linear.n_in))), kind.adjoint(tensor(np.eye(linear.n_out)))
        np.testing.assert_array_equal(there, matrix.T, err_msg=repr(linear))
        np.testing.assert_array_equal(back, matrix, err_msg=repr(linear))
        np.testing.assert_array_equal(kind.rows(torch.arange(linear.n_out)), matrix, err_msg=repr(linear))


@pytest.mark.slow  # the counter takes a second to load
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (4, 2), (6, 7), (7, 7)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_the_way_back_through_a_convolution_multiplies_little_more_than_the_way_there(kernel, strides):
    """Whatever its kernel is beside its image: the last one flattens."""
    kind = Maps("cpu")[conv((6, 2, *kernel), (2, 7, 7), strides, (0, 0, 0, 0), (1, 1))]
    counts = []
    for way, size in ((kind.apply, kind.n_in), (kind.adjoint, kind.n_out)):
        with FlopCounterMode(display=False) as counter:
            way(tensor(RNG.normal(size=(4, size))))
        counts.append(counter.get_total_flops())
    taps = np.prod(-(-np.array(kernel) // strides) * strides) / np.prod(kernel)  # of phases, some are 0
    assert counts[1] <= 2 * taps * counts[0]


def test_gradients_pass_through_a_transposed_convolution():
    kind = Maps("cpu")[MAPS["even"]]
    y = tensor(RNG.normal(size=(3, kind.n_out))).requires_grad_()
    assert torch.autograd.gradcheck(kind.adjoint, (y,))


def test_large_sparse_maps_stay_sparse(monkeypatch):
    monkeypatch.setattr(maps_module, "_DENSE", 0)
    linear = MAPS["sparse"]
    kind = Maps("cpu")[linear]
    assert isinstance(kind, SparseMap)
    matrix = linear.matrix().toarray()
    x, y = RNG.normal(size=(2, 5, 4)), RNG.normal(size=(2, 5, 3))
    np.testing.assert_allclose(kind.apply(tensor(x)), x @ matrix.T, atol=1e-12)
    np.testing.assert_allclose(kind.adjoint(tensor(y)), y @ matrix, atol=1e-12)
    np.testing.assert_allclose(kind.stretch(tensor(x)), x @ np.abs(matrix).T, atol=1e-12)


def test_zero_times_infinity_is_zero_in_magnitudes():
    kind = Maps("cpu")[Dense([[0.0, 1.0], [2.0, 0.0]])]
    np.testing.assert_array_equal(kind.stretch_any(tensor([[np.inf, 1.0]])), [[1.0, np.inf]])
