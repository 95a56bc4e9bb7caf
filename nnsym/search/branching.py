"""What is split next. A rule scores elements of nodes; the search splits the one with the largest score.

A rule sees arrays and no queue: what the bounds of a batch look like at the row that decides each part. Scores of
one rule are compared with each other only, those of inputs (coefficient times width) and of hidden nodes (gaps) are
both in units of that row. A score of 0 or less is not split, nor is an element at which nothing is left.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np

from nnsym.bounds.kept.types import Limit
from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.node import Input, Node

_LARGEST = float(np.finfo(np.float64).max / 4)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Seen:
    """A batch of parts that are still open.

    ``inputs[x]`` are their limits, ``counts[x]`` ``(n,)`` how much a unit of each input counts in the network
    (:mod:`nnsym.search.sensitivity`), ``forms[x]`` ``(batch, n)`` the coefficients of the row that decides each,
    ``gaps[node]`` ``(batch, size)`` what each element contributes to the distance between bound and network, summed
    over the targets that are open, ``height[node]`` how many places come after a node, ``number`` the parts'
    numbers.
    """

    inputs: Mapping[Input, Limit]
    counts: Mapping[Input, Array]
    forms: Mapping[Input, Array]
    gaps: Mapping[Node, Array]
    height: Mapping[Node, int]
    number: Array


class Branching(ABC):
    """A rule, a frozen value; ``text`` names it."""

    text: str
    summary: str = ""
    paper: str = ""
    gaps: bool = True  # whether it looks at them

    @abstractmethod
    def score(self, seen: Seen) -> Mapping[Node, Array]:
        """A score ``(batch, size)`` for every node that may be split."""


@final
@dataclass(frozen=True)
class Smear(Branching):
    """The input with the largest ``(|C_j| + floor s_j max_i (|C_i| / s_i)) width_j``, s what a unit of each counts.

    Without the floor an input that the line does not see is never split, although the relaxation depends on it. The
    score depends on no input's unit: where all count the same the floor is a share of the largest coefficient.
    """

    floor: float = 0.05
    text = "smear"
    gaps = False
    summary = "the input whose width counts most in the row's line"
    paper = "Wang et al. 2018"

    @np.errstate(over="ignore", invalid="ignore")
    def score(self, seen: Seen) -> Mapping[Node, Array]:
        largest = np.zeros((len(seen.number), 1))
        for x, c in seen.forms.items():
            counted = np.abs(c) / np.where(seen.counts[x] > 0, seen.counts[x], np.inf)
            largest = np.maximum(largest, counted.max(1, initial=0.0)[:, None])
        base = np.where(largest > 0, self.floor * np.minimum(largest, _LARGEST), 1.0)
        return {x: (np.abs(c) + base * seen.counts[x]) * width(seen.inputs[x]) for x, c in seen.forms.items()}


@final
@dataclass(frozen=True)
class Longest(Branching):
    """The widest input, by what a unit of each counts."""

    gaps = False
    text = "longest"
    summary = "the widest input, by what a unit of each counts in the network"

    def score(self, seen: Seen) -> Mapping[Node, Array]:
        return {x: seen.counts[x] * width(limit) for x, limit in seen.inputs.items()}


@final
@dataclass(frozen=True)
class Gap(Branching):
    """The element whose relaxation costs most at the point where the bound is attained; layer by layer more.

    ``early`` multiplies a score once for each place that comes after: a split moves the bounds of what comes after it,
    and of nothing else.
    """

    early: float = 1.0
    text: str = field(default="gap", compare=False)
    summary: str = field(default="the neuron whose relaxation costs most at the row's minimiser", compare=False)

    def score(self, seen: Seen) -> Mapping[Node, Array]:
        most = max((seen.height[node] for node in seen.gaps), default=0)
        return {n: gap * self.early ** (seen.height[n] - most) for n, gap in seen.gaps.items() if type(n) is not Input}


@final
@dataclass(frozen=True)
class Mixed(Branching):
    """The larger of two rules' scores: inputs by one, hidden nodes by the other."""

    inputs: Branching
    hidden: Branching

    @property
    def text(self) -> str:  # type: ignore[override]
        return "mixed"

    summary = "inputs by smear and neurons by gap, whichever counts more"

    def score(self, seen: Seen) -> Mapping[Node, Array]:
        return {**self.hidden.score(seen), **self.inputs.score(seen)}


@final
@dataclass(frozen=True)
class Finish(Branching):
    """Inputs by one rule; where at most ``few`` neurons count at the minimiser, neurons by another.

    A box with two open neurons is four linear pieces: splitting the neurons ends it, while halves of the box keep them
    open for as long as their kinks run through it.
    """

    inputs: Branching
    hidden: Branching
    few: int = 4
    text = "finish"
    summary = "inputs by smear, and neurons by gap where few are open"

    def score(self, seen: Seen) -> Mapping[Node, Array]:
        scores = self.hidden.score(seen)
        counts = sum((np.count_nonzero(s > 0, axis=1) for s in scores.values()), start=np.zeros(len(seen.number), int))
        near = ((counts > 0) & (counts <= self.few))[:, None]
        inputs = self.inputs.score(seen)
        return {**{n: s * near for n, s in scores.items()}, **{x: s * ~near for x, s in inputs.items()}}


@final
@dataclass(frozen=True)
class Random(Branching):
    """Any input or neuron that is open, by the part's number and a seed: what others are measured against."""

    seed: int = 0
    text = "random"
    summary = "anything that is open"

    def score(self, seen: Seen) -> Mapping[Node, Array]:
        rngs = [np.random.default_rng([self.seed, int(k)]) for k in seen.number]

        def draw(size: int) -> Array:
            return np.stack([rng.random(size) + 1e-9 for rng in rngs])

        inputs: dict[Node, Array] = {x: draw(x.size) * (width(limit) > 0) for x, limit in seen.inputs.items()}
        return {**inputs, **{n: draw(n.size) * (gap > 0) for n, gap in seen.gaps.items() if n not in inputs}}


#: The rules by name. What is called ``early`` prefers early layers ten times each.
RULES: Mapping[str, Branching] = {
    rule.text: rule
    for rule in (
        Smear(),
        Longest(),
        Gap(),
        Gap(10.0, "early", "as gap, the earlier layers first"),
        Mixed(Smear(), Gap(10.0, "early")),
        Finish(Smear(), Gap()),
        Random(),
    )
}


def rule(name: str) -> Branching:
    """The rule of a name."""
    if name not in RULES:
        raise InputError(f"no branching '{name}'", remedy=f"Use one of: {', '.join(RULES)}")
    return RULES[name]


def width(limit: Limit) -> Array:
    """Widths, of open ends the largest number there is."""
    with np.errstate(over="ignore"):
        return np.asarray(np.minimum(limit.upper - limit.lower, _LARGEST))
