"""The sources ``lipschitz`` and ``bcp`` by name and parameters; what computes them is loaded when one is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import final

from nnsym.bounds.base import Bounds
from nnsym.bounds.batch import in_turn
from nnsym.bounds.sources import Dtype, FloatBoxes, Source
from nnsym.errors import InputError
from nnsym.ir.query import Query


@final
@dataclass(frozen=True, kw_only=True)
class Lipschitz(Source):
    """Lipschitz constants of every row, times the distance from a centre; met with intervals.

    ``sdp`` bounds the rows' constants by semidefinite certificates as well (:mod:`nnsym.bounds.lipschitz.certificate`);
    ``outputs`` bounds a network's outputs together and a row by the norm of its coefficients. Text: ``lipschitz``,
    ``lipschitz:sdp``, ``lipschitz:outputs``, ``lipschitz:sdp:outputs``.
    """

    name: str = "lipschitz"
    summary: str = "Lipschitz constants of the rows times the distance from a centre"
    paper: str = "Tsuzuku et al. 2018; sdp: Fazlyab et al. 2019"
    sdp: bool = False
    outputs: bool = False

    @property
    def text(self) -> str:
        return ":".join([self.name, *(word for word, said in (("sdp", self.sdp), ("outputs", self.outputs)) if said)])

    def parse(self, parameters: str) -> Source:
        words = parameters.split(":")
        if not set(words) <= {"sdp", "outputs"}:
            raise InputError(
                f"'{parameters}' are no parameters of '{self.name}'",
                remedy="Write lipschitz, lipschitz:sdp, lipschitz:outputs or lipschitz:sdp:outputs",
            )
        return replace(self, sdp="sdp" in words, outputs="outputs" in words)

    def compute(
        self, query: Query, boxes: FloatBoxes | None = None, *, device: str = "cpu", dtype: Dtype = "float64"
    ) -> Bounds:
        from nnsym.bounds.lipschitz.source import by_constants  # start: few ask for constants

        one = partial(by_constants, text=self.text, sdp=self.sdp, outputs=self.outputs, deadline=self.deadline)
        return in_turn(one, query, boxes)


@final
@dataclass(frozen=True, kw_only=True)
class BallAndBox(Source):
    """A box and a ball at every node, carried forward together and met with intervals."""

    name: str = "bcp"
    summary: str = "a box and a ball round the centre's value at every node, forward"
    paper: str = "Lee, Lee, Park 2020"

    def compute(
        self, query: Query, boxes: FloatBoxes | None = None, *, device: str = "cpu", dtype: Dtype = "float64"
    ) -> Bounds:
        from nnsym.bounds.lipschitz.ball_box import by_balls  # start: few ask for balls

        return in_turn(partial(by_balls, name=self.text, deadline=self.deadline), query, boxes)
