"""Names and shapes under which a query's networks show their values."""

from __future__ import annotations

from collections.abc import Mapping

from nnsym.ir.array import Array
from nnsym.ir.network import Application
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.ir.titles import output_title


def results(query: Query) -> tuple[Node, ...]:
    """The outputs of all networks, each once."""
    return tuple(dict.fromkeys(node for a in query.applications for node in results_of(a)))


def results_of(application: Application) -> tuple[Node, ...]:
    """The outputs of one application."""
    return tuple(application.output(name) for name in application.network.outputs)


def named(query: Query, values: Mapping[Node, Array]) -> dict[str, Array]:
    """The networks' outputs by name, in their shapes."""
    return {
        output_title(query, a, name): values[a.output(name)].reshape(tensor.shape)
        for a in query.applications
        for name, tensor in a.network.outputs.items()
    }


def input_shape(query: Query, x: Input) -> tuple[int, ...]:
    """The shape in which the first network that reads an input reads it."""
    for application in query.applications:
        for argument, tensor in zip(application.arguments, application.network.inputs.values(), strict=True):
            if argument is x:
                return tensor.shape
    return (x.size,)
