"""The node of a smoothed classifier: the probability of every class where noise is added to the argument.

``g(x)_c = P(argmax f(x + e) = c)`` for random noise ``e``. It is an expectation, no function that can be evaluated: the
evaluator, bounds and encodings have no rule for it, and whoever is asked about it says so in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final

from nnsym.errors import UnsupportedError
from nnsym.ir.node import Node, intern

if TYPE_CHECKING:
    from nnsym.ir.network import Network
    from nnsym.ir.query import Query


class Noise(Protocol):
    """What the graph knows of a distribution: the text that says it in full."""

    @property
    def text(self) -> str: ...


@final
class Smoothed(Node):
    """The probabilities of the classes of ``network`` at its parent plus ``noise``; as many as it has outputs."""

    __slots__ = ("network", "noise")

    def __init__(self, network: Network, noise: Noise, parent: Node) -> None:
        classes = next(iter(network.outputs.values())).node.size
        super().__init__(classes, (parent,), ("smoothed", network.hash, noise.text, id(parent)))
        self.network, self.noise = network, noise

    def with_parents(self, parents: tuple[Node, ...], model: str | None = None) -> Node:
        return smoothed(self.network, self.noise, parents[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return smoothed, (self.network, self.noise, self.parents[0])

    def refuse_value(self) -> None:
        raise UnsupportedError(
            f"{self.title} is an expectation over noise: it is sampled, and has no value that could be computed",
            remedy="nn.evidence(g, x) counts samples at a point, nn.sampling() judges properties",
        )

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"smooth({self.network.name}, {self.noise.text})"


def smoothed(network: Network, noise: Noise, parent: Node) -> Smoothed:
    """The one node of its content."""
    return intern(Smoothed(network, noise, parent))


def smoothed_nodes(query: Query) -> tuple[Smoothed, ...]:
    """The smoothed classifiers that a query speaks of."""
    return tuple(node for node in query.nodes if isinstance(node, Smoothed))


def refuse_smoothed(query: Query, asked: str) -> None:
    """Raise where the query speaks of a smoothed classifier, which ``asked`` cannot treat."""
    for node in smoothed_nodes(query):
        raise UnsupportedError(
            f"'{asked}' speaks of functions, and {node.title} is an expectation over noise",
            where=query.name,
            remedy=f"Use nn.sampling(), or state the property of '{node.network.name}' itself",
        )
