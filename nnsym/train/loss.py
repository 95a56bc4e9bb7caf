"""Losses of properties: how far a module is from a property being proved, differentiable in its parameters.

With ``m`` a lower bound of the property's margin over a box of inputs, the loss is the mean over boxes of

    max(0, goal - m)               zero once the bounds prove a margin of ``goal``, or, if ``smooth``,
    log(1 + exp(goal - m~))        with m~ a smooth least over the alternatives of a violation.

For ``argmax f(x) == c`` the smooth loss is the cross-entropy of the certified logits (Gowal et al., On the
Effectiveness of Interval Bound Propagation, 2018, section 3). A loss proves nothing: the verdict on the trained module
comes from :func:`nnsym.verify`.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nnsym.bounds.engine.inputs import Range
from nnsym.bounds.points.attack import lowest
from nnsym.bounds.points.tape import Tape
from nnsym.errors import InputError
from nnsym.ir.node import Node
from nnsym.lang.property import Property
from nnsym.results.ranges import seed as checked_seed
from nnsym.train.boxes import Boxes, cells, read_boxes
from nnsym.train.given import classes, real
from nnsym.train.margins import alike, margins
from nnsym.train.passes import INTERVALS
from nnsym.train.plans import Plan
from nnsym.train.rows import Inputs, Rows
from nnsym.train.subject import Family, Shape, Subject

_STEPS = 8  # of a descent to a bad point
_CELLS = 2**20  # boxes that are bounded at once


@final
class Loss:
    """The loss of a property of the network that ``module`` is; calling it gives a scalar to minimise.

    ``stated`` is a function of the network that gives a property, or several *cases* of one over the same variables; or
    a property of a network that was read from the module. ``input_shape`` is the shape that the module is called with,
    batch axis included; a property knows it. ``bounds`` says what is computed: ``ibp``, ``crown-ibp``, ``crown``,
    ``fastlin``, ``attack``, ``sabr:0.1`` or ``mtl:0.02`` (:mod:`nnsym.train.plans`). ``cells`` is into how many boxes
    the domain is split where a call gives none. ``seed`` is that of the starts of attacks.

    The module is read once and its parameters are followed from then on: change them in place, as optimisers do.
    Raises :class:`UnsupportedError` where a layer uses a parameter in another way than as a coefficient (batch
    normalisation), and for properties that are no ``forall``.
    """

    def __init__(
        self,
        stated: Property | Family,
        module: torch.nn.Module,
        input_shape: Shape | None = None,
        *,
        bounds: str = "ibp",
        goal: float = 0.0,
        smooth: bool = False,
        cells: int = 1,
        seed: int = 0,
    ) -> None:
        if isinstance(cells, bool) or not isinstance(cells, int) or not 1 <= cells <= _CELLS:
            raise InputError(f"cells is {cells!r}", remedy=f"Give a whole number of boxes from 1 to {_CELLS}")
        self.plan, self.goal, self.smooth = Plan.of(bounds), real(goal, "goal"), bool(smooth)
        self.subject = Subject.of(stated, module, input_shape)
        self.live, self.queries = self.subject.live, self.subject.queries
        self._cells, self._domain = cells, list[tuple[Inputs, Tensor | None]]()
        self._rows = Rows(self.queries, self.live, self.plan.lines)
        self._points = self._rows if self.plan.lines == INTERVALS else Rows(self.queries, self.live, INTERVALS)
        self._alike = alike(self.queries)
        self._tapes = [Tape(query, maps=self.live) for query in self.queries]
        self._rng = np.random.default_rng(checked_seed(seed))

    def __call__(self, boxes: Boxes | None = None, *, case: Any = None) -> Tensor:
        """The mean over boxes: those given, ``(lower, upper)`` with a leading axis, else the cells of the domain.

        ``case`` numbers the case of every box; without it a property of one case is meant.
        """
        inputs, chosen = self._asked(boxes, case)
        plan, total = self.plan, torch.zeros((), dtype=self.live.dtype, device=self.live.device)
        points = self._attacked(inputs, chosen) if plan.attacks else inputs
        self.live.refresh()
        if plan.share > 0:
            total = total + plan.share * self._mean(self._rows, _round(points, inputs, plan.size), chosen)
        if plan.share < 1:
            total = total + (1 - plan.share) * self._mean(self._points, points, chosen)
        return total

    def rows(self, boxes: Boxes | None = None, *, case: Any = None) -> Tensor:
        """Lower bounds of the rows of the property over whole boxes, ``(batch, rows)``, in its atoms' order."""
        inputs, chosen = self._asked(boxes, case)
        self.live.refresh()
        return self._rows.least(inputs, chosen)

    def margins(self, boxes: Boxes | None = None, *, case: Any = None) -> Tensor:
        """Lower bounds of the property's margin over whole boxes, ``(batch,)``."""
        inputs, chosen = self._asked(boxes, case)
        self.live.refresh()
        return self._margins(self._rows.least(inputs, chosen), inputs, chosen, smooth=False)

    def _asked(self, boxes: Boxes | None, case: Any) -> tuple[Inputs, Tensor | None]:
        """The boxes as tensors, and their cases; None where there is only one."""
        if boxes is None:
            if case is not None:
                raise InputError("cases without boxes", remedy="Give the boxes that they are of")
            return self._whole()
        inputs = read_boxes(boxes, self.queries[0].inputs, self.live)
        count = len(next(iter(inputs.values())).lower)
        if case is None:
            if len(self.queries) > 1:
                raise InputError(f"{len(self.queries)} cases", remedy="Say which case every box is of: case=labels")
            return inputs, None
        chosen = classes(case, "cases", len(self.queries)).to(self.live.device).reshape(-1)
        if len(chosen) != count:
            raise InputError(f"{len(chosen)} cases for {count} boxes", remedy="Give one number for each box")
        return inputs, None if len(self.queries) == 1 else chosen

    def _whole(self) -> tuple[Inputs, Tensor | None]:
        """Cells of the domain of every case."""
        if not self._domain:
            found = [cells(query, self._cells) for query in self.queries]
            inputs: dict[Node, Range] = {}
            for x in self.queries[0].inputs:
                ends = zip(*(part[x] for part in found), strict=True)
                inputs[x] = Range(*(self.live.tensor(np.concatenate(side)) for side in ends))
            counts = [len(part[self.queries[0].inputs[0]][0]) for part in found]
            case = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(self.live.device)
            self._domain.append((inputs, None if len(counts) == 1 else case))
        return self._domain[0]

    def _mean(self, rows: Rows, inputs: Inputs, case: Tensor | None) -> Tensor:
        found = self._margins(rows.least(inputs, case), inputs, case, smooth=self.smooth)
        missed = self.goal - found
        return (functional.softplus(missed) if self.smooth else functional.relu(missed)).mean()

    def _margins(self, rows: Tensor, inputs: Inputs, case: Tensor | None, *, smooth: bool) -> Tensor:
        if case is None or self._alike:
            return margins(self.queries[0], rows, inputs, smooth=smooth)
        found = rows.new_zeros(len(rows))
        for k, index in _groups(case):
            part = {x: Range(box.lower[index], box.upper[index]) for x, box in inputs.items()}
            found = found.index_copy(0, index, margins(self.queries[k], rows[index], part, smooth=smooth))
        return found

    def _attacked(self, inputs: Inputs, case: Tensor | None) -> Inputs:
        """A bad point of every box, as a box of no width: a descent from a random one (Madry et al. 2018)."""
        found = {x: box.lower.detach().clone() for x, box in inputs.items()}
        count = len(next(iter(found.values())))
        groups = [(0, torch.arange(count, device=self.live.device))] if case is None else _groups(case)
        with torch.no_grad():
            self.live.refresh()  # what is made without gradients is not used with them
            for k, index in groups:
                limits = {
                    x: tuple(s[index].double().cpu().numpy() for s in (b.lower, b.upper)) for x, b in inputs.items()
                }
                start = {x: low + self._rng.random(low.shape) * (high - low) for x, (low, high) in limits.items()}
                best = lowest(self._tapes[k], start, limits, steps=_STEPS, rng=self._rng).points  # type: ignore[arg-type]
                for x, points in best.items():
                    found[x][index] = self.live.tensor(points)
        return {x: Range(points, points) for x, points in found.items()}


def _groups(case: Tensor) -> list[tuple[int, Tensor]]:
    """The boxes of every case that has any."""
    return [(int(k), torch.nonzero(case == k).ravel()) for k in torch.unique(case)]


def _round(points: Inputs, boxes: Inputs, size: float) -> Inputs:
    """Boxes of ``size`` of the given ones round points, moved to lie inside them."""
    if size == 1.0:
        return boxes
    found = {}
    for x, box in boxes.items():
        half = 0.5 * size * (box.upper - box.lower)
        centre = torch.maximum(torch.minimum(points[x].lower, box.upper - half), box.lower + half)
        found[x] = Range(centre - half, centre + half)
    return found
