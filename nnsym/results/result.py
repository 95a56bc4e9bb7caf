"""What a verification returns: one verdict, what it rests on, and the trail of how it was reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Protocol, final

import numpy as np

from nnsym.errors import LanguageError
from nnsym.ir import digits
from nnsym.ir.array import Array
from nnsym.ir.node import Labels
from nnsym.ir.query import Query, Reading
from nnsym.ir.words import how_replayed
from nnsym.results.certificate import Certificate
from nnsym.results.html import result_html, witness_html
from nnsym.results.plain import save_result, saved_json


class Verdict(StrEnum):
    """The three answers."""

    VERIFIED = "verified"
    FALSIFIED = "falsified"
    UNKNOWN = "unknown"


class Trust(StrEnum):
    """What a verdict rests on, strongest first."""

    CHECKED = "checked"  # a certificate that the independent checker accepted
    EXACT = "exact"  # rational arithmetic, or a counterexample that was replayed
    CERTIFIED = "certified"  # a float bound re-derived with outward rounding
    SOLVER = "solver"  # a MILP solver's own dual bound, beyond its published tolerance
    STATISTICAL = "statistical"  # of a smoothed classifier, with a confidence over what was sampled
    ASSUMED = "assumed"  # rests on bounds that the user asserted


def weakest(*trusts: Trust) -> Trust:
    """The trust of what rests on all of them."""
    return max(trusts, key=list(Trust).index)


#: In words, for verdicts that rest on no point.
_RESTS = {
    Trust.CHECKED: "a certificate that the independent checker accepted",
    Trust.EXACT: "exact rational arithmetic",
    Trust.CERTIFIED: "bounds that were computed with outward rounding",
    Trust.SOLVER: "the solver's own bound, beyond its published tolerance",
    Trust.STATISTICAL: "samples of the smoothed classifier",
    Trust.ASSUMED: "bounds that the user asserted",
}


class Semantics(StrEnum):
    """Which function of a stored network a verdict speaks of (docs/numerics.md, "Two functions")."""

    REAL = "real"  # the real function of the stored constants
    DEPLOYED = "deployed"  # the stored dtype, any order of summation, with or without fused multiply-add


class Deployed(StrEnum):
    """What is known of the property when the stored networks run in their own dtype."""

    HOLDS = "holds"
    VIOLATED = "violated"
    OPEN = "open"


class Agreement(StrEnum):
    """Whether the stored models, run on a witness, say of it what the function that was asked about says."""

    AGREES = "agrees"
    DIFFERS = "differs"
    NOT_RUN = "not run"  # some number of the point is none of the models' dtype
    NONE = "none"  # nothing is stored: networks from arrays are exact


class Evidence(Protocol):
    """What was counted of a smoothed classifier (:class:`nnsym.evidence.evidence.Evidence`)."""

    def to_json(self) -> dict[str, Any]: ...


class Stated(Protocol):
    """A property that can say itself in other forms, by name: its full text, LaTeX."""

    def statement(self) -> dict[str, str]: ...


class NoTruthValue:
    """Base of answers that ``if``, ``and`` and ``not`` would silently take for true: their truth value is refused."""

    __slots__ = ()

    #: What the answer is, and what to ask instead.
    spoken: ClassVar[tuple[str, str]] = ("an answer", "Ask for one of its fields")

    def __bool__(self) -> NoReturn:
        what, instead = self.spoken
        raise LanguageError(f"{what} is neither true nor false", remedy=instead)


def tensor_lines(name: str, array: Array, labels: Labels, most: int) -> Iterator[str]:
    """The values of a tensor as text: all in one line, or one to a line where its elements have names or units."""
    flat = array.ravel()
    if labels != Labels():
        names = labels.names or tuple(f"[{k}]" for k in range(flat.size))
        units = labels.units or ("",) * flat.size
        wide = max(map(len, names))
        for k in range(min(most, flat.size)):
            yield f"{name}{'.' if labels.names else ''}{names[k]:<{wide}} = {digits.shown(flat[k])} {units[k]}".rstrip()
        if flat.size > most:
            yield f"{name}: {flat.size} elements in all"
        return
    shown = ", ".join(map(digits.shown, flat[:most]))
    yield f"{name} = [{shown}{f', ... {flat.size} in all' if flat.size > most else ''}]"


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Witness:
    """A point at which the network was evaluated: inputs by name, in the model's dtype and shape, and the outputs.

    A counterexample has a margin of at most 0, the witness of ``exists`` one of at least 0; where a term was minimised
    or maximised, ``margin`` is its value. The margin is that of the function which was asked about, rounded to the safe
    side. ``replayed_by`` names what computed the outputs: ``onnxruntime``, an order of summation in the model's dtype,
    ``exact`` or ``intervals`` (smooth activations and large networks). ``engine`` says if the stored models agree, and
    ``note`` why a point is not one of numbers of their dtype.
    """

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    margin: float
    replayed_by: str
    engine: Agreement = Agreement.NONE
    note: str = ""
    labels: Mapping[str, Labels] = field(default_factory=dict)

    def lines(self, most: int = 12) -> Iterator[str]:
        """``name = values``, a line for each input and output; elements that have names or units a line for each."""
        for name, array in (*self.inputs.items(), *self.outputs.items()):
            yield from tensor_lines(name, array, self.labels.get(name, Labels()), most)

    def __repr__(self) -> str:
        """One line: the margin, who evaluated it, the shapes."""
        tensors = ", ".join(f"{name} {a.shape}" for name, a in (*self.inputs.items(), *self.outputs.items()))
        return f"<witness: margin {self.margin:.6g}, {how_replayed(self.replayed_by)}; {tensors}>"

    def __str__(self) -> str:
        """What is printed: the margin, and the values by :meth:`lines`."""
        head = f"margin {self.margin:.6g}, {how_replayed(self.replayed_by)}"
        return "\n".join((head, *(f"  {line}" for line in self.lines())))

    def _repr_html_(self) -> str:
        return witness_html(self)


Counterexample = Witness  # of a violation


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """One line of the trail: what was done, how long it took, what it found."""

    name: str
    seconds: float
    note: str = ""


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Sizes:
    """Size of a program, of what the bounds left open, and of the tree that was searched."""

    columns: int = 0
    binary: int = 0
    rows: int = 0
    nonzeros: int = 0
    unstable: int = 0
    nodes: int = 0


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Result(NoTruthValue):
    """A verdict, what it rests on, and ``lower <= margin <= upper``.

    The margin of a ``forall`` is the least one over the precondition: ``lower`` is proved, ``upper`` is the margin at a
    point that was evaluated, and a ``counterexample`` falsifies. The margin of an ``exists`` is the largest one:
    ``upper`` is proved, ``lower`` was evaluated, and a ``witness`` verifies. Beside a verdict of trust ``exact`` or
    ``certified`` the proved side rests on nobody's word, unless the margin was asked for (``optimise``) and a
    counterexample, or witness, carries the verdict. A result has no truth value: ``verified`` and ``falsified`` have.

    Attributes:
        status: verified, falsified or unknown.
        reason: why, as a word or phrase that programs may read (docs/reports.md).
        trust: what the verdict rests on; None for unknown.
        method: its name; what decided before it ran, if something did.
        encoding: of the program that was solved, if there was one.
        solver: the lane that solved it.
        bounds: the source of bounds that was computed.
        goal: ``decide`` the sign of the margin, or ``optimise`` it.
        reading: what it means that a point was found.
        slack: what the conclusion was relaxed by.
        semantics: the function that status and margin speak of.
        float_error: a certified bound of how far any row of the property can be from its real value, on the whole
            domain, when stored networks run in their own dtype; None where it was not needed.
        deployed: what is known of the property then.
        vacuous: no input satisfies the precondition.
        lower: the lower end of the margin's interval.
        upper: the upper end.
        lower_trust: what ``lower`` rests on, None where nothing is known; a side of trust ``solver`` may be off by that
            solver's tolerance.
        upper_trust: the same of ``upper``.
        relaxation: the bound of the program without integrality ("root LP"), where it was asked for.
        confidence: the probability, over the samples, that sides of trust ``statistical`` hold together.
        evidence: the counts of a smoothed classifier.
        counterexample: a point that violates the property, replayed.
        witness: a point that fulfils an ``exists``, replayed.
        sizes: of the program, of what the bounds left open, and of the tree that was searched.
        seconds: wall seconds of every step, and their ``total``.
        peak_memory: bytes of the solver's process.
        trail: what was done, step by step.
        versions: of everything that took part.
        query: what was searched.
        certificate: one of the verdict, where it was asked for and found.
        uncertified: why there is none, where it was asked for.
    """

    spoken = (
        "the result of a verification (verified, falsified or unknown)",
        "Write: nn.verify(p).verified",
    )

    status: Verdict
    reason: str
    trust: Trust | None
    method: str
    encoding: str = ""
    solver: str = ""
    bounds: str = ""
    goal: str = "decide"
    reading: Reading = Reading.FORALL
    slack: float = 0.0
    semantics: Semantics = Semantics.REAL
    float_error: float | None = None
    deployed: Deployed = Deployed.OPEN
    vacuous: bool = False
    lower: float = -np.inf
    upper: float = np.inf
    lower_trust: Trust | None = None
    upper_trust: Trust | None = None
    relaxation: float | None = None
    confidence: float | None = None
    evidence: Evidence | None = None
    counterexample: Witness | None = None
    witness: Witness | None = None
    sizes: Sizes = field(default_factory=Sizes)
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory: int = 0
    trail: tuple[Step, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    query: Query | None = None
    certificate: Certificate | None = None
    uncertified: str = ""

    @property
    def verified(self) -> bool:
        """True if the property was shown to hold; ``unknown`` is neither this nor falsified."""
        return self.status is Verdict.VERIFIED

    @property
    def falsified(self) -> bool:
        """True if the property was shown not to hold."""
        return self.status is Verdict.FALSIFIED

    @property
    def rests_on(self) -> str:
        """What the verdict rests on, in words."""
        found = self.counterexample if self.falsified else self.witness if self.verified else None
        if self.trust is Trust.CHECKED:
            return _RESTS[Trust.CHECKED]
        if found is not None:
            return f"the {'counterexample' if self.falsified else 'witness'}, {how_replayed(found.replayed_by)}"
        if self.trust is Trust.STATISTICAL:
            return f"{_RESTS[self.trust]}, with confidence {self.confidence:.10g}"
        return _RESTS[self.trust] if self.trust is not None else "nothing: no verdict was reached"

    def to_json(self) -> dict[str, Any]:
        """Plain data: the result, and what it is about (property, hashes, networks, boxes)."""
        return saved_json(self)

    def save(self, path: str | Path, prop: Stated | None = None) -> Path:
        """Write :meth:`to_json` to a file that :func:`nnsym.load_result` and ``nnsym report`` read.

        With the property itself the file also holds its full text, which can be verified again.
        """
        return save_result(saved_json(self, None if prop is None else prop.statement()), path)

    def _repr_html_(self) -> str:
        return result_html(self)

    @property
    def bound_trust(self) -> Trust | None:
        """What the proved side of the margin rests on."""
        return self.upper_trust if self.reading is Reading.EXISTS else self.lower_trust

    @property
    def bound_rests_on(self) -> str:
        """In words, what the proved side of the margin rests on, where that is not the trust of the verdict."""
        side = "upper" if self.reading is Reading.EXISTS else "lower"
        trust = self.bound_trust
        return f" ({side} {trust.value})" if trust is not None and trust is not self.trust else ""

    def __repr__(self) -> str:
        """One line: verdict, what it rests on, the margin's interval, the method."""
        vacuous = " (vacuous)" if self.vacuous else ""
        trust = f", trust {self.trust.value}" if self.trust else ""
        trust += f" (confidence {self.confidence:.10g})" if self.confidence is not None else ""
        margin = f"margin in [{self.lower:.6g}, {self.upper:.6g}]{self.bound_rests_on}"
        slack = f"; slack {self.slack:g}" if self.slack else ""
        meant = f"; {self.semantics.value}" if self.semantics is not Semantics.REAL else ""
        return f"<{self.status.value}{vacuous}: {self.reason}{trust}; {margin}{slack}{meant}; {self.method}>"
