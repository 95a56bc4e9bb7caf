"""The search for numbers that deny a claim, path by path, and the answer that comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar, final

import z3

from nnsym.encoding import Encoding
from nnsym.ir.univariate import Univariate
from nnsym.report.pictures.neuron import draw
from nnsym.testing.prove.number import Number, term
from nnsym.testing.prove.tries import find_model
from nnsym.testing.prove.world import World, paths

Made = TypeVar("Made")

#: What would be wrong, as a formula, and what a model of it shows.
Denial = tuple[Any, Callable[[Any], "Counterexample"]]


class Answer(Enum):
    """What came of a theorem."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNKNOWN = "unknown"


@final
@dataclass(frozen=True, eq=False)
class Counterexample:
    """Numbers for which a rule is wrong, and what is wrong there. ``fn`` is the neuron's function, if it is one."""

    numbers: dict[str, Fraction]
    says: str
    fn: Univariate | None = None

    def __str__(self) -> str:
        return f"{', '.join(f'{name} = {_shown(v)}' for name, v in self.numbers.items())}: {self.says}"

    def draw(self, encoding: Encoding, path: str | Path | None = None) -> Any:
        """What the encoding makes of the neuron, beside the triangle (:func:`nnsym.draw`)."""
        lower, upper = (float(self.numbers[f"{side}(h)"]) for side in "lu")
        return draw([encoding, "triangle"], op=self.fn or "relu", l=lower, u=upper, path=path)


def _shown(value: Fraction) -> str:
    try:
        return f"{float(value):.6g}"
    except OverflowError:
        return "a number beyond all floats"


@final
@dataclass(frozen=True, eq=False)
class Proof:
    """The answer about one rule of ``of`` on one subject; ``seconds`` are of the processor."""

    of: str
    subject: str
    claim: str
    answer: Answer
    paths: int
    seconds: float
    reason: str = ""
    counterexample: Counterexample | None = None

    def __str__(self) -> str:
        why = self.reason or (str(self.counterexample) if self.counterexample else "")
        head = f"{self.of:15} {self.subject:24} {self.claim:22} {self.answer.value:8}"
        return f"{head} {self.paths:5} paths {self.seconds:6.2f} s{f'  {why}' if why else ''}"


def prove(
    claim: tuple[str, str, str],
    run: Callable[[World], Made],
    denials: Callable[[Made], Iterable[Denial]],
    *,
    seconds: float,
    unit: Any = None,
) -> Proof:
    """Prove that no denial holds of anything that ``run`` makes on any path; ``claim`` is what of what is claimed."""
    started, counts = time.process_time(), {"paths": 0, "denials": 0}

    def answer(found: Answer, reason: str = "", shown: Counterexample | None = None) -> Proof:
        return Proof(*claim, found, counts["paths"], time.process_time() - started, reason, shown)

    try:
        for world, made in paths(run, unit=unit):
            counts["paths"] += 1
            for denial, shows in denials(made):
                counts["denials"] += 1
                left = seconds - (time.process_time() - started)
                if left <= 0:
                    return answer(Answer.UNKNOWN, f"{seconds:g} s did not suffice for all paths")
                found = find_model(world, denial, left)
                if found is None:
                    return answer(Answer.UNKNOWN, f"Z3 has no answer within {left:.3g} s, the terms are nonlinear")
                if found is not False:
                    return answer(Answer.REFUTED, "", shows(found))
    except Exception as error:  # whatever the code does with numbers that are none: nothing is proved
        return answer(Answer.UNKNOWN, f"{type(error).__name__}: {error}")
    if not counts["denials"]:
        return answer(Answer.UNKNOWN, "no rows came out, so there was nothing to prove")
    return answer(Answer.PROVED)


def number_in(model: Any, value: Any) -> Fraction:
    """The value of a number or term in a model; of an irrational one a rational near it."""
    found = model.eval(term(value) if isinstance(value, Number) else value, model_completion=True)
    if z3.is_algebraic_value(found):
        found = found.approx(20)
    return Fraction(found.as_fraction())
