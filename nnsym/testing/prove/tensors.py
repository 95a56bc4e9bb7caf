"""Symbolic arrays that pass for PyTorch's tensors, and what an engine's maps are for a single node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np

from nnsym.bounds.engine.maps.maps import Slopes
from nnsym.bounds.engine.rounding import FLOAT64
from nnsym.ir.node import Max, Pointwise
from nnsym.testing.prove.arrays import Numbers


class Tensors(Numbers):
    """PyTorch asks them what its functions are, and NumPy has the answers."""

    @property
    def dtype(self) -> Any:
        return FLOAT64.dtype if np.ndarray.dtype.__get__(self).hasobject else np.ndarray.dtype.__get__(self)

    def __array_ufunc__(self, *args: Any, **options: Any) -> Any:
        return tensors(super().__array_ufunc__(*args, **options))

    def __array_function__(self, *args: Any) -> Any:
        return tensors(super().__array_function__(*args))

    def __outward__(self, name: str, args: tuple[Any, ...]) -> Any:
        return tensors(super().__outward__(name, args))

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return tensors(getattr(np, func.__name__)(*_arrays(args), **_arrays(kwargs or {})))

    def to(self, *_: Any) -> Any:
        return tensors(self.view(np.ndarray).astype(float)) if self.dtype == bool else self

    def cpu(self) -> Any:
        return self

    def numpy(self) -> Any:
        return self.view(Numbers)


def _arrays(values: Any) -> Any:
    """Arguments with arrays for real tensors."""
    if isinstance(values, (tuple, list)):
        return type(values)(map(_arrays, values))
    if isinstance(values, dict):
        return {key: _arrays(value) for key, value in values.items()}
    return values.detach().cpu().numpy() if hasattr(values, "detach") else values


def tensors(values: Any) -> Any:
    """Arrays as symbolic tensors; other results as they are."""
    return values.view(Tensors) if isinstance(values, np.ndarray) else values


def tensor(values: Any) -> Any:
    """A symbolic tensor of numbers."""
    return np.asarray(values, dtype=object).view(Tensors)


@final
class NodeMaps:
    """What the lines of one node ask of an engine."""

    precision = FLOAT64
    dtype = FLOAT64.dtype
    device = "cpu"

    def slopes(self, node: Pointwise) -> Slopes:
        sides = tensor(node.fn.left), tensor(node.fn.right)  # type: ignore[attr-defined]
        return Slopes.of(np, *sides, exact=False, relu=False)

    def members(self, node: Max) -> Any:
        return node.groups

    def computed(self, function: Callable[..., Any], lower: Any, upper: Any) -> tuple[Any, ...]:
        return tuple(map(tensor, function(lower.numpy(), upper.numpy())))

    def outward(self, values: Any, direction: float) -> Any:
        return tensor(values)
