"""How a search goes about it: values with a text, ``bab``, ``bab:smear``, ``bab:early:float64``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.query import Query
from nnsym.results.ranges import whole_number
from nnsym.search.branching import RULES, Branching, Finish, Longest, Mixed, Smear, rule
from nnsym.search.frontier import FRONTIERS
from nnsym.search.leaves import LEAVES, LeafSolver, leaf_solver

#: So many boxes are bounded without ascent where inputs are split.
_EASY = 512

#: So many are bounded together after that, where a network has at most so many coefficients: a batch's arrays stay
#: small, and what NumPy's calls cost beside their work is shared by three times as many.
_CROWD, _SMALL = 384, 2**17

#: Rules that split inputs, and neurons only in the end.
_INPUTS = (Smear, Longest, Finish)

#: Rounds of a first search on hidden rows.
_ROUNDS = 5

#: Up to so many inputs that are not fixed, inputs are split; up to the second number inputs and neurons.
FEW, SOME = 20, 60


@final
@dataclass(frozen=True, kw_only=True)
class Strategy:
    """How a search goes about it. What is None or 0 is chosen by :meth:`settled`, mostly by the number of inputs.

    Attributes:
        branching: the rule that says what of a part is split, and where.
        dtype: the format of the rows of bounds, ``float32`` or ``float64``.
        batch: so many parts are bounded at once.
        crowd: so many later on, once the tree is large, where that is more.
        steps: of ascent that improve the bounds of each part.
        root: the same for the first part, the whole domain.
        easy: so many parts are bounded without ascent first.
        refine: rounds of search on hidden rows, with which the ranges of the whole domain begin to be improved where
            few parts do not decide the query.
        cuts: so many rows, those with the lowest bounds, have cuts then; None lets the rule decide.
        soft: boxes are also cut by the conclusion's rows (:mod:`nnsym.search.steps.clipping`).
        frontier: which open parts come next, by name.
        workers: processes that share the work.
        leaf: who is asked about parts with few open neurons.
        few: so many are few; None asks with as many as suit ``leaf``, and ever more rarely if it closes none.
        rivals: rules that are tried beside ``branching`` where few parts do not decide the query.
    """

    branching: Branching | None = None
    dtype: str = "float32"
    batch: int = 0
    crowd: int = 0
    steps: int | None = None
    root: int = 20
    refine: int | None = None
    cuts: int | None = None
    easy: int = 0
    soft: bool = False
    frontier: str = "depth"
    workers: int = 1
    leaf: LeafSolver | None = None
    few: int | None = None
    rivals: tuple[Branching, ...] = ()

    def __post_init__(self) -> None:
        if self.leaf is not None and self.workers > 1:
            remedy = f"Leave out leaf={self.leaf.text}, or workers={self.workers}"
            raise InputError("several processes ask no solver about parts", where=self.text, remedy=remedy)
        if self.few is not None and self.leaf is None:
            raise InputError("nobody is named to ask", where=f"few={self.few}", remedy="Add leaf=lp, or drop it")

    @property
    def flat(self) -> bool:
        """True if inputs are split, so that boxes get smaller and their centres are worth a look."""
        return isinstance(self.branching, (Smear, Longest, Mixed, Finish))

    @property
    def hidden(self) -> bool:
        """True if neurons are split from the beginning."""
        return not isinstance(self.branching, _INPUTS)

    @property
    def text(self) -> str:
        """The parameters as they stand in a method's name."""
        words: list[str] = [
            *((self.branching.text,) if self.branching is not None else ()),
            *(("float64",) if self.dtype == "float64" else ()),
            *(("clip",) if self.soft else ()),
            *((self.frontier,) if self.frontier != "depth" else ()),
            *((f"steps={self.steps}",) if self.steps is not None else ()),
            *((f"refine={self.refine}",) if self.refine is not None else ()),
            *((f"cuts={self.cuts}",) if self.cuts is not None else ()),
            *((f"batch={self.batch}",) if self.batch else ()),
            *((f"workers={self.workers}",) if self.workers > 1 else ()),
            *((f"leaf={self.leaf.text}",) if self.leaf is not None else ()),
            *((f"few={self.few}",) if self.few is not None else ()),
        ]
        return ":".join(("bab", *words))

    @staticmethod
    def of(text: str) -> Strategy:
        """The strategy of a text such as ``bab:smear:float64:batch=64``."""
        name, *words = text.split(":")
        if name != "bab":
            raise InputError(f"no search '{text}'", remedy="Write bab, or bab:smear:float64")
        found: dict[str, Any] = {}
        for word in words:
            found |= _parameter(word)
        return Strategy(**found)

    def then(self, nodes: int) -> int:
        """Steps for others than the first, once so many were bounded: what is easy is done before ascent pays."""
        return 0 if nodes < self.easy else self.steps or 0

    def at_once(self, nodes: int) -> int:
        """How many are bounded together, once so many were: small trees are not split more than they need."""
        return max(self.batch, self.crowd) if nodes >= _EASY else self.batch

    def settled(self, query: Query) -> Strategy:
        """With everything chosen that was left open."""
        free = sum(int(np.count_nonzero(box.lower != box.upper)) for box in query.boxes.values())
        name, *others = ("smear",) if free <= FEW else ("mixed", "gap") if free <= SOME else ("early", "gap")
        chosen = self.branching or rule(name)
        shallow = isinstance(chosen, _INPUTS)
        return replace(
            self,
            branching=chosen,
            rivals=() if self.branching is not None else tuple(map(rule, others)),
            root=0 if shallow else self.root,
            refine=self.refine if self.refine is not None else 0 if shallow else _ROUNDS,
            cuts=0 if self.cuts is None and shallow else self.cuts,
            steps=self.steps if self.steps is not None else 3 if shallow else 8,
            easy=_EASY if shallow and self.steps is None else 0,
            soft=self.soft or shallow,
            batch=self.batch or (128 if shallow else 64),
            crowd=_CROWD if shallow and not self.batch and query.entries <= _SMALL else 0,
        )


#: Parameters that are a number, and the least that each may be; processes have a most as well.
_NUMBERS = {"steps": 0, "refine": 0, "cuts": 0, "batch": 1, "workers": 1, "few": 0}
_WORKERS = 1024


def _parameter(word: str) -> dict[str, Any]:
    """What one word of a text sets."""
    key, _, value = word.partition("=")
    number = whole_number(value)
    if key in _NUMBERS and number is not None and _NUMBERS[key] <= number <= (_WORKERS if key == "workers" else number):
        return {key: number}
    if key == "leaf" and value:
        return {"leaf": leaf_solver(value)}
    if word in ("float32", "float64"):
        return {"dtype": word}
    if word == "clip":
        return {"soft": True}
    if word in FRONTIERS:
        return {"frontier": word}
    if word in RULES:
        return {"branching": rule(word)}
    numbers = (f"{key}=N" for key in _NUMBERS)
    known = ", ".join((*RULES, *FRONTIERS, "float64", "clip", *(f"leaf={text}" for text in LEAVES), *numbers))
    raise InputError(f"'{word}' is no parameter of a search", remedy=f"Use some of: {known}")
