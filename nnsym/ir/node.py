"""The core calculus: five kinds of node over flat real vectors.

``Input``, ``Affine`` (sum of linear maps of parents plus bias), ``Pointwise`` (one univariate function),
``Max`` (maximum over groups of elements), ``Product`` (elementwise). Nodes are immutable and interned:
equal content is the same object, so a network applied twice to one variable is one graph. Names and
shapes are not identity; they live in :class:`nnsym.ir.network.Network` and in the query.

Whose run gives a node's value is part of its content: what a stored model computes in its own dtype is never the node
of a property that computes the same exactly, nor that of another model, which may sum in another order.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar, cast, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.linear import LinearMap, Select, digest, freeze, identity
from nnsym.ir.univariate import Univariate

N = TypeVar("N", bound="Node")

_interned: weakref.WeakValueDictionary[tuple[object, ...], Node] = weakref.WeakValueDictionary()
_fresh = itertools.count()


class Node:
    """A vector-valued node. Compare with ``is``; build with the functions of this module.

    ``model`` is the hash of the stored model whose run gives its value, empty where the value is exact.
    """

    __slots__ = ("__weakref__", "key", "model", "parents", "size")

    def __init__(self, size: int, parents: tuple[Node, ...], key: tuple[object, ...], model: str = "") -> None:
        self.size, self.parents, self.model = size, parents, model
        self.key = (*key, model) if model else key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.size}>"

    def with_parents(self, parents: tuple[Node, ...], model: str | None = None) -> Node:
        """The same operation on other parents (of the same sizes), by the same run if no other is named."""
        raise InputError("an input has no parents")

    def refuse_value(self) -> None:
        """Raise, in words, where the node has no value at a point that could be computed."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), *self._content())

    def _content(self) -> tuple[Any, ...]:
        raise InputError(f"{type(self).__name__} cannot be rebuilt")


def _rebuild(kind: type[Node], *content: Any) -> Node:
    builders: dict[type[Node], Any] = {
        Input: _input,
        Affine: lambda maps, parents, bias, model: affine(tuple(zip(maps, parents, strict=True)), bias, model),
        Pointwise: pointwise,
        Max: maximum,
        Product: product,
    }
    return builders[kind](*content)  # type: ignore[no-any-return]


def intern(node: N) -> N:
    """The one object of a node's content: what every function that makes a node ends with.

    Keys begin with the kind of node, so the object that is there already is of the same class.
    """
    return cast(N, _interned.setdefault(node.key, node))


def is_interned(node: Node) -> bool:
    """True if the node is the one object of its content, as every node built by this module is."""
    return _interned.get(node.key) is node


@final
class Labels(NamedTuple):
    """What people call the elements of an input, and the units they are in; either may be empty."""

    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


UNLABELLED = Labels()


@final
class Input(Node):
    """A free vector: an input of a network or a variable of a property.

    ``name`` is for people; ``uid`` is the identity. ``integer`` marks elements that take integer values only.
    ``choice`` numbers the one-hot groups: of the elements with one number exactly one is 1 and the others are 0;
    -1 stands for elements of no group. The marks tell what to propose; that a group sums to 1 is a row of the query.
    ``labels`` are for people, as the name is.
    """

    __slots__ = ("choice", "integer", "labels", "name", "uid")

    def __init__(self, name: str, size: int, uid: str, integer: Array, choice: Array, labels: Labels) -> None:
        super().__init__(size, (), ("input", uid, size))
        self.name, self.uid, self.integer, self.choice, self.labels = name, uid, integer, choice, labels

    def _content(self) -> tuple[Any, ...]:
        return self.name, self.size, self.uid, self.integer, self.choice, self.labels

    def title(self, k: int) -> str:
        """``x.speed`` where element ``k`` has a name, else ``x[k]``."""
        return f"{self.name}.{self.labels.names[k]}" if self.labels.names else f"{self.name}[{k}]"

    def groups(self) -> list[Array]:
        """The elements of every one-hot group."""
        return [np.flatnonzero(self.choice == k) for k in range(int(self.choice.max(initial=-1)) + 1)]

    def chosen(self, values: Array) -> Array:
        """Values ``(..., size)`` with the largest element of every one-hot group at 1 and its others at 0."""
        for group in self.groups():
            inside = values[..., group]
            values = values.copy()
            values[..., group] = np.arange(len(group)) == inside.argmax(axis=-1)[..., None]
        return values


