"""Symbolic arrays that pass for PyTorch's tensors, and what an engine's maps are for a single node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np

from nnsym.bounds.engine.maps import Slopes
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
        found = _NAMES.get(func.__name__) or getattr(np, func.__name__)
        return tensors(found(*_arrays(args), **_arrays(kwargs or {})))

    def abs(self) -> Any:
        return np.abs(self)

    def clamp(self, least: Any = None, most: Any = None, *, min: Any = None) -> Any:  # noqa: A002, the name is PyTorch's
        return np.maximum(self, min) if min is not None else np.clip(self, least, most)

    def max(self, axis: Any, keepdim: bool = False) -> Any:  # type: ignore[override]
        """The largest elements and where the first of them are, as of a tensor."""
        place = np.argmax(self, axis=axis, keepdims=True)
        found = np.take_along_axis(self, place, axis)
        return (found, tensors(place)) if keepdim else (found.squeeze(axis), tensors(place.squeeze(axis)))

    def amax(self, axis: Any, keepdim: bool = False) -> Any:
        return _reduced(np.maximum, self, axis, keepdim)

    def amin(self, axis: Any, keepdim: bool = False) -> Any:
        return _reduced(np.minimum, self, axis, keepdim)

    def sum(self, axis: Any, keepdim: bool = False) -> Any:  # type: ignore[override]
        return _reduced(np.add, self, axis, keepdim)

    def all(self, axis: Any = None, keepdim: bool = False) -> Any:  # type: ignore[override]
        return tensors(_reduced(np.logical_and, self.view(np.ndarray), axis, keepdim))

    def gather(self, axis: int, place: Any) -> Any:
        return np.take_along_axis(self, np.asarray(place).astype(int), axis)

    def to(self, *_: Any) -> Any:
        return tensors(self.view(np.ndarray).astype(float)) if self.dtype == bool else self

    def cpu(self) -> Any:
        return self

    def numpy(self) -> Any:
        return self.view(Numbers)


def _reduced(ufunc: Any, values: Any, axis: Any, keepdim: bool) -> Any:
    return ufunc.reduce(values, axis=axis, keepdims=keepdim)


def _one_hot(place: Any, count: int) -> Any:
    return np.asarray(place)[..., None] == np.arange(count)


#: PyTorch's functions that NumPy has by another name.
_NAMES: dict[str, Callable[..., Any]] = {"one_hot": _one_hot, "cat": np.concatenate}


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
        return Slopes.of(tensor(node.fn.left), tensor(node.fn.right), exact=False)  # type: ignore[attr-defined]

    def members(self, node: Max) -> Any:
        return node.groups

    def computed(self, function: Callable[..., Any], lower: Any, upper: Any) -> tuple[Any, ...]:
        return tuple(map(tensor, function(lower.numpy(), upper.numpy())))

    def outward(self, values: Any, direction: float) -> Any:
        return tensor(values)
