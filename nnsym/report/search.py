"""The record of a search as text and as a picture: parts by depth, the first splits, what was split and what it gained.

The record (:mod:`nnsym.search.record.log`) numbers places, the nodes at which something can be split, inputs first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.words import count_of
from nnsym.report.pictures.style import GREEN, GREY, ORANGE, finished, picture, plain_axes, titled
from nnsym.results.files import read_file
from nnsym.search.record.log import bound_in

_WIDTH, _MOST, _LEVELS = 40, 5, 3  # of a bar, of what was split most, of the tree's first levels
_ROOTS = 2**20  # disjuncts of a query


@final
@dataclass(eq=False)
class Part:
    """One part of the domain: its depth, its parent, the last bound that is known, and how it was split."""

    depth: int
    parent: int = -1
    least: float = -np.inf
    split: tuple[int, int, float] | None = None
    closed: bool = False

    @property
    def state(self) -> str:
        """What became of it."""
        return "split" if self.split else "closed" if self.closed else "open"


@final
@dataclass(eq=False)
class Tree:
    """All parts of a record by number; ``masses`` are the closed shares of the domain after each line."""

    parts: dict[int, Part] = field(default_factory=dict)
    roots: int = 0
    masses: list[tuple[int, float]] = field(default_factory=list)

    @staticmethod
    def read(path: str | Path) -> Tree:
        """The tree of a record; raises :class:`InputError` for a file that is none."""
        text = read_file(path).decode(errors="replace")
        try:
            lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
            if not lines or "search" not in lines[0] or not 0 < lines[0]["roots"] <= _ROOTS:
                raise KeyError("search")
            tree = Tree({k: Part(0) for k in range(lines[0]["roots"])}, lines[0]["roots"])
            for line in lines[1:]:
                tree._take(line)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise InputError("no record of a search", where=str(path), remedy="Give a file that --log wrote") from None
        return tree

    def _take(self, line: dict[str, Any]) -> None:
        mass = self.masses[-1][1] if self.masses else 0.0
        for number, place, element, point, _, least in line.get("split", ()):
            part = self.parts[number]
            part.split, part.least = (place, element, point), bound_in(least)
            for _ in range(2):
                self.parts[len(self.parts)] = Part(part.depth + 1, number)
        for number, least in line.get("close", ()):
            part = self.parts[number]
            part.closed, part.least = True, bound_in(least)
            mass += 0.5**part.depth / self.roots
        self.masses.append((len(self.parts), mass))

    def counts(self) -> list[tuple[int, int, int]]:
        """For every depth how many parts were split, closed, and are open."""
        every = range(max((p.depth for p in self.parts.values()), default=0) + 1)
        found = Counter((p.depth, p.state) for p in self.parts.values())
        return [(found[d, "split"], found[d, "closed"], found[d, "open"]) for d in every]

    def gains(self) -> list[tuple[tuple[int, int], int, float]]:
        """What was split, how often, and by how much the bounds of its halves rose (median); most often first."""
        rose: dict[tuple[int, int], list[float]] = {}
        for part in self.parts.values():
            above = self.parts.get(part.parent)
            if above is not None and above.split is not None and (part.split or part.closed):
                rise = part.least - above.least
                rose.setdefault(above.split[:2], []).append(rise if np.isfinite(rise) else np.inf)
        found = [(what, (len(some) + 1) // 2, float(np.median(some))) for what, some in rose.items()]
        return sorted(found, key=lambda row: -row[1])


def story(path: str | Path) -> str:
    """A table by depth, a bar for what is closed, the first levels of the tree, and the places that were split most.

    Raises :class:`InputError` for a file that is no record of a search.
    """
    tree = Tree.read(path)
    counts = tree.counts()
    largest = max((sum(row) for row in counts), default=1)
    table = [f"{'depth':>5} {'split':>8} {'closed':>8} {'open':>8}"]
    for d, (split, closed, opened) in enumerate(counts):
        bar = "#" * round(_WIDTH * closed / largest) + "." * round(_WIDTH * (split + opened) / largest)
        table.append(f"{d:>5} {split:>8} {closed:>8} {opened:>8}  {bar}")
    mass = tree.masses[-1][1] if tree.masses else 0.0
    table += ["", f"{mass:.4%} of the domain closed", "", "the first levels:", *_levels(tree), ""]
    table.append("split most, and by how much the bounds of the halves rose (median):")
    gains = [f"  {_place(what)}: {count_of(n, 'time')}, +{rise:.3g}" for what, n, rise in tree.gains()[:_MOST]]
    table += gains or ["  nothing"]
    return "\n".join(table)


def draw_search(path: str | Path, file: str | Path | None = None) -> Any:
    """Parts by depth, and the closed share of the domain as it grew; a matplotlib figure, written to ``file``."""
    tree = Tree.read(path)
    counts = np.array(tree.counts())
    figure = picture(8, 3.2)
    left, right = figure.subplots(1, 2)
    base = np.zeros(len(counts))
    for k, (name, colour) in enumerate((("split", GREY), ("closed", GREEN), ("open", ORANGE))):
        left.bar(np.arange(len(counts)), counts[:, k], bottom=base, color=colour, label=name)
        base = base + counts[:, k]
    left.set(xlabel="depth", ylabel="parts")
    left.xaxis.get_major_locator().set_params(integer=True)
    left.legend(frameon=False, fontsize=8)
    masses = np.array([(0, 0.0), *tree.masses])
    right.step(masses[:, 0], masses[:, 1], where="post", color=GREEN)
    right.set(xlabel="parts so far", ylabel="closed share of the domain", ylim=(0, 1.02))
    for axes in (left, right):
        plain_axes(axes)
    titled(figure, Path(path).name, f"{count_of(len(tree.parts), 'part')}, {masses[-1, 1]:.2%} of the domain closed")
    return finished(figure, file)


def _levels(tree: Tree) -> Iterator[str]:
    """The first levels of the tree, one part a line."""
    below: dict[int, list[int]] = {}
    for number, part in tree.parts.items():
        if part.depth <= _LEVELS:
            below.setdefault(part.parent, []).append(number)
    waiting = [(number, "") for number in reversed(below.get(-1, []))]
    while waiting:
        number, side = waiting.pop()
        part = tree.parts[number]
        state = part.state if part.split is None else f"split at {_place(part.split[:2])}, {part.split[2]:.4g}"
        yield f"  {'  ' * part.depth}{side}margin >= {part.least:.4g}: {state}"
        waiting += [(child, side) for child, side in zip(reversed(below.get(number, [])), (">= ", "<= "), strict=False)]


def _place(what: tuple[int, ...]) -> str:
    return f"place {what[0]} element {what[1]}"