#: A value ``(size,)`` of every input, and many of them, ``(count, size)``.
Point = Mapping[Input, Array]
Points = Mapping[Input, Array]


@final
class Affine(Node):
    """``sum_k maps_k parents_k + bias``; no parent occurs twice."""

    __slots__ = ("bias", "maps")

    def __init__(self, maps: tuple[LinearMap, ...], parents: tuple[Node, ...], bias: Array, model: str = "") -> None:
        key = ("affine", *(m.key for m in maps), *map(id, parents), digest((bias,)))
        super().__init__(len(bias), parents, key, model)
        self.maps, self.bias = maps, bias

    def with_parents(self, parents: tuple[Node, ...], model: str | None = None) -> Node:
        return affine(tuple(zip(self.maps, parents, strict=True)), self.bias, self.model if model is None else model)

    def _content(self) -> tuple[Any, ...]:
        return self.maps, self.parents, self.bias, self.model


@final
class Pointwise(Node):
    """``fn`` applied to every element of its parent."""

    __slots__ = ("fn",)

    def __init__(self, fn: Univariate, parent: Node, model: str = "") -> None:
        super().__init__(parent.size, (parent,), ("pointwise", type(fn), fn.key, id(parent)), model)
        self.fn = fn

    def with_parents(self, parents: tuple[Node, ...], model: str | None = None) -> Node:
        return pointwise(self.fn, parents[0], self.model if model is None else model)

    def _content(self) -> tuple[Any, ...]:
        return self.fn, self.parents[0], self.model


@final
class Max(Node):
    """``out_i = max_k parent[groups_ik]``; ``groups`` has shape ``(n_out, k)``, padded with -1."""

    __slots__ = ("groups",)

    def __init__(self, parent: Node, groups: Array, model: str = "") -> None:
        super().__init__(len(groups), (parent,), ("max", digest((groups,)), id(parent)), model)
        self.groups = groups

    @property
    def filled(self) -> Array:
        """The groups with a member of their own in every empty place."""
        return np.where(self.groups < 0, self.groups.max(axis=1, keepdims=True), self.groups)

    def with_parents(self, parents: tuple[Node, ...], model: str | None = None) -> Node:
        return maximum(parents[0], self.groups, self.model if model is None else model)

    def _content(self) -> tuple[Any, ...]:
        return self.parents[0], self.groups, self.model


@final
class Product(Node):
    """Elementwise product of two parents of one size."""

    __slots__ = ()

    def __init__(self, left: Node, right: Node, model: str = "") -> None:
        super().__init__(left.size, (left, right), ("product", id(left), id(right)), model)

    def with_parents(self, parents: tuple[Node, ...], model: str | None = None) -> Node:
        return product(parents[0], parents[1], self.model if model is None else model)

    def _content(self) -> tuple[Any, ...]:
        return *self.parents, self.model


def _input(name: str, size: int, uid: str, integer: Array, choice: Array, labels: Labels) -> Input:
    return intern(Input(name, size, uid, freeze(integer, np.bool_), freeze(choice, np.int64), labels))


def new_input(
    name: str, size: int, *, integer: object = False, choice: object = -1, labels: Labels = UNLABELLED
) -> Input:
    """A fresh input, different from every other, whatever its name; elements of one-hot groups are integers too."""
    import uuid

    groups = np.broadcast_to(np.asarray(choice, dtype=np.int64), (size,))
    flags = np.broadcast_to(np.asarray(integer, dtype=bool), (size,)) | (groups >= 0)
    return _input(name, size, f"{name}-{next(_fresh)}-{uuid.uuid4().hex}", flags, groups, labels)


