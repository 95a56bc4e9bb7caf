"""The maps of the bounds engine with a module's parameters for coefficients, so that gradients reach them.

The engine asks :class:`nnsym.bounds.engine.maps.maps.Maps` for tensors and knows nothing of training. :class:`Live`
answers with the parameters themselves wherever the graph copies them (:mod:`nnsym.train.tags`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from nnsym.bounds.engine.maps.convolution import ConvMap
from nnsym.bounds.engine.maps.maps import Interval, Maps
from nnsym.bounds.engine.maps.torch_maps import DenseMap, TorchMap
from nnsym.bounds.sources import Dtype
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.convolution import Conv
from nnsym.ir.linear import Dense, LinearMap, Scale, Select
from nnsym.train.tags import Copies, Tags

_STEP = 2.0**-20  # by how much an end is moved to see how a function of an interval changes, relative to its size


@final
class Live(Maps):
    """Maps of a graph that was read with tags; :meth:`refresh` after every change of the parameters."""

    def __init__(self, tags: Tags) -> None:
        kinds = {p.dtype for p in tags.parameters}
        names: dict[torch.dtype, Dtype] = {torch.float32: "float32", torch.float64: "float64"}
        if len(kinds) != 1 or not kinds <= set(names):
            raise UnsupportedError(
                f"parameters of {', '.join(sorted(map(str, kinds))) or 'no type'}",
                where="the module",
                remedy="Train modules whose parameters are all float32 or all float64",
            )
        super().__init__(str(tags.parameters[0].device), names[kinds.pop()])
        self.tags = tags
        self._copies: dict[int, tuple[Array, Copies | None]] = {}
        self._full: dict[str, Array] = {}
        self._constant: dict[object, Any] = {}  # what holds no parameter
        self._met = False  # a parameter, since somebody last looked

    def refresh(self) -> None:
        """Forget what was made of the parameters' values; where they stand in the graph is kept."""
        self._known = dict(self._constant)

    @property
    def seen(self) -> list[Copies]:
        """Where parameters were met so far."""
        return [copies for _, copies in self._copies.values() if copies is not None]

    def outward(self, values: object, direction: float) -> Tensor:
        """To nearest: what training computes is no bound that anything rests on."""
        return values.to(self.dtype) if isinstance(values, Tensor) else self.tensor(values)

    def computed(self, function: Interval, lower: Tensor, upper: Tensor) -> tuple[Tensor, ...]:
        """As the base, with gradients (:class:`_Computed`)."""
        if not torch.is_grad_enabled() or not (lower.requires_grad or upper.requires_grad):
            return super().computed(function, lower, upper)
        return _Computed.apply(function, lower.to(torch.float64), upper.to(torch.float64))  # type: ignore[no-any-return,no-untyped-call]

    def _once(self, key: object, make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._met = False
            made = super()._once(key, make)
            if not self._met:
                self._constant[key] = made
        return self._known[key]

    def _convert(self, linear: LinearMap) -> TorchMap:
        match linear:
            case Conv():
                return ConvMap(linear, *self._take(linear.weight), stored=False)
            case Dense() | Scale() | Select():
                return super()._convert(linear)
        if linear.key not in self._full:
            self._full[linear.key] = linear.matrix().toarray()
        return DenseMap(*self._take(self._full[linear.key]))

    def _take(self, coefficients: Array) -> tuple[Tensor, bool]:
        """The parameters where an array copies them, its own numbers elsewhere."""
        found = self._place(coefficients)
        self._met = self._met or found is not None
        return (self.tensor(coefficients), True) if found is None else (self._gathered(coefficients, found), True)

    def _place(self, coefficients: Array) -> Copies | None:
        key = id(coefficients)
        if key not in self._copies:  # the array is kept, so that no other takes its place
            self._copies[key] = coefficients, self.tags.copies(coefficients, "a constant of the network")
        return self._copies[key][1]

    def _gathered(self, coefficients: Array, found: Copies) -> Tensor:
        whole = self._whole(found)
        if whole is not None:
            return whole.to(self.dtype)
        flat = torch.cat([p.reshape(-1) for p in self.tags.parameters])
        index = torch.tensor(found.index, device=self.device)
        copied = flat[index.clamp(min=0)] * torch.tensor(found.sign, dtype=flat.dtype, device=self.device)
        return torch.where(index >= 0, copied, self.tensor(coefficients))

    def _whole(self, found: Copies) -> Tensor | None:
        """The parameter, or its transpose, if an array is just that: no entry has to be gathered."""
        index = found.index
        first, last = int(index.flat[0]), int(index.flat[-1])
        k = int(np.searchsorted(self.tags.starts, first, side="right")) - 1
        if first < 0 or first != self.tags.starts[k] or index.size != self.tags.parameters[k].numel():
            return None
        if last != first + index.size - 1 or (found.sign < 0).any():
            return None
        order = np.arange(first, last + 1)
        if (index.ravel() == order).all():
            return self.tags.parameters[k].reshape(index.shape)
        if index.ndim == 2 and (index == order.reshape(index.shape[::-1]).T).all():
            return self.tags.parameters[k].reshape(index.shape[::-1]).T
        return None


@final
class _Computed(torch.autograd.Function):
    """A NumPy function of intervals, elementwise, whose derivatives are differences.

    Both ends are moved outward, so that every interval that is asked is one. At a kink the gradient is one-sided.
    """

    @staticmethod
    def forward(ctx: Any, function: Interval, lower: Tensor, upper: Tensor) -> tuple[Tensor, ...]:
        ctx.device = lower.device
        ends = [side.detach().cpu().numpy() for side in (lower, upper)]
        found = function(*ends)
        ctx.slopes = []
        for side, direction in ((0, -1.0), (1, 1.0)):
            step = direction * _STEP * np.maximum(1.0, np.abs(ends[side]))
            moved = [ends[0], ends[1]]
            moved[side] = ends[side] + step
            with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
                changes = [(b - a) / (moved[side] - ends[side]) for a, b in zip(found, function(*moved), strict=True)]
            ctx.slopes.append([np.nan_to_num(c, nan=0.0, posinf=0.0, neginf=0.0) for c in changes])
        return tuple(torch.tensor(values, dtype=torch.float64, device=ctx.device) for values in found)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[None, Tensor, Tensor]:
        sides = []
        for slopes in ctx.slopes:
            terms = [g * torch.tensor(s, device=ctx.device) for g, s in zip(above, slopes, strict=True)]
            sides.append(torch.stack(terms).sum(0))
        return None, sides[0], sides[1]
