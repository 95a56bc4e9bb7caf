"""The difference of two nodes that apply one operation to different arguments, as a node of its own.

Over boxes of the arguments, ``phi(a) - phi(b)`` forgets that ``a`` and ``b`` move together. A :class:`Difference` has
the difference of the arguments among its parents, so that whoever bounds it may use both (Paulsen, Wang, Wang,
ReluDiff: Differential Verification of Deep Neural Networks, ICSE 2020). :mod:`nnsym.ir.pairs.pairs` builds them.
"""

from __future__ import annotations

from typing import Any, final

from nnsym.errors import InputError
from nnsym.ir.node import Max, Node, Pointwise, intern
from nnsym.ir.univariate import same_function


@final
class Difference(Node):
    """``left - right``, two pointwise nodes of one function or two maxima of equal groups.

    ``gap`` is ``left.parents[0] - right.parents[0]``: whoever makes the node promises it. Parents are ``left``,
    ``right``, the arguments of both, and ``gap``.
    """

    __slots__ = ()

    def __init__(self, left: Node, right: Node, gap: Node) -> None:
        key = ("difference", id(left), id(right), id(gap))
        super().__init__(left.size, (left, right, left.parents[0], right.parents[0], gap), key)

    @property
    def left(self) -> Pointwise | Max:
        return self.parents[0]  # type: ignore[return-value]

    @property
    def right(self) -> Pointwise | Max:
        return self.parents[1]  # type: ignore[return-value]

    @property
    def gap(self) -> Node:
        return self.parents[4]

    def with_parents(self, parents: tuple[Node, ...], model: str | None = None) -> Node:
        return difference(parents[0], parents[1], parents[4])

    def __reduce__(self) -> tuple[Any, ...]:
        return difference, (self.left, self.right, self.gap)


def alike(left: Node, right: Node) -> bool:
    """True if both apply the same continuous nonlinear operation, so that their difference is a :class:`Difference`.

    A jump leaves nothing to be said of a difference by the gap of the arguments.
    """
    if isinstance(left, Pointwise) and isinstance(right, Pointwise):
        return left.size == right.size and same_function(left.fn, right.fn) and not left.fn.jumps
    if isinstance(left, Max) and isinstance(right, Max):
        same = left.groups.shape == right.groups.shape and bool((left.groups == right.groups).all())
        return same and left.parents[0].size == right.parents[0].size
    return False


def difference(left: Node, right: Node, gap: Node) -> Node:
    """``left - right`` where ``gap`` is the difference of their arguments."""
    if not alike(left, right) or gap.size != left.parents[0].size:
        raise InputError(f"{left!r} and {right!r} are not one operation on arguments that differ by {gap!r}")
    return intern(Difference(left, right, gap))
