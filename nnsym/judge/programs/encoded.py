"""An encoding on a solver's lane, fed by bounds: what is run, whoever asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from nnsym.encoding import Encoding, Exactness, Form
from nnsym.judge.method import Establisher


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class EncodedMethod(Establisher):
    """Encode with ``encoding`` on ``bounds`` and solve with the lane ``solver``.

    ``optimise`` asks for the margin itself rather than its sign.
    """

    encoding: Encoding
    solver: str
    bounds: str = "crown"
    optimise: bool = False

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.encoding.name}+{self.solver}"

    @property
    def exact(self) -> bool:  # type: ignore[override]
        return all(rule.exactness is not Exactness.OUTER for rule in self.encoding.rules)

    @property
    def rational(self) -> bool:  # type: ignore[override]
        return self.encoding.form is Form.BOOLEAN

    @property
    def encoded(self) -> str:  # type: ignore[override]
        return self.encoding.name

    @property
    def lane(self) -> str:  # type: ignore[override]
        return self.solver

    @property
    def goal(self) -> str:  # type: ignore[override]
        return "optimise" if self.optimise else "decide"
