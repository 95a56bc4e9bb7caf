"""Operators that only move elements: one choice of indices each, the same for constants and for what inputs decide."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from operator import eq
from typing import Any

from .errors import need
from .graph import Graph, Map, Value
from .model import LARGEST, Const

Tensor = Any  # Value or Const
_CASTS = {1: "f", 6: "i", 7: "q", 11: "d"}


class Attributes(dict[str, Any]):
    """An operator's attributes; ``asked`` are those that its reading has asked for."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)


@dataclass
class Call:
    """One use of an operator."""

    graph: Graph
    name: tuple[int, str]  # the network and the first output
    arguments: list[Any]  # tensors, None where one is left out
    attributes: Attributes
    outputs: int = 1

    def get(self, place: int, name: str = "", default: Any = None) -> Any:
        """An argument that older versions give as an attribute: a constant's values as a list."""
        if len(self.arguments) > place and self.arguments[place] is not None:
            found = self.arguments[place]
            need(isinstance(found, Const), f"argument {place + 1} depends on inputs")
            return list(found.values)
        return self.attributes.get(name, default)

    def axis(self, rank: int, default: int = 0) -> int:
        return axes([self.attributes.get("axis", default)], rank)[0]

    def inner(self, mark: str, value: Value) -> Value:
        """Name a tensor that the file has no name for."""
        self.graph.tensors[self.name[0], self.name[1] + mark] = value
        return value


def axes(given: Sequence[int], rank: int) -> list[int]:
    """Different axes of a tensor, counted from 0; negative numbers count from the end."""
    found = [int(a) + rank if a < 0 else int(a) for a in given]
    need(len(set(found)) == len(found) and all(0 <= a < rank for a in found), f"axes {list(given)} of {rank}")
    return found


def strides(shape: Sequence[int]) -> list[int]:
    """How far apart in the flat vector neighbours along each axis are."""
    return [prod(shape[k + 1 :]) for k in range(len(shape))]


def sized(shape: Sequence[int]) -> int:
    """How many elements a shape has; refused before they are made, if they are too many."""
    need(all(0 <= d < LARGEST for d in shape) and prod(shape) < LARGEST, f"a tensor of shape {list(shape)[:8]}")
    return prod(shape)


def outer(lists: Sequence[Sequence[int]]) -> list[int]:
    """All sums of one member of each list, the last list fastest."""
    sized([len(members) for members in lists])
    found = [0]
    for members in lists:
        found = [a + b for a in found for b in members]
    return found


def pick(shape: Sequence[int], chosen: Sequence[Sequence[int]]) -> Const:
    """The indices of the elements with the chosen positions along each axis, in their new shape."""
    return Const(tuple(map(len, chosen)), outer([[i * s for i in c] for c, s in zip(chosen, strides(shape))]))  # noqa: B905


def moved(call: Call, value: Tensor, index: Const) -> Tensor:
    """The elements that ``index`` names."""
    if isinstance(value, Const):
        return Const(index.shape, [value.values[i] for i in index.values])
    return call.graph.copy(value, index)


def broadcast(value: Tensor, shape: Sequence[int]) -> Const:
    """The indices that repeat a tensor to a shape."""
    own = (1,) * (len(shape) - len(value.shape)) + tuple(value.shape)
    need(len(own) == len(shape), f"{value.shape} does not fit {tuple(shape)}")
    need(all(a in (1, b) for a, b in zip(own, shape, strict=True)), f"{value.shape} does not fit {tuple(shape)}")
    return pick(own, [range(b) if a == b else [0] * b for a, b in zip(own, shape, strict=True)])


def together(*values: Tensor) -> tuple[int, ...]:
    """The shape to which tensors are repeated when they meet elementwise."""
    rank = max(len(v.shape) for v in values)
    shapes = [(1,) * (rank - len(v.shape)) + tuple(v.shape) for v in values]
    return tuple(next((d for d in ds if d != 1), 1) for ds in zip(*shapes, strict=True))


def spread(call: Call, *values: Tensor) -> list[Tensor]:
    """Tensors repeated to the one shape in which they meet elementwise."""
    shape = together(*values)
    return [v if tuple(v.shape) == shape else moved(call, v, broadcast(v, shape)) for v in values]


