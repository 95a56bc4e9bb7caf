"""How a search goes about it: values with a text, ``bab``, ``bab:smear``, ``bab:early:float64``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.query import Query
from nnsym.search.branching import RULES, Branching, Finish, Longest, Mixed, Smear, rule
from nnsym.search.frontier import FRONTIERS

#: So many boxes are bounded without ascent where inputs are split.
_EASY = 512

#: Rules that split inputs, and neurons only in the end.
_INPUTS = (Smear, Longest, Finish)

#: Rounds of a first search on hidden rows.
_ROUNDS = 5

#: Up to so many inputs that are not fixed, inputs are split; up to the second number inputs and neurons.
FEW, SOME = 20, 60


@final
@dataclass(frozen=True, kw_only=True)
class Strategy:
    """``branching`` None chooses by the number of inputs. ``steps`` of ascent improve the bounds of each subproblem
    once ``easy`` of them were bounded without, ``root`` those of the first; ``batch`` of them are bounded at once.
    ``refine`` rounds of search on hidden rows begin to improve the ranges of the whole domain where few parts do not
    decide it; ``cuts`` of its lowest rows have cuts then, None lets the rule decide. ``soft`` also makes boxes smaller
    by rows of the conclusion, ``frontier`` says what is bounded next. ``workers`` processes share the work. ``rivals``
    are rules that are tried beside ``branching`` where few parts do not decide it.
    """

    branching: Branching | None = None
    dtype: str = "float32"
    batch: int = 0
    steps: int | None = None
    root: int = 20
    refine: int | None = None
    cuts: int | None = None
    easy: int = 0
    soft: bool = False
    frontier: str = "depth"
    workers: int = 1
    rivals: tuple[Branching, ...] = ()

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
        ]
        return ":".join(("bab", *words))

    @staticmethod
    def of(text: str) -> Strategy:
        """The strategy of a text such as ``bab:smear:float64:batch=64``."""
        name, *words = text.split(":")
        if name != "bab":
            raise InputError(f"no search '{text}'", remedy="Write bab, or bab:smear:float64")
        found = Strategy()
        for word in words:
            key, _, value = word.partition("=")
            if key == "steps" and value.isdecimal():
                found = replace(found, steps=int(value))
            elif key == "refine" and value.isdecimal():
                found = replace(found, refine=int(value))
            elif key == "cuts" and value.isdecimal():
                found = replace(found, cuts=int(value))
            elif key == "batch" and value.isdecimal() and int(value):
                found = replace(found, batch=int(value))
            elif key == "workers" and value.isdecimal() and int(value):
                found = replace(found, workers=int(value))
            elif word in ("float32", "float64"):
                found = replace(found, dtype=word)
            elif word == "clip":
                found = replace(found, soft=True)
            elif word in FRONTIERS:
                found = replace(found, frontier=word)
            elif word in RULES:
                found = replace(found, branching=rule(word))
            else:
                known = ", ".join(
                    (*RULES, *FRONTIERS, "float64", "clip", "steps=N", "refine=N", "cuts=N", "batch=N", "workers=N")
                )
                raise InputError(f"'{word}' is no parameter of a search", remedy=f"Use some of: {known}")
        return found

    def then(self, nodes: int) -> int:
        """Steps for others than the first, once so many were bounded: what is easy is done before ascent pays."""
        return 0 if nodes < self.easy else self.steps or 0

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
        )
