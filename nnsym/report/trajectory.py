"""What a closed loop does along a point: the values of its steps, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.node import UNLABELLED
from nnsym.lang.algebra.terms import Term, as_term
from nnsym.lang.algebra.variables import Variable
from nnsym.lang.guard import misread
from nnsym.report.frame import frame
from nnsym.report.grid import Column, Grid, render
from nnsym.report.pictures.style import BLUE, GREEN, ORANGE, PINK, RED, SKY, VIOLET, finished, picture, plain_axes
from nnsym.results.html import html_table
from nnsym.results.result import NoTruthValue

_INKS = (BLUE, ORANGE, GREEN, PINK, RED, SKY, VIOLET)


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Trajectory(NoTruthValue):
    """Values step by step: ``values[k, j]`` is the number ``names[j]`` at step ``k``, NaN where it has no such step.

    ``units`` stand beside the names, ``groups`` say which sequence each belongs to.
    """

    spoken = ("a trajectory", "Ask for its values")

    names: tuple[str, ...]
    units: tuple[str, ...]
    groups: tuple[str, ...]
    values: Array

    @property
    def headings(self) -> tuple[str, ...]:
        """``pos [m]``."""
        return tuple(f"{n} [{u}]" if u else n for n, u in zip(self.names, self.units, strict=True))

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary per step; None where a number has no such step."""
        rows = [[None if np.isnan(v) else float(v) for v in row] for row in self.values]
        return [{"step": k, **dict(zip(self.names, row, strict=True))} for k, row in enumerate(rows)]

    def to_frame(self) -> Any:
        """A pandas DataFrame indexed by step (extra ``report``)."""
        return frame(self.to_records()).set_index("step")

    def plot(self, path: str | Path | None = None, *, title: str = "") -> Any:
        """A panel for each sequence, its elements against the steps (extra ``report``)."""
        groups = tuple(dict.fromkeys(self.groups))
        figure = picture(6.4, 1.0 + 2.2 * len(groups))
        panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
        for axes, group in zip(panels, groups, strict=True):
            for count, j in enumerate(k for k, g in enumerate(self.groups) if g == group):
                dash = "solid" if count < len(_INKS) else "dashed"
                look = {"color": _INKS[count % len(_INKS)], "linestyle": dash, "marker": "o", "markersize": 3.5}
                axes.plot(np.arange(len(self.values)), self.values[:, j], label=self.headings[j], **look)
            axes.set_ylabel(group)
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
            plain_axes(axes)
        panels[-1].set_xlabel("step")
        panels[-1].locator_params(axis="x", integer=True)
        if title:
            figure.suptitle(title, fontsize=11, parse_math=False)
        return finished(figure, path)

    def _cells(self) -> list[tuple[str, ...]]:
        shown = [["" if np.isnan(v) else f"{v:.6g}" for v in row] for row in self.values]
        return [(str(k), *row) for k, row in enumerate(shown)]

    def __rich__(self) -> Grid:
        columns = [Column(name, rank=k, right=True) for k, name in enumerate(("step", *self.headings))]
        return Grid(tuple(columns), tuple(self._cells()), more="a wider terminal, or values, shows them")

    def __repr__(self) -> str:
        return render(self)

    def _repr_html_(self) -> str:
        return html_table(("step", *self.headings), self._cells())


def trajectory(steps: Sequence[Term] | Mapping[str, Sequence[Term]], point: object) -> Trajectory:
    """The values of a sequence of terms at a point: the states of a closed loop along its counterexample.

    Args:
        steps: terms of one size, one for each step; or several such sequences by name, as in ``{"x": states, "u":
            commands}``, which may differ in length. A first step that is a variable with names and units gives them to
            all of its sequence.
        point: what a term is called with: a counterexample or witness, arrays by the variables' names, or one array.

    Raises:
        LanguageError: no steps, or terms of different sizes in one sequence.
    """
    given = steps if isinstance(steps, Mapping) else {_name(steps): steps}
    if not given or not all(len(sequence) for sequence in given.values()):
        raise misread(
            "there are no steps", "Collect the terms of a loop in a list: states = [x, A @ x + B @ f(x), ...]"
        )
    length = max(map(len, given.values()))
    names: list[str] = []
    units: list[str] = []
    groups: list[str] = []
    for name, sequence in given.items():
        first = as_term(sequence[0])
        labels = first.input.labels if isinstance(first, Variable) else UNLABELLED
        names += labels.names or ([name] if first.size == 1 else [f"{name}[{k}]" for k in range(first.size)])
        units += labels.units or [""] * first.size
        groups += [name] * first.size
    if len(set(names)) < len(names):
        names = [f"{group}.{name}" for group, name in zip(groups, names, strict=True)]
    values = np.concatenate([_block(name, some, point, length) for name, some in given.items()], axis=1)
    return Trajectory(names=tuple(names), units=tuple(units), groups=tuple(groups), values=values)


def _block(name: str, sequence: Sequence[Term], point: object, length: int) -> Array:
    """The values of one sequence, ``(length, size)``."""
    terms = [as_term(term) for term in sequence]
    sizes = sorted({term.size for term in terms})
    if len(sizes) > 1:
        raise misread(f"the steps of '{name}' have {' and '.join(map(str, sizes))} elements", "Give terms of one size")
    values = np.full((length, sizes[0]), np.nan)
    values[: len(terms)] = [term(_of(term, point)).ravel() for term in terms]
    return values


def _of(term: Term, point: object) -> object:
    """The point; constants need none."""
    if not term.rows.parts:
        return {}
    if point is None:
        raise InputError("there is no point", where="nn.trajectory", remedy="A verified property has no counterexample")
    return point


def _name(steps: Sequence[Term]) -> str:
    first = steps[0] if len(steps) else None
    return first.name if isinstance(first, Variable) else "t"
