"""Sources of our own that one engine computes; torch is loaded when they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from nnsym.bounds.base import Bounds
from nnsym.bounds.sources import Dtype, FloatBoxes, LowerSlope, Source
from nnsym.errors import InputError
from nnsym.ir.query import Query
from nnsym.results.ranges import whole_number


@final
@dataclass(frozen=True, kw_only=True)
class Ibp(Source):
    """Interval bound propagation."""

    name: str = "ibp"
    summary: str = "interval bound propagation"
    paper: str = "Gowal et al. 2018"

    def compute(
        self, query: Query, boxes: FloatBoxes | None = None, *, device: str = "cpu", dtype: Dtype = "float64"
    ) -> Bounds:
        from nnsym.bounds.engine.forward.interval import ibp  # heavy: torch
        from nnsym.bounds.engine.maps.maps import Maps  # heavy: torch

        return ibp(query, boxes, maps=Maps(device, dtype), deadline=self.deadline)


@final
@dataclass(frozen=True, kw_only=True)
class Linear(Source):
    """Backward linear bounds, intersected with intervals.

    ``lower`` is the slope on the free side of an open hinge (:func:`nnsym.bounds.engine.relaxations.relax`); without
    ``hidden`` only the rows are bounded backwards, on intervals of the nodes.
    """

    lower: LowerSlope = "adaptive"
    hidden: bool = True

    def compute(
        self, query: Query, boxes: FloatBoxes | None = None, *, device: str = "cpu", dtype: Dtype = "float64"
    ) -> Bounds:
        from nnsym.bounds.engine.backward.linear import crown  # heavy: torch
        from nnsym.bounds.engine.maps.maps import Maps  # heavy: torch

        maps, end = Maps(device, dtype), self.deadline
        return crown(query, boxes, lower=self.lower, hidden=self.hidden, name=self.name, maps=maps, deadline=end)


@final
@dataclass(frozen=True)
class Alpha(Source):
    """Backward linear bounds whose free slopes are optimised for ``iterations`` steps (alpha-CROWN).

    :mod:`nnsym.bounds.engine.backward.slopes` is the ascent. Without ``hidden`` only those of the rows are; ``shared``
    slopes are one per neuron for all rows of a layer. Text: ``alpha``, ``alpha:50``, ``alpha:50:rows``,
    ``alpha:50:shared``, ``alpha:50:rows:shared``.
    """

    iterations: int = 20
    hidden: bool = field(default=True, kw_only=True)
    shared: bool = field(default=False, kw_only=True)
    name: str = field(default="alpha", kw_only=True)
    summary: str = field(default="backward linear bounds with optimised slopes", kw_only=True)
    paper: str = field(default="Xu et al. 2021, Wang et al. 2021", kw_only=True)

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise InputError(f"{self.iterations} iterations", where=self.name, remedy="Give a positive number")

    @property
    def text(self) -> str:
        flags = [word for word, said in (("rows", not self.hidden), ("shared", self.shared)) if said]
        return self.name if self == Alpha() else ":".join((self.name, str(self.iterations), *flags))

    def parse(self, parameters: str) -> Source:
        number, *flags = parameters.split(":")
        iterations = whole_number(number)
        if iterations is None or not set(flags) <= {"rows", "shared"}:
            raise InputError(
                f"'{parameters}' are no parameters of '{self.name}'",
                remedy="Write alpha, alpha:50 or alpha:50:rows:shared",
            )
        return Alpha(iterations, hidden="rows" not in flags, shared="shared" in flags)

    def compute(
        self, query: Query, boxes: FloatBoxes | None = None, *, device: str = "cpu", dtype: Dtype = "float64"
    ) -> Bounds:
        from nnsym.bounds.engine.backward.linear import crown  # heavy: torch
        from nnsym.bounds.engine.backward.slopes import Ascent  # heavy: torch
        from nnsym.bounds.engine.maps.maps import Maps  # heavy: torch

        ascent = Ascent(iterations=self.iterations, hidden=self.hidden, shared=self.shared)
        maps = Maps(device, dtype)
        return crown(query, boxes, ascent=ascent, name=self.name, maps=maps, deadline=self.deadline)


@final
@dataclass(frozen=True, kw_only=True)
class Zonotope(Source):
    """Affine functions of shared noise, carried forward and intersected with intervals."""

    name: str = "zonotope"
    summary: str = "zonotopes (DeepZ), intersected with ibp"
    paper: str = "Singh et al. 2018"

    def compute(
        self, query: Query, boxes: FloatBoxes | None = None, *, device: str = "cpu", dtype: Dtype = "float64"
    ) -> Bounds:
        from nnsym.bounds.engine.forward.zonotope import zonotope  # heavy: torch

        return zonotope(query, boxes, device=device, dtype=dtype, deadline=self.deadline, memory=self.memory)


@final
@dataclass(frozen=True, kw_only=True)
class ForwardLinear(Source):
    """Two affine functions of the inputs around every node, carried forward and intersected with intervals."""

    name: str = "forward"
    summary: str = "forward linear bounds (symbolic intervals), intersected with ibp"
    paper: str = "Wang et al. 2018"

    def compute(
        self, query: Query, boxes: FloatBoxes | None = None, *, device: str = "cpu", dtype: Dtype = "float64"
    ) -> Bounds:
        from nnsym.bounds.engine.forward.forward import forward_linear  # heavy: torch

        return forward_linear(query, boxes, device=device, dtype=dtype, deadline=self.deadline, memory=self.memory)
