"""What people call elements: those of variables by their own names, values of stored models by theirs."""

from __future__ import annotations

from collections.abc import Iterable

from nnsym.ir.names import node_names
from nnsym.ir.network import Application
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query


def output_title(query: Query, application: Application, name: str) -> str:
    """An output's name; with its network's and a number where several are applied (``ctl_2.cmd``)."""
    if len(query.applications) == 1:
        return name
    return f"{application.network.name}_{query.applications.index(application) + 1}.{name}"


def column_titles(query: Query) -> dict[Node, str | tuple[str, ...]]:
    """The nodes that people gave names: each element of a variable (``x.speed``), or a value of a stored model.

    That is ``ctl_2.cmd`` for an output, ``act1`` for a hidden layer, and its elements are ``act1[7]``. A name that is
    ours for something else, or a variable's, is not taken. Networks from arrays have no names but ours.
    """
    ours = node_names(query.nodes)
    taken = {name: node for node, name in ours.items()}
    stored = _titles(query, [a for a in query.applications if a.network.model is not None])
    models = {n: t for n, t in stored.items() if n in ours and not isinstance(n, Input) and taken.get(t, n) is n}
    return models | {x: tuple(x.title(k) for k in range(x.size)) for x in query.inputs if x.labels.names}


def node_titles(query: Query) -> dict[Node, str]:
    """What models call nodes, and of which application they are: ``ctl_2.cmd``; outputs before other tensors."""
    alone = len(query.applications) == 1  # the one network from arrays has our names
    return _titles(query, [a for a in query.applications if not (alone and a.network.model is None)])


def _titles(query: Query, applications: Iterable[Application]) -> dict[Node, str]:
    found: dict[Node, str] = {}
    for application in applications:
        network = application.network
        for name, tensor in {**network.outputs, **network.tensors}.items():
            node = application.image.get(tensor.node)
            if node is not None:
                found.setdefault(node, output_title(query, application, name))
    return found
