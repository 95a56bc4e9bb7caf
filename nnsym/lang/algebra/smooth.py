"""Smoothed classifiers in the language: ``g = nn.smooth(f, nn.gaussian(0.5))``, then ``nn.argmax(g(x)) == label``."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from nnsym.errors import InputError, LanguageError
from nnsym.evidence.noise import Noise
from nnsym.ir.functions.smoothed import smoothed
from nnsym.ir.network import Network, Tensor
from nnsym.ir.rows import Rows
from nnsym.lang.algebra.linear import materialise
from nnsym.lang.algebra.terms import Term, as_term
from nnsym.lang.guard import bad_input
from nnsym.lang.writing.text import Text, applied, call, leaf


@final
@dataclass(frozen=True)
class SmoothedClassifier:
    """``g(x)_c = P(argmax f(x + e) = c)`` for noise ``e``: called on a variable, the probabilities of all classes.

    They are no function that can be evaluated: ``nn.sampling()`` judges properties of g, with a confidence, and
    ``nn.evidence(g, x)`` counts samples at a point. What is proved of g says nothing of f, and the other way round.
    """

    network: Network
    noise: Noise

    @property
    def size(self) -> int:
        """Number of elements of the input."""
        return next(iter(self.network.inputs.values())).node.size

    @property
    def inputs(self) -> Mapping[str, Tensor]:
        """Those of the network."""
        return self.network.inputs

    @property
    def outputs(self) -> Mapping[str, Tensor]:
        """Those of the network, one number for each class."""
        return self.network.outputs

    @property
    def classes(self) -> int:
        """Number of classes."""
        return next(iter(self.network.outputs.values())).node.size

    @property
    def name(self) -> str:
        """What messages and tables call it."""
        return f"smooth({self.network.name}, {self.noise.text})"

    def __call__(self, argument: object) -> Any:
        if not isinstance(argument, Term):
            raise LanguageError(
                f"{self.name} at a point is an expectation over noise, which has no value that could be computed",
                remedy="nn.evidence(g, x) counts samples there",
            )
        term = as_term(argument)
        if term.size != self.size:
            raise bad_input(
                f"{self.name} takes {self.size} elements, the argument '{term}' has {term.size}",
                remedy=f"Pass a variable of {self.size} elements",
            )
        node = smoothed(self.network, self.noise, materialise(term.rows))
        noise = Text(self.noise.text, form=ast.parse(self.noise.text, mode="eval").body)
        whole = call("smooth", leaf(self.network.name, self.network), noise)
        return Term(Rows.of(node), (self.classes,), applied(whole, term.text), term.applications)

    def __repr__(self) -> str:
        return f"<{self.name}>"


def smooth(f: Network, noise: Noise) -> SmoothedClassifier:
    """The classifier that takes the class which ``f`` takes most often where ``noise`` is added to its input.

    Args:
        f: a network of one input and one output of two classes or more; its class is the first largest output.
        noise: ``nn.gaussian(sigma)``, ``nn.general_gaussian(sigma, k)``, ``nn.laplace(scale)``, ``nn.uniform(reach)``.

    Raises:
        InputError: another network, or noise of another number of elements.
    """
    if not isinstance(f, Network) or not isinstance(noise, Noise):
        raise bad_input("nn.smooth takes a network and noise", "Write nn.smooth(f, nn.gaussian(0.5))")
    if len(f.inputs) != 1 or len(f.outputs) != 1 or next(iter(f.outputs.values())).node.size < 2:
        raise InputError(
            "a smoothed classifier needs one input and one output of two classes or more",
            where=f.name,
            remedy="Give the network a row for each class; for a score s write the outputs (0, s)",
        )
    made = SmoothedClassifier(f, noise)
    noise.check(made.size)
    return made
