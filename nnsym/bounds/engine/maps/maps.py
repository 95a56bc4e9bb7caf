"""The maps and constants of networks on a device, copied once per engine, never globally."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from nnsym.bounds import hinge_lines
from nnsym.bounds.engine.maps.blocks import BlockMap, FullBlocks
from nnsym.bounds.engine.maps.convolution import ConvMap, TransposedMap
from nnsym.bounds.engine.maps.torch_maps import DenseMap, ScaleMap, SelectMap, SparseMap, TorchMap
from nnsym.bounds.engine.rounding import FLOAT32, FLOAT64, rounded
from nnsym.bounds.sources import Dtype
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.convolution import Conv
from nnsym.ir.linear import Dense, LinearMap, Scale, Select, entry_rows
from nnsym.ir.node import Affine, Max, Pointwise
from nnsym.ir.transposed import ConvTranspose
from nnsym.ir.univariate import Hinge

Interval = Callable[[Array, Array], tuple[Array, ...]]

_FORMATS = {"float64": FLOAT64, "float32": FLOAT32}
_SMALL = 2**14  # entries of a matrix up to which its zeros cost nothing
_FULL = 8  # entries from which a block is worth its gathers
_DENSE = 2**20  # a sparse matrix of at most this many entries is faster as a full one


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Slopes(hinge_lines.Slopes):
    """Slopes rounded to nearest; ``exact`` if a product with them never rounds, ``relu`` if they are 0 and 1."""

    exact: bool
    relu: bool


class Maps:
    """The maps and constants of one engine on one device in one format, converted when first asked for.

    ``device`` is a name of torch's, or ``auto`` for CUDA where there is any; ``dtype`` is float64 or float32. An engine
    works in chunks whose coefficients take about ``memory`` bytes. Training has maps of its own, whose coefficients are
    the parameters of a module (:mod:`nnsym.train.live`).
    """

    def __init__(self, device: str = "cpu", dtype: Dtype = "float64", *, memory: int = 2**28) -> None:
        self.memory = memory
        found = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = found if device == "auto" else device
        if self.device.startswith("cuda") and found == "cpu":
            raise UnsupportedError("torch finds no CUDA device", where=device, remedy="Use device 'cpu' or 'auto'")
        if dtype not in _FORMATS:
            raise InputError(f"bounds cannot be computed in '{dtype}'", remedy="Use float64 or float32")
        if dtype == "float32" and torch.get_float32_matmul_precision() != "highest":
            raise UnsupportedError(
                "torch may round factors of float32 products to fewer bits",
                where="float32",
                remedy="Call torch.set_float32_matmul_precision('highest') before, or use float64",
            )
        self.precision = _FORMATS[dtype]
        self.dtype = self.precision.dtype
        self._known: dict[object, Any] = {}

    @cached_property
    def wide(self) -> Maps:
        """The same in float64, for what is computed once per node where rows are in a shorter format."""
        return self if self.precision is FLOAT64 else Maps(self.device, memory=self.memory)

    def __getitem__(self, linear: LinearMap) -> TorchMap:
        found: TorchMap = self._once(linear.key, lambda: self._convert(linear))
        return found

    def tensor(self, values: object) -> Tensor:
        """A copy on the device, rounded to nearest where the format is shorter than float64."""
        return torch.tensor(values, dtype=self.dtype, device=self.device)

    def outward(self, values: object, direction: float) -> Tensor:
        """A copy on the device, rounded towards an infinity where the format is shorter than float64."""
        known = values.to(torch.float64) if isinstance(values, Tensor) else None
        exact = torch.tensor(values, dtype=torch.float64, device=self.device) if known is None else known
        return exact if self.precision is FLOAT64 else rounded(exact, self.dtype, direction)

    def between(self, least: Tensor, most: Tensor) -> tuple[Tensor, Tensor]:
        """The ends of float64 intervals in this format, rounded inward."""
        if self.precision is FLOAT64:
            return least, most
        return rounded(least, self.dtype, torch.inf), rounded(most, self.dtype, -torch.inf)

    def bias(self, node: Affine) -> Tensor:
        """The constant of an affine node, rounded to nearest."""
        found: Tensor = self._once(("bias", node), lambda: self._take(node.bias)[0])
        return found

    def slopes(self, node: Pointwise) -> Slopes:
        """The slopes of a hinge left and right of 0."""
        assert isinstance(node.fn, Hinge)
        fn = node.fn

        def make() -> Slopes:
            exact = bool(np.isin(fn.left, (-1, 0, 1)).all() and np.isin(fn.right, (-1, 0, 1)).all())
            left, right = (self._take(values)[0] for values in fn.slopes(node.size))
            relu = exact and bool((left == 0).all() and (right == 1).all())
            return Slopes.of(torch, left, right, exact=exact, relu=relu)

        found: Slopes = self._once(("hinge", node), make)
        return found

    def members(self, node: Max) -> Tensor:
        """The groups of a maximum; padding repeats a member of the group."""
        filled = node.filled
        found: Tensor = self._once(("max", node), lambda: torch.tensor(filled, device=self.device))
        return found

    def computed(self, function: Interval, lower: Tensor, upper: Tensor) -> tuple[Tensor, ...]:
        """What a NumPy function makes of intervals, elementwise: float64 tensors."""
        ends = (side.to(torch.float64).cpu().numpy() for side in (lower, upper))
        return tuple(torch.tensor(values, dtype=torch.float64, device=self.device) for values in function(*ends))

    def _once(self, key: object, make: Callable[[], Any]) -> Any:
        if key not in self._known:
            with torch.inference_mode(False):  # gradients may pass through
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
            case ConvTranspose(forward=conv) if 1 <= len(conv.strides) <= 3:
                return TransposedMap(conv, *self._take(conv.weight))
        data, indices, indptr = linear.csr()
        if linear.n_in * linear.n_out > _SMALL:
            row = entry_rows(indptr)
            blocks = FullBlocks.of(row, indices, linear.n_out, linear.n_in)
            if blocks is not None and blocks.place[0].size >= _FULL:
                weight, exact = self._take(data[blocks.place])
                return BlockMap(weight, blocks, linear.n_in, exact)
        if linear.n_in * linear.n_out <= _DENSE:
            return DenseMap(*self._take(linear.matrix().toarray()))
        copy, exact = self._take(data)
        return SparseMap(copy, indices, indptr, linear.n_in, exact)
