"""The traversals of graphs and of trees: iterative, so that a chain of thousands of layers works."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from nnsym.ir.node import Input, Node

T = TypeVar("T")


def postorder(roots: Iterable[T], parts: Callable[[T], Iterable[T]]) -> Iterator[T]:
    """Every object that the roots are made of, once, its parts before it, from left to right, without recursion."""
    done: set[int] = set()
    stack = [(root, False) for root in reversed(tuple(roots))]
    while stack:
        one, expanded = stack.pop()
        if id(one) in done:
            continue
        below = () if expanded else tuple(parts(one))
        if below:
            stack.append((one, True))
            stack.extend([(part, False) for part in reversed(below) if id(part) not in done])
        else:
            done.add(id(one))
            yield one


def _parents(node: Node) -> tuple[Node, ...]:
    return node.parents


def topological(roots: Iterable[Node], parents: Callable[[Node], tuple[Node, ...]] = _parents) -> tuple[Node, ...]:
    """Every node that the roots depend on, parents before children, in a deterministic order.

    ``parents`` may name other dependencies than a node's own parents, to cut a graph short.
    """
    return tuple(postorder(roots, parents))


def fold(roots: Iterable[Node], rule: Callable[[Node, tuple[T, ...]], T]) -> dict[Node, T]:
    """``rule(node, values of its parents)`` for every node, each once."""
    values: dict[Node, T] = {}
    for node in topological(roots):
        values[node] = rule(node, tuple(values[parent] for parent in node.parents))
    return values


def inputs_of(roots: Iterable[Node]) -> tuple[Input, ...]:
    """The free inputs that the roots depend on."""
    return tuple(node for node in topological(roots) if isinstance(node, Input))


def substitute(roots: Iterable[Node], replacement: Mapping[Node, Node], model: str | None = None) -> dict[Node, Node]:
    """Every node of the graph with the given nodes replaced; shares all that is untouched.

    With ``model`` a run of that model gives all of them but constants.
    """

    def rule(node: Node, parents: tuple[Node, ...]) -> Node:
        if node in replacement:
            return replacement[node]
        kept = parents == node.parents and (not parents or model in (None, node.model))
        return node if kept else node.with_parents(parents, model)

    return fold(roots, rule)


def flat_pickle(holder: Any, roots: Iterable[Node]) -> tuple[Any, ...]:
    """``__reduce__`` of a frozen dataclass that holds nodes: the nodes come first, parents before children.

    So no pickle nests deeper than one node, and a chain of thousands of layers travels. Cached properties stay.
    """
    values = tuple(getattr(holder, field.name) for field in fields(holder))
    return _restored, (type(holder), topological(roots), values)


def _restored(kind: type[Any], nodes: tuple[Node, ...], values: tuple[Any, ...]) -> Any:
    return kind(*values)
