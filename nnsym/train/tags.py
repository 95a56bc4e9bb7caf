"""Which numbers of a graph are parameters of a module: found by reading the module with marked ones.

A module is read as a network (:func:`nnsym.read.torch.from_torch`) while every entry of every parameter holds a number
of its own, its *tag*. What the reader copies, in whatever shape and order, negated or not, says by its tag which entry
it is. What a reader computes of parameters (batch normalisation, tied scales) is no copy and is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array

_FIRST, _BITS = -90, 20  # tags lie in [2^-90, 2^-70), where no model keeps numbers of its own
_NEXT = 2.0**-60  # below this a number that is no tag was computed from tags


@final
@dataclass(frozen=True, eq=False)
class Copies:
    """Where an array of the graph copies parameters: entry k is ``sign_k`` times entry ``index_k`` of all parameters.

    ``index`` is -1 where the array holds a number of the model's own.
    """

    index: Array
    sign: Array


@final
class Tags:
    """Distinct numbers for all entries of a module's parameters, one parameter after the other."""

    def __init__(self, module: torch.nn.Module, seed: int = 0) -> None:
        self.names = [name for name, _ in module.named_parameters()]
        self.parameters = [parameter for _, parameter in module.named_parameters()]
        self.starts = np.cumsum([0, *(p.numel() for p in self.parameters)])
        count = int(self.starts[-1])
        rng = np.random.default_rng(seed)
        steps = np.unique(rng.integers(0, _BITS * 2**23, 2 * count + 64))  # float32 numbers in the tags' range
        numbers = rng.permutation(steps)[:count].astype(np.uint32)
        base = np.float32(2.0**_FIRST).view(np.uint32)
        self.numbers = (numbers + base).view(np.float32).astype(np.float64)
        self._order = np.argsort(self.numbers)

    @contextmanager
    def filled(self, numbers: Array) -> Iterator[None]:
        """The parameters hold ``numbers``, all entries one after the other, in the body, and then their own again."""
        before = [p.detach().clone() for p in self.parameters]
        try:
            with torch.no_grad():
                for parameter, start in zip(self.parameters, self.starts, strict=False):
                    part = torch.as_tensor(numbers[start : start + parameter.numel()])
                    parameter.copy_(part.reshape(parameter.shape))
            yield
        finally:
            with torch.no_grad():
                for parameter, kept in zip(self.parameters, before, strict=True):
                    parameter.copy_(kept)

    def copies(self, values: Array, where: str) -> Copies | None:
        """Which entries an array copies; None if it holds none. Raises for numbers that were computed from tags."""
        size = np.abs(values)
        place = np.searchsorted(self.numbers, size, sorter=self._order).clip(max=max(0, len(self.numbers) - 1))
        index = self._order[place] if len(self._order) else np.zeros(values.shape, np.int64)
        found = self.numbers[index] == size if len(self._order) else np.zeros(values.shape, bool)
        if ((size < _NEXT) & (size > 0) & ~found).any():
            raise UnsupportedError(
                "holds numbers that are computed from parameters, so that they cannot follow them",
                where=where,
                remedy="Train without batch normalisation, weight normalisation and the like, or fold them first",
            )
        return Copies(np.where(found, index, -1), np.sign(values)) if found.any() else None

    def missing(self, seen: Sequence[Copies]) -> list[str]:
        """The names of trained parameters that no array copies."""
        used = np.zeros(len(self.numbers), dtype=bool)
        for copies in seen:
            used[copies.index[copies.index >= 0]] = True
        spans = zip(self.names, self.parameters, self.starts, self.starts[1:], strict=False)
        return [name for name, p, start, end in spans if p.requires_grad and not used[start:end].any()]
