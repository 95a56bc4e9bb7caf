"""What people call elements: those of variables by the names they gave, outputs by the names in the stored models."""

from __future__ import annotations

from nnsym.ir.network import Application
from nnsym.ir.node import Node
from nnsym.ir.query import Query


def output_title(query: Query, application: Application, name: str) -> str:
    """An output's name; with its network's and a number where several are applied (``ctl_2.cmd``)."""
    if len(query.applications) == 1:
        return name
    return f"{application.network.name}_{query.applications.index(application) + 1}.{name}"


def element_titles(query: Query) -> dict[Node, tuple[str, ...]]:
    """The nodes whose elements have names of their own: ``x.speed``, ``ctl_2.cmd[0]``.

    Networks from arrays have no names but ours.
    """
    found: dict[Node, tuple[str, ...]] = {}
    for application in query.applications:
        for name, tensor in application.network.outputs.items():
            node, title = application.output(name), output_title(query, application, name)
            if application.network.model is not None and node not in found:
                found[node] = tuple(f"{title}[{k}]" for k in range(tensor.node.size))
    named = {x: tuple(x.title(k) for k in range(x.size)) for x in query.inputs if x.labels.names}
    return {node: titles for node, titles in (found | named).items() if node in query.nodes}


def node_titles(query: Query) -> dict[Node, str]:
    """What stored models call nodes, and of which application they are: ``ctl_2.cmd``; outputs before other tensors."""
    found: dict[Node, str] = {}
    for application in query.applications:
        network = application.network
        if network.model is None and len(query.applications) == 1:
            continue  # the one network's names are ours
        for name, tensor in {**network.outputs, **network.tensors}.items():
            node = application.image.get(tensor.node)
            if node is not None:
                found.setdefault(node, output_title(query, application, name))
    return found
