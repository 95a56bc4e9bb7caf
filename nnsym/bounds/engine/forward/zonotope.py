"""Zonotopes: every node as an affine function of shared noise, carried forward.

A node is enclosed by ``c + sum_k g_k e_k + [-s, s]`` with noise symbols ``e_k`` in [-1, 1] that all nodes share.
Affine maps act on centre and generators exactly, so correlations survive them; a nonlinear node moves along the slope
of a band (:mod:`nnsym.bounds.pairs.bands`) and adds one symbol for each element whose band is not a line (Singh et al.,
Fast and Effective Robustness Certification, 2018). The slack ``s`` is a plain interval and takes what rounding may have
moved (docs/rounding.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from nnsym.bounds.base import Bounds
from nnsym.bounds.engine.forward.carried import Room, carry
from nnsym.bounds.engine.inputs import Balls, Range
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.relaxations import Lines
from nnsym.bounds.engine.rounding import middle, product, settle
from nnsym.bounds.pairs.bands import band
from nnsym.bounds.sources import Dtype, FloatBoxes
from nnsym.ir.node import Affine, Input, Node
from nnsym.ir.query import Query
from nnsym.results.clock import NEVER, Deadline

_FEW = 8  # operations on an element beside its sum


def zonotope(
    query: Query,
    boxes: FloatBoxes | None = None,
    *,
    device: str = "cpu",
    dtype: Dtype = "float64",
    deadline: Deadline = NEVER,
    memory: int = 8 * 2**30,
) -> Bounds:
    """Zonotopes of every node and of the rows, intersected with intervals; ``boxes`` as in interval.ibp.

    Past the ``deadline``, and where generators would take more than ``memory`` bytes, intervals go on alone.
    """
    with torch.inference_mode():
        maps = Maps(device, dtype)
        return carry("zonotope", query, boxes, _engine, maps, deadline=deadline, memory=memory)


@final
@dataclass(frozen=True, eq=False)
class _Form:
    """``centre`` and ``slack`` of shape ``(batch, size)``, ``generators`` ``(batch, symbols, size)``.

    A form knows the symbols that were there when it was made; of later ones its generators are 0.
    """

    centre: Tensor
    generators: Tensor
    slack: Tensor

    @cached_property
    def reach(self) -> Tensor:
        """The largest magnitude without the slack: what rounding errors are relative to."""
        return self.centre.abs() + self.generators.abs().sum(1)


@final
class _Engine:
    """The forms of all nodes that are still read, and the number of noise symbols that they share."""

    def __init__(self, maps: Maps, ranges: dict[Node, Range], room: Room) -> None:
        self.maps, self.ranges, self.room = maps, ranges, room
        self.forms: dict[Node, _Form] = {}
        self.symbols = 0

    def enclose(self, node: Node, parents: tuple[Range, ...], known: Range) -> Range:
        """Make the form of a node whose parents are done; its interval."""
        if isinstance(node, Input):
            form = self._input(known)
        elif isinstance(node, Affine):
            form = self._affine(node, len(known.lower))
        else:
            form = self._nonlinear(band(node, parents, known, self.maps))
        self.forms[node] = form
        self.room.deadline.check()
        by = self.maps.precision
        error = by.gamma(form.generators.shape[1] + _FEW)
        radius = (form.reach - form.centre.abs() + form.slack) * (1.0 + error) + error * form.reach + by.tiny
        return Range(*settle(form.centre - radius, form.centre + radius))

    def _input(self, box: Range) -> _Form:
        centre, radius = middle(box.lower, box.upper)
        finite = torch.isfinite(radius)
        slack = torch.where(finite, 0.0, radius)
        form = _Form(centre, centre[:, None, :][:, :0], slack)
        return self._grown(form, torch.where(finite, radius, 0.0))

    def _affine(self, node: Affine, batch: int) -> _Form:
        by, extra = self.maps.precision, 2 * len(node.maps) + _FEW
        centre = self.maps.bias(node).expand(batch, -1)
        charge = by.gamma(extra) * centre.abs()
        generators = centre[:, None, :][:, :0]
        slack = torch.zeros_like(centre)
        for linear, parent in zip(node.maps, node.parents, strict=True):
            kind, form = self.maps[linear], self.forms[parent]
            centre = centre + kind.apply(form.centre)
            self.room.ask(self.maps, batch, form.generators.shape[1], node.size)
            generators = _sum(generators, self.room.mapped(kind, kind.apply, form.generators))
            slack = slack + kind.stretch_any(form.slack) * (1.0 + by.gamma(kind.terms + extra))
            self.room.deadline.check()
            if not kind.copies or len(node.maps) > 1 or bool(node.bias.any()):
                terms = kind.terms + form.generators.shape[1] + extra
                charge = charge + by.gamma(terms) * (kind.stretch(form.reach) + by.pad * kind.touched)
        return _Form(centre, generators, (slack + charge) * (1.0 + by.gamma(extra)))

    def _nonlinear(self, lines: Lines) -> _Form:
        by = self.maps.precision
        shift, half = middle(lines.low, lines.high)
        centre, generators = shift, shift[:, None, :][:, :0]
        slack, moved = torch.zeros_like(shift), shift.abs()
        for tap in lines.taps:
            form, slope = self.forms[tap.parent], tap.low
            if tap.index is not None:
                form = _Form(*(v[..., tap.index] for v in (form.centre, form.generators, form.slack)))
            self.room.deadline.check()
            centre = centre + slope * form.centre
            generators = _sum(generators, slope[:, None] * form.generators)
            slack = slack + product(slope.abs(), form.slack)
            moved = moved + slope.abs() * form.reach + by.pad * (slope != 0)
        error = by.gamma(4 * len(lines.taps) + generators.shape[1] + _FEW)
        plain = len(lines.taps) == 1 and ((lines.taps[0].low == 0) | (lines.taps[0].low == 1)) & (shift == 0)
        slack = slack * (1.0 + error) + torch.where(torch.as_tensor(plain), 0.0, error * moved)
        finite = torch.isfinite(half)
        slack = torch.where(finite, slack, torch.inf)
        return self._grown(_Form(centre, generators, slack), torch.where(finite, half, 0.0))

    def _grown(self, form: _Form, half: Tensor) -> _Form:
        """With one new symbol of size ``half`` for each element where any domain of the batch has one."""
        place = torch.nonzero((half > 0).any(0)).ravel()
        batch, size = form.centre.shape[0], form.centre.shape[1]
        self.room.ask(self.maps, batch, self.symbols + len(place), size)
        new = torch.zeros(batch, len(place), size, dtype=half.dtype, device=half.device)
        new[:, torch.arange(len(place), device=half.device), place] = half[:, place]
        old = form.generators
        gap = torch.zeros(batch, self.symbols - old.shape[1], size, dtype=old.dtype, device=old.device)
        self.symbols += len(place)
        return _Form(form.centre, torch.cat((old.expand(batch, -1, -1), gap, new), 1), form.slack)


def _engine(maps: Maps, inputs: Mapping[Node, Range], balls: Balls, room: Room) -> _Engine:
    """Without forms yet; balls cut the intervals alone."""
    del balls
    return _Engine(maps, dict(inputs), room)


def _sum(a: Tensor, b: Tensor) -> Tensor:
    """The sum of generators of which one may know fewer symbols."""
    short, long = (a, b) if a.shape[1] <= b.shape[1] else (b, a)
    head = long[:, : short.shape[1]] + short
    return torch.cat((head, long[:, short.shape[1] :].expand(len(head), -1, -1)), 1)
