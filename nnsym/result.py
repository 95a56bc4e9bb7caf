"""What a verification returns: one verdict, what it rests on, and the trail of how it was reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Verdict(StrEnum):
    """The three answers."""

    VERIFIED = "verified"
    FALSIFIED = "falsified"
    UNKNOWN = "unknown"


class Trust(StrEnum):
    """What a verdict rests on, strongest first."""

    EXACT = "exact"  # rational arithmetic, or a counterexample that was replayed
    CERTIFIED = "certified"  # a float bound re-derived with outward rounding
    SOLVER = "solver"  # a MILP solver's own dual bound, beyond its published tolerance
    ASSUMED = "assumed"  # rests on bounds that the user asserted


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Counterexample:
    """Inputs by name in the model's dtype and shape, the outputs there, and the margin (negative or zero).

    ``replayed_by`` names what executed the network: ``onnxruntime``, ``torch``, ``exact`` or
    ``intervals`` (smooth activations; the margin is an upper bound of the real one there).
    """

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    margin: float
    replayed_by: str


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
    """Size of a program and of what the bounds left open."""

    columns: int = 0
    binary: int = 0
    rows: int = 0
    nonzeros: int = 0
    unstable: int = 0


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Result:
    """``status`` with its ``reason`` and ``trust``; ``lower <= margin <= upper`` over the precondition.

    ``lower`` is certified to the level of ``trust``; ``upper`` is the margin at a point that was evaluated.
    ``vacuous`` is true where no input satisfies the precondition. ``relaxation`` is the bound of the program without
    integrality ("root LP"), where it was asked for.
    """

    status: Verdict
    reason: str
    trust: Trust | None
    method: str
    encoding: str = ""
    solver: str = ""
    bounds: str = ""
    goal: str = "decide"
    vacuous: bool = False
    lower: float = -np.inf
    upper: float = np.inf
    relaxation: float | None = None
    counterexample: Counterexample | None = None
    sizes: Sizes = field(default_factory=Sizes)
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory: int = 0
    trail: tuple[Step, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line: verdict, what it rests on, the margin's interval, the method."""
        vacuous = " (vacuous)" if self.vacuous else ""
        trust = f", trust {self.trust.value}" if self.trust else ""
        margin = f"margin in [{self.lower:.6g}, {self.upper:.6g}]"
        return f"<{self.status.value}{vacuous}: {self.reason}{trust}; {margin}; {self.method}>"
