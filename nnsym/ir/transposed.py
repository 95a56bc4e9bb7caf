"""Transposed convolutions as linear maps: each element of the input spreads its kernel over the output."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

from nnsym.ir.array import Array
from nnsym.ir.convolution import Conv
from nnsym.ir.linear import LinearMap, digest


@final
@dataclass(frozen=True, eq=False)
class ConvTranspose(LinearMap):
    """``A^T`` of a convolution ``A``: ONNX ``ConvTranspose`` without bias, from A's output to A's input."""

    forward: Conv

    @property
    def n_in(self) -> int:  # type: ignore[override]
        return self.forward.n_out

    @property
    def n_out(self) -> int:  # type: ignore[override]
        return self.forward.n_in

    @cached_property
    def key(self) -> str:
        return digest(("transposed", self.forward.key))

    @cached_property
    def _csr(self) -> tuple[Array, Array, Array]:
        transposed = self.forward.matrix().T.tocsr()
        return transposed.data, transposed.indices, transposed.indptr

    def csr(self) -> tuple[Array, Array, Array]:
        return self._csr

    @property
    def nnz(self) -> int:
        return self.forward.nnz

    @cached_property
    def longest(self) -> int:
        return self.forward.widest

    @property
    def coefficients(self) -> Array:
        return self.forward.weight

    def apply(self, x: Array) -> Array:
        """``A x``; of a large map as :meth:`Conv.apply`."""
        return self.forward.adjoint(x) if self.forward.large and x.dtype != object else super().apply(x)

    def adjoint(self, y: Array) -> Array:
        """``A^T y``, the convolution itself."""
        return self.forward.apply(y)

    def abs(self) -> ConvTranspose:
        return ConvTranspose(self.forward.abs())

    def squared(self) -> ConvTranspose:
        """The map with the square of every coefficient in its place."""
        return ConvTranspose(self.forward.squared())
