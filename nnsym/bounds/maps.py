"""Linear maps on tensors: the torch counterparts of :mod:`nnsym.ir.linear`.

Values have any number of leading batch axes. The coefficients are copied to the device once per engine
(:class:`Maps`), never globally.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nnsym.bounds.rounding import FLOAT32, FLOAT64, on_grid, precision, rounded
from nnsym.bounds.sources import Dtype
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.linear import Conv, Dense, LinearMap, Scale, Select
from nnsym.ir.node import Affine, Max, Pointwise
from nnsym.ir.univariate import Hinge

Array = NDArray[Any]

_FORMATS = {"float64": FLOAT64, "float32": FLOAT32}
_DENSE = 2**20  # a sparse matrix of at most this many entries is faster as a full one


class TorchMap(ABC):
    """``A : R^n_in -> R^n_out`` on tensors.

    ``terms`` is the largest number of products in one sum of ``apply`` or ``adjoint``, and one more where the
    coefficients themselves had to be rounded, so that they are not ``exact``. ``copies`` is true if ``apply`` only
    copies elements, so that it never rounds.
    """

    n_in: int
    n_out: int
    terms: int
    device: torch.device
    dtype: torch.dtype
    exact = True
    copies = False

    @abstractmethod
    def apply(self, x: Tensor) -> Tensor:
        """``A x`` for ``(..., n_in)``."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """``A^T y`` for ``(..., n_out)``."""

    @abstractmethod
    def stretch(self, x: Tensor) -> Tensor:
        """``|A| x`` for ``(..., n_in)``."""

    def rows(self, index: Tensor) -> Tensor:
        """Rows ``index`` of the matrix, ``(len(index), n_in)``."""
        return self.adjoint(functional.one_hot(index, self.n_out).to(self.dtype))

    @cached_property
    def touched(self) -> Tensor:
        """1 for every row with a coefficient, else 0: rows of zeros make no error."""
        ones = torch.ones(self.n_in, dtype=self.dtype, device=self.device)
        return (self.stretch(ones) > 0).to(self.dtype)

    @cached_property
    def fine(self) -> bool:
        """Every coefficient is a multiple of the grid of :func:`nnsym.bounds.rounding.on_grid`."""
        return self.copies

    def _hold(self, coefficients: Tensor, exact: bool) -> None:
        """What coefficients say about the map: where they are, and whether they were rounded."""
        self.device, self.dtype, self.exact = coefficients.device, coefficients.dtype, exact

    def _fine(self, coefficients: Tensor) -> bool:
        return self.exact and on_grid(coefficients, precision(coefficients))

    def stretch_any(self, x: Tensor) -> Tensor:
        """``|A| x`` for ``x >= 0`` that may be infinite, with 0 times infinity = 0."""
        finite = torch.isfinite(x)
        if bool(finite.all()):
            return self.stretch(x)
        total = self.stretch(torch.where(finite, x, 0.0))
        return torch.where(self.stretch((~finite).to(x.dtype)) > 0, torch.inf, total)


@final
class DenseMap(TorchMap):
    """A full matrix."""

    def __init__(self, weight: Tensor, exact: bool) -> None:
        self._hold(weight, exact)
        self.weight = weight
        self.n_out, self.n_in = weight.shape
        nonzero = weight != 0  # products with 0 are exact
        most = max((int(nonzero.sum(axis).max()) for axis in (0, 1) if weight.numel()), default=0)
        self.terms = most + (not exact)

    @cached_property
    def _abs(self) -> Tensor:
        return self.weight.abs()

    @cached_property
    def fine(self) -> bool:
        return self._fine(self.weight)

    def apply(self, x: Tensor) -> Tensor:
        return x @ self.weight.T

    def adjoint(self, y: Tensor) -> Tensor:
        return y @ self.weight

    def stretch(self, x: Tensor) -> Tensor:
        return x @ self._abs.T

    def rows(self, index: Tensor) -> Tensor:
        return self.weight[index]


@final
class SparseMap(TorchMap):
    """A sparse matrix, kept with its transpose."""

    def __init__(self, data: Tensor, indices: Array, indptr: Array, n_in: int, exact: bool) -> None:
        self._hold(data, exact)
        self.n_in, self.n_out = n_in, len(indptr) - 1
        counts = np.diff(indptr)
        columns = np.bincount(indices, minlength=1)
        self.terms = int(max(counts.max(initial=0), columns.max(initial=0))) + (not exact)
        row = np.repeat(np.arange(self.n_out), counts)
        self._place = torch.tensor(np.stack((row, indices.astype(np.int64))), device=data.device)
        self._data = data

    def _matrix(self, data: Tensor) -> Tensor:
        return torch.sparse_coo_tensor(self._place, data, (self.n_out, self.n_in), check_invariants=False).coalesce()

    @cached_property
    def _forward(self) -> Tensor:
        return self._matrix(self._data)

    @cached_property
    def _abs(self) -> Tensor:
        return self._matrix(self._data.abs())

    @cached_property
    def _backward(self) -> Tensor:
        return self._forward.t().coalesce()

    def apply(self, x: Tensor) -> Tensor:
        return _sparse(self._forward, x)

    def adjoint(self, y: Tensor) -> Tensor:
        return _sparse(self._backward, y)

    def stretch(self, x: Tensor) -> Tensor:
        return _sparse(self._abs, x)


def _sparse(matrix: Tensor, x: Tensor) -> Tensor:
    flat = x.reshape(-1, matrix.shape[1])
    out: Tensor = torch.sparse.mm(matrix, flat.T)
    return out.T.reshape(*x.shape[:-1], matrix.shape[0])


@final
class ScaleMap(TorchMap):
    """A diagonal matrix."""

    def __init__(self, factor: Tensor, exact: bool) -> None:
        self._hold(factor, exact)
        self.factor, self.terms = factor, 1 + (not exact)
        self.n_in = self.n_out = len(factor)

    def apply(self, x: Tensor) -> Tensor:
        return x * self.factor

    def adjoint(self, y: Tensor) -> Tensor:
        return y * self.factor

    def stretch(self, x: Tensor) -> Tensor:
        return x * self.factor.abs()

    @cached_property
    def fine(self) -> bool:
        return self._fine(self.factor)


@final
class SelectMap(TorchMap):
    """Copies of elements, 0 where the index is -1."""

    copies = True

    def __init__(self, index: Tensor, n_in: int, dtype: torch.dtype) -> None:
        self.n_in, self.n_out, self.device, self.dtype = n_in, len(index), index.device, dtype
        self.kept = torch.nonzero(index >= 0).ravel()
        self.source = index[self.kept]
        self.identity = self.n_in == self.n_out and bool((index == torch.arange(n_in, device=index.device)).all())
        self.terms = int(torch.bincount(self.source, minlength=1).max())

    def apply(self, x: Tensor) -> Tensor:
        if self.identity:
            return x
        if len(self.kept) == self.n_out:
            return x[..., self.source]
        out = torch.zeros(*x.shape[:-1], self.n_out, dtype=x.dtype, device=x.device)
        out[..., self.kept] = x[..., self.source]
        return out

    def adjoint(self, y: Tensor) -> Tensor:
        if self.identity:
            return y
        out = torch.zeros(*y.shape[:-1], self.n_in, dtype=y.dtype, device=y.device)
        return out.index_add_(-1, self.source, y[..., self.kept])

    def stretch(self, x: Tensor) -> Tensor:
        return self.apply(x)


@final
class ConvMap(TorchMap):
    """Cross-correlation over one, two or three spatial axes; the adjoint is the transposed convolution."""

    def __init__(self, conv: Conv, weight: Tensor, exact: bool) -> None:
        self._hold(weight, exact)
        self.n_in, self.n_out, self.groups, self.weight = conv.n_in, conv.n_out, conv.groups, weight
        self.in_shape, self.out_shape = conv.in_shape, conv.out_shape
        self.strides, self.dilations = conv.strides, conv.dilations
        taps = int(np.prod(conv.weight.shape[2:]))
        self.terms = taps * max(conv.weight.shape[1], conv.weight.shape[0] // conv.groups) + (not exact)
        rank = self.rank = len(conv.strides)
        begin = self.begin = conv.pads[:rank]
        reach = [
            (self.out_shape[1 + a] - 1) * self.strides[a] + self.dilations[a] * (conv.weight.shape[2 + a] - 1) + 1
            for a in range(rank)
        ]
        # torch pads from the last axis backwards; what no window reads is cut off, or padded by zeros on the way back
        self.pad = [p for a in reversed(range(rank)) for p in (begin[a], reach[a] - begin[a] - self.in_shape[1 + a])]
        self.unpad = [-p for p in self.pad]
        self._conv = conv

    @cached_property
    def _windows(self) -> tuple[Tensor, Tensor]:
        """Which elements each output reads, and with which coefficients; short windows repeat an element with 0."""
        data, indices, indptr = self._conv.csr()
        place = indptr[:-1, None] + np.arange(np.diff(indptr).max(initial=0))
        real = place < indptr[1:, None]
        place = np.where(real, place, 0)
        coefficients = torch.tensor(np.where(real, data[place], 0.0), dtype=self.dtype, device=self.device)
        return torch.tensor(indices[place].astype(np.int64), device=self.device), coefficients

    @cached_property
    def _abs(self) -> Tensor:
        return self.weight.abs()

    @cached_property
    def fine(self) -> bool:
        return self._fine(self.weight)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[self.rank - 1]
        image = functional.pad(x.reshape(-1, *self.in_shape), self.pad)
        out = convolve(image, weight, stride=self.strides, dilation=self.dilations, groups=self.groups)
        return out.reshape(*x.shape[:-1], self.n_out)

    def apply(self, x: Tensor) -> Tensor:
        return self._convolve(x, self.weight)

    def transposed(self, image: Tensor) -> Tensor:
        """The transposed convolution of an image of any size, without cutting off what was padding."""
        by_rank = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)
        out: Tensor = by_rank[self.rank - 1](
            image, self.weight, stride=self.strides, dilation=self.dilations, groups=self.groups
        )
        return out

    def stretch(self, x: Tensor) -> Tensor:
        return self._convolve(x, self._abs)

    def rows(self, index: Tensor) -> Tensor:
        source, coefficients = self._windows
        out = torch.zeros(len(index), self.n_in, dtype=self.dtype, device=self.device)
        return out.scatter_add_(1, source[index], coefficients[index])

    def adjoint(self, y: Tensor) -> Tensor:
        out = self.transposed(y.reshape(-1, *self.out_shape))
        return functional.pad(out, self.unpad).reshape(*y.shape[:-1], self.n_in)


@final
@dataclass(frozen=True, eq=False)
class Slopes:
    """Slopes of a hinge left and right of 0, rounded to nearest; ``exact`` if a product with them never rounds.

    ``flattest`` is the slope nearest to 0 between ``least`` and ``most``; ``bent`` says where the two lines differ.
    """

    left: Tensor
    right: Tensor
    exact: bool
    relu: bool
    least: Tensor
    most: Tensor
    flattest: Tensor
    convex: Tensor
    bent: Tensor

    @staticmethod
    def of(left: Tensor, right: Tensor, exact: bool) -> Slopes:
        relu = exact and bool((left == 0).all() and (right == 1).all())
        least, most = torch.minimum(left, right), torch.maximum(left, right)
        flattest = torch.zeros_like(left).clamp(least, most)
        return Slopes(left, right, exact, relu, least, most, flattest, left <= right, left != right)


@final
class Maps:
    """The maps and constants of one engine on one device in one format, converted when first asked for.

    ``device`` is a name of torch's, or ``auto`` for CUDA where there is any; ``dtype`` is float64 or float32. An engine
    works in chunks whose coefficients take about ``memory`` bytes.
    """

    def __init__(self, device: str = "cpu", dtype: Dtype = "float64", *, memory: int = 2**28) -> None:
        self.memory = memory
        found = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = found if device == "auto" else device
        if self.device.startswith("cuda") and found == "cpu":
            raise UnsupportedError("torch finds no CUDA device", where=device, remedy="Use device 'cpu' or 'auto'")
        if dtype not in _FORMATS:
            raise InputError(f"bounds cannot be computed in '{dtype}'", remedy="Use float64 or float32")
        self.precision = _FORMATS[dtype]
        self.dtype = self.precision.dtype
        self._known: dict[object, Any] = {}

    def __getitem__(self, linear: LinearMap) -> TorchMap:
        found: TorchMap = self._once(linear.key, lambda: self._convert(linear))
        return found

    def tensor(self, values: object) -> Tensor:
        """A copy on the device, rounded to nearest where the format is shorter than float64."""
        return torch.tensor(values, dtype=self.dtype, device=self.device)

    def outward(self, values: object, direction: float) -> Tensor:
        """A copy on the device, rounded towards an infinity where the format is shorter than float64."""
        exact = torch.tensor(values, dtype=torch.float64, device=self.device)
        return exact if self.precision is FLOAT64 else rounded(exact, self.dtype, direction)

    def bias(self, node: Affine) -> Tensor:
        """The constant of an affine node, rounded to nearest."""
        found: Tensor = self._once(("bias", node), lambda: self.tensor(node.bias))
        return found

    def slopes(self, node: Pointwise) -> Slopes:
        """The slopes of a hinge left and right of 0."""
        assert isinstance(node.fn, Hinge)
        fn = node.fn

        def make() -> Slopes:
            exact = bool(np.isin(fn.left, (-1, 0, 1)).all() and np.isin(fn.right, (-1, 0, 1)).all())
            left, right = map(self.tensor, fn.slopes(node.size))
            return Slopes.of(left, right, exact)

        found: Slopes = self._once(("hinge", node), make)
        return found

    def members(self, node: Max) -> Tensor:
        """The groups of a maximum; padding repeats a member of the group."""
        filled = np.where(node.groups < 0, node.groups.max(axis=1, keepdims=True), node.groups)
        found: Tensor = self._once(("max", node), lambda: torch.tensor(filled, device=self.device))
        return found

    def _once(self, key: object, make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    def _take(self, coefficients: Array) -> tuple[Tensor, bool]:
        """A copy, and whether the format holds the numbers exactly."""
        copy = self.tensor(coefficients)
        return copy, self.precision is FLOAT64 or bool((copy.cpu().numpy() == coefficients).all())

    def _convert(self, linear: LinearMap) -> TorchMap:
        match linear:
            case Dense():
                return DenseMap(*self._take(linear.weight))
            case Scale():
                return ScaleMap(*self._take(linear.factor))
            case Select():
                return SelectMap(torch.tensor(linear.index, device=self.device), linear.n_in, self.dtype)
            case Conv() if 1 <= len(linear.strides) <= 3:
                return ConvMap(linear, *self._take(linear.weight))
        if linear.n_in * linear.n_out <= _DENSE:
            return DenseMap(*self._take(linear.matrix().toarray()))
        data, indices, indptr = linear.csr()
        copy, exact = self._take(data)
        return SparseMap(copy, indices, indptr, linear.n_in, exact)