def affine(terms: tuple[tuple[LinearMap, Node], ...], bias: object = 0.0, model: str = "") -> Node:
    """``sum_k A_k x_k + bias``, simplified only where that copies coefficients and never rounds.

    An identity of one parent without bias is the parent. Where one run gives both, a bias moves into a parent whose
    own bias is zero, and selections of selections compose.
    """
    size = terms[0][0].n_out if terms else np.asarray(bias).size
    offset = freeze(np.broadcast_to(np.asarray(bias, dtype=np.float64).ravel(), (size,)))
    for linear, node in terms:
        if linear.n_in != node.size or linear.n_out != size:
            shape = f"({linear.n_out}, {linear.n_in})"
            raise InputError(f"a map of shape {shape} does not fit {node.size} -> {size} elements")
    if len({id(node) for _, node in terms}) < len(terms):
        terms = _merge_repeated(terms, model)
    if len(terms) == 1:
        linear, node = terms[0]
        if isinstance(linear, Select) and linear.is_identity and not offset.any():
            return node
        if isinstance(linear, Select) and isinstance(node, Affine) and node.model == model and not node.bias.any():
            if not node.maps:  # copies of zeros
                return affine((), offset, model)
            inner = node.maps[0]
            if len(node.maps) == 1 and isinstance(inner, Select):
                index = np.where(linear.index >= 0, inner.index[linear.index], -1)
                return affine(((Select(index, inner.n_in), node.parents[0]),), offset, model)
            if linear.is_identity:
                return affine(tuple(zip(node.maps, node.parents, strict=True)), offset, model)
    return intern(Affine(tuple(m for m, _ in terms), tuple(n for _, n in terms), offset, model))


def _merge_repeated(terms: tuple[tuple[LinearMap, Node], ...], model: str) -> tuple[tuple[LinearMap, Node], ...]:
    """Give every repeated parent an alias node, so that no coefficients are added up in floats."""
    seen: dict[int, int] = {}
    out: list[tuple[LinearMap, Node]] = []
    for linear, node in terms:
        count = seen.get(id(node), 0)
        seen[id(node)] = count + 1
        if count:
            node = intern(Affine((linear,), (node,), freeze(np.zeros(linear.n_out)), model))
            linear = identity(linear.n_out)
        out.append((linear, node))
    return tuple(out) if len({id(n) for _, n in out}) == len(out) else _merge_repeated(tuple(out), model)


def pointwise(fn: Univariate, parent: Node, model: str = "") -> Node:
    """``fn(parent)``."""
    return intern(Pointwise(fn, parent, model))


def maximum(parent: Node, groups: object, model: str = "") -> Node:
    """Maximum over groups of elements of ``parent``; every group needs a member."""
    index = freeze(groups, np.int64)
    if index.ndim != 2 or not index.size or index.max(initial=-1) >= parent.size or (index.max(axis=1) < 0).any():
        raise InputError("a maximum needs groups of elements of its parent")
    return intern(Max(parent, index, model))


def product(left: Node, right: Node, model: str = "") -> Node:
    """Elementwise product."""
    if left.size != right.size:
        raise InputError(f"a product of {left.size} and {right.size} elements")
    return intern(Product(left, right, model))


def constant(values: object) -> Node:
    """A node without parents that holds fixed values."""
    return affine((), np.ravel(np.asarray(values, dtype=np.float64)))


def concatenate(nodes: tuple[Node, ...]) -> Node:
    """All elements of the nodes, one after the other."""
    if len(nodes) == 1:
        return nodes[0]
    total, start, terms = sum(n.size for n in nodes), 0, []
    for node in nodes:
        index = np.full(total, -1)
        index[start : start + node.size] = np.arange(node.size)
        terms.append((Select(index, node.size), node))
        start += node.size
    return affine(tuple(terms))
