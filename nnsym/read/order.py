"""The order of a model's nodes: those that the outputs need, each after what it reads, in whatever order they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nnsym.errors import InputError


def node_label(position: int, node: Any) -> str:
    """What messages call a node: its name, or its place and first output."""
    if node.name:
        return f"'{node.name}'"
    return f"{position} (output '{node.output[0]}')" if node.output else str(position)


def producers(graph: Any, where: str) -> dict[str, int]:
    """The node behind every name; raises :class:`InputError` where a name is defined twice."""
    given = [v.name for v in graph.input]
    stored = [t.name for t in graph.initializer] + [t.values.name for t in graph.sparse_initializer]
    for kind, names in (("input", given), ("initializer", stored), ("output", [v.name for v in graph.output])):
        for name in _repeated(names):
            raise InputError(f"two of them are called '{name}'", where=f"{where}: {kind}s", remedy=_TWICE)
    taken, found = {*given, *stored}, dict[str, int]()
    for position, node in enumerate(graph.node):
        for name in filter(None, node.output):
            if name in taken:
                raise InputError(
                    f"defines '{name}', which is defined before",
                    where=f"{where}: node {node_label(position, node)}, {node.op_type}",
                    remedy=_TWICE,
                )
            taken.add(name)
            found[name] = position
    return found


_TWICE = "Every value of a model needs a name of its own; export it again"


def _repeated(names: list[str]) -> Iterator[str]:
    seen = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def sorted_nodes(graph: Any, where: str, reads: Mapping[int, tuple[str, ...]] | None = None) -> list[int]:
    """Positions of the nodes that the outputs depend on, parents first; in a sorted model their own order.

    ``reads`` says of some nodes what they need in place of what they name.
    """
    made_by, others = producers(graph, where), reads or {}
    read = {k: others.get(k, node.input) for k, node in enumerate(graph.node)}
    before = {k: [made_by[n] for n in names if n in made_by] for k, names in read.items()}
    done: set[int] = set()
    order: list[int] = []
    for start in sorted(_needed(graph, made_by, before)):
        path, inside = [(start, iter(before[start]))], {start}
        while path:
            position, parents = path[-1]
            step = next((p for p in parents if p not in done), None)
            if step is None:
                path.pop()
                inside.discard(position)
                if position not in done:
                    done.add(position)
                    order.append(position)
            elif step in inside:
                raise _cycle(graph, [p for p, _ in path], step, where)
            else:
                path.append((step, iter(before[step])))
                inside.add(step)
    return order


def _needed(graph: Any, made_by: dict[str, int], before: dict[int, list[int]]) -> set[int]:
    stack, needed = [made_by[v.name] for v in graph.output if v.name in made_by], set[int]()
    while stack:
        position = stack.pop()
        if position not in needed:
            needed.add(position)
            stack.extend(before[position])
    return needed


def _cycle(graph: Any, path: list[int], step: int, where: str) -> InputError:
    loop = [*path[path.index(step) :], step]
    names = [node_label(p, graph.node[p]) for p in reversed(loop)]
    shown = names if len(names) <= 8 else [*names[:6], "...", names[-1]]
    return InputError(
        f"the nodes {' -> '.join(shown)} read each other in a circle",
        where=where,
        remedy="A network computes its outputs from its inputs; export it without feedback",
    )