def reshape(call: Call, value: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape, of which one size may be -1."""
    size = len(value.values) if isinstance(value, Const) else value.node.size
    known = prod(d for d in shape if d != -1)
    need(min(shape, default=0) >= -1 and list(shape).count(-1) < 2 and (-1 not in shape or known), f"a shape {shape}")
    full = tuple(int(d) if d != -1 else size // known for d in shape)
    need(prod(full) == size, f"{size} elements in the shape {full}")
    return Const(full, value.values) if isinstance(value, Const) else Value(value.node, full)


def transposed(shape: Sequence[int], order: Sequence[int]) -> Const:
    """The indices that put the axes into another order."""
    steps = strides(shape)
    return Const(tuple(shape[k] for k in order), outer([[i * steps[k] for i in range(shape[k])] for k in order]))


def transpose(call: Call) -> Tensor:
    """The axes in the order ``perm``, by default reversed."""
    x = call.arguments[0]
    order = call.attributes.get("perm", list(range(len(x.shape)))[::-1])
    need(sorted(order) == list(range(len(x.shape))), f"an order of axes {order}")
    return moved(call, x, transposed(x.shape, order))


def slices(call: Call) -> Tensor:
    """Ranges of positions along some axes."""
    x = call.arguments[0]
    starts, ends = call.get(1, "starts"), call.get(2, "ends")
    along = axes(call.get(3, "axes", range(len(starts))), len(x.shape))
    chosen: list[Any] = [range(d) for d in x.shape]
    for start, end, axis, step in zip(starts, ends, along, call.get(4, "", [1] * len(starts)), strict=True):
        size = x.shape[axis]
        inside = step > 0 or (start >= -size and end < size)
        need(step and inside, "a slice of step 0, or backwards beyond its axis: runtimes differ")
        chosen[axis] = range(size)[slice(start, end if step > 0 or end >= -size else None, step)]
    return moved(call, x, pick(x.shape, chosen))


def gather(call: Call) -> Tensor:
    """Fixed positions along one axis."""
    x, index = call.arguments
    axis = call.axis(len(x.shape))
    size = x.shape[axis]
    need(isinstance(index, Const) and all(-size <= i < size for i in index.values), "indices that vary, or are outside")
    chosen = [[int(i) % size for i in index.values] if k == axis else range(d) for k, d in enumerate(x.shape)]
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    return moved(call, x, Const(shape, pick(x.shape, chosen).values))


def split(call: Call) -> list[Tensor]:
    """Consecutive parts along one axis."""
    x = call.arguments[0]
    axis = call.axis(len(x.shape))
    size = x.shape[axis]
    each, stated = -(-size // call.outputs), call.attributes.get("num_outputs")
    need(stated == call.outputs or (stated is None and (call.get(1, "split") or size % call.outputs == 0)), "a split")
    lengths = call.get(1, "split") or [min(each, size - k * each) for k in range(call.outputs)]
    need(sum(lengths) == size and min(lengths) >= 0, f"a split of {size} into {lengths}")
    starts = [sum(lengths[:k]) for k in range(len(lengths))]
    parts = [range(a, a + n) for a, n in zip(starts, lengths, strict=True)]
    return [moved(call, x, pick(x.shape, [p if k == axis else range(d) for k, d in enumerate(x.shape)])) for p in parts]


def concat(call: Call) -> Tensor:
    """Tensors one after the other along an axis."""
    return concatenated(call, call.arguments, call.axis(len(call.arguments[0].shape)))


def concatenated(call: Call, values: Sequence[Tensor], axis: int) -> Tensor:
    """The same, of given tensors; what is constant becomes the bias."""
    need(len({(*v.shape[:axis], *v.shape[axis + 1 :]) for v in values}) == 1, "parts of different shapes")
    lengths = [v.shape[axis] for v in values]
    shape = (*values[0].shape[:axis], sum(lengths), *values[0].shape[axis + 1 :])
    blocks = [prod(v.shape[axis:]) for v in values]
    order = [(k, r * b + i) for r in range(prod(shape[:axis])) for k, b in enumerate(blocks) for i in range(b)]
    if all(isinstance(v, Const) for v in values):
        return Const(shape, [values[k].values[i] for k, i in order])
    parts = []
    for k, v in enumerate(values):
        if isinstance(v, Value):
            parts.append((v.node, Map(v.node.size, [((i,), (1,)) if k == at else ((), ()) for at, i in order])))
    bias = [values[k].values[i] if isinstance(values[k], Const) else 0 for k, i in order]
    return call.graph.affine(shape, parts, bias if any(bias) else None, rounds=False)


def pad(call: Call) -> Tensor:
    """Constants around a tensor."""
    x, rank = call.arguments[0], len(call.arguments[0].shape)
    pads, fill = call.get(1, "pads"), call.get(2, "value", [0])
    need(call.attributes.get("mode", "constant") == "constant", "padding other than by a constant")
    need(len(pads) == 2 * rank and min(pads) >= 0 and not call.get(3), "negative padding, or along some axes")
    (fill,) = fill if isinstance(fill, list) else [fill]
    for axis in range(rank):
        for before in (True, False):
            shape = list(x.shape)
            shape[axis] = pads[axis if before else axis + rank]
            border = Const(tuple(shape), [fill] * sized(shape))
            x = concatenated(call, [border, x] if before else [x, border], axis) if border.values else x
    return x


def expand(call: Call) -> Tensor:
    """Repeated to a shape."""
    x, shape = call.arguments[0], tuple(call.get(1))
    full = together(x, Const(shape, range(sized(shape))))
    return moved(call, x, broadcast(x, full))


def reshaped(call: Call) -> Tensor:
    """Another shape, in which 0 keeps a size."""
    x = call.arguments[0]
    shape, zero = call.get(1, "shape"), call.attributes.get("allowzero")
    return reshape(call, x, [x.shape[k] if d == 0 and not zero else d for k, d in enumerate(shape)])


def flatten(call: Call) -> Tensor:
    """Two axes: those before ``axis`` and those from it on."""
    x = call.arguments[0]
    axis = call.attributes.get("axis", 1)
    axis = axis if axis == len(x.shape) else axes([axis], len(x.shape))[0]
    return reshape(call, x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


def squeeze(call: Call) -> Tensor:
    """Without axes of one element."""
    x = call.arguments[0]
    dropped = axes(call.get(1, "axes") or [k for k, d in enumerate(x.shape) if d == 1], len(x.shape))
    return reshape(call, x, [d for k, d in enumerate(x.shape) if k not in dropped])


def unsqueeze(call: Call) -> Tensor:
    """With further axes of one element."""
    x, given = call.arguments[0], call.get(1, "axes")
    rank, rest = len(x.shape) + len(given), iter(x.shape)
    added = axes(given, rank)
    return reshape(call, x, [1 if k in added else next(rest) for k in range(rank)])


def same(call: Call) -> Tensor:
    """What changes nothing, when a network is run."""
    return call.arguments[0]


def dropped(call: Call) -> Tensor:
    """Dropout, which changes nothing outside of training."""
    need(not any(call.get(2, "", [False])), "Dropout in training")
    return call.arguments[0]


def cast(call: Call) -> Tensor:
    """To floats: nothing; constants to integers: towards 0."""
    x, kind = call.arguments[0], call.attributes["to"]
    if isinstance(x, Value):
        need(kind in (1, 11), "a cast of values that depend on inputs, to something other than floats")
        return x
    need(kind in _CASTS, "a cast of constants to something other than floats and integers")
    stored = array(_CASTS[kind], map(int if kind in (6, 7) else float, x.values))
    need(kind in (6, 7) or all(map(eq, stored, x.values)), "a cast that rounds constants")
    return Const(x.shape, stored)


def constant(call: Call) -> Tensor:
    """A stored value."""
    name = next(iter(call.attributes), "")
    value = call.attributes.get(name)
    need(name in ("value", "value_float", "value_floats", "value_int", "value_ints"), "a constant of another kind")
    if isinstance(value, list):
        return Const((len(value),), value)
    return value if name == "value" else Const((), [value])


def filled(call: Call) -> Tensor:
    """A constant of one value."""
    shape, value = tuple(call.get(0)), call.attributes.get("value", Const((1,), [0.0]))
    return Const(shape, list(value.values) * sized(shape))


def shape_of(call: Call) -> Tensor:
    """The shape, as it is known here."""
    shape = call.arguments[0].shape
    shape = shape[call.attributes.get("start", 0) : call.attributes.get("end")]
    return Const((len(shape),), list(shape))
