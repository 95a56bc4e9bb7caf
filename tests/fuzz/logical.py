"""Makers of comparisons, connectives, choices, casts and roundings: from floats to floats, by way of other types."""

from __future__ import annotations

from onnx import TensorProto

from tests.fuzz.graphs import Graph, Maker, Shape
from tests.fuzz.moving import like, require


def _condition(g: Graph, op: str, x: str, shape: Shape) -> str:
    """``x (op) other`` in truth values, either way round."""
    if g.draw.chance(0.6):
        other = g.constant(g.numbers(*(like(g, shape) if g.draw.chance(0.4) else ())))
    else:
        other = g.other(shape)
    return g.node(op, [x, other] if g.draw.chance(0.7) else [other, x])[0]


def _as_floats(g: Graph, condition: str, x: str, shape: Shape) -> list[str]:
    """The condition as numbers, or what it chooses."""
    if g.draw.chance(0.35):
        return g.node("Cast", [condition], to=g.elem)
    other = g.constant(g.numbers(*like(g, shape))) if g.draw.chance(0.7) else g.other(shape)
    if g.draw.chance(0.25):
        other = g.constant(g.numbers(*like(g, shape)))
        return g.node("Where", [condition, other, g.constant(g.numbers(1))])
    return g.node("Where", [condition, *([x, other] if g.draw.chance(0.5) else [other, x])])


def comparison(op: str, since: int) -> Maker:
    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        require(g.opset >= max(since, 9))
        return _as_floats(g, _condition(g, op, x, shape), x, shape)

    return make


def connective(op: str) -> Maker:
    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        require(g.opset >= 9)
        one = _condition(g, g.draw.choice(("Greater", "Less")), x, shape)
        if op == "Not" and g.draw.chance(0.5):
            two = _condition(g, g.draw.choice(("Greater", "Less")), g.other(shape), shape)
            one = g.node(g.draw.choice(("And", "Or", "Xor")), [one, two])[0]
        if op == "Not":
            return _as_floats(g, g.node("Not", [one])[0], x, shape)
        two = _condition(g, g.draw.choice(("Greater", "Less")), x if g.draw.chance(0.6) else g.other(shape), shape)
        return _as_floats(g, g.node(op, [one, two])[0], x, shape)

    return make


def through(kind: int) -> Maker:
    """A cast to another type, and back."""

    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        require(g.opset >= 9)
        cast = g.node("Cast", [x], to=kind)[0]
        if kind == TensorProto.INT64 and g.draw.chance(0.4):
            cast = g.node("Add", [cast, g.constant(g.draw.whole(-2, 2), whole=True)])[0]
        return g.node("Cast", [cast], to=g.elem)

    return make


def remainder(g: Graph, x: str, shape: Shape) -> list[str]:
    require(g.opset >= 10)
    return g.node("Mod", [x, g.constant(g.draw.choice((0.5, 1.0, 2.0, -2.0)))], fmod=1)


def whole_remainder(g: Graph, x: str, shape: Shape) -> list[str]:
    require(g.opset >= 10)
    number = g.node("Cast", [x], to=TensorProto.INT64)[0]
    rest = g.node("Mod", [number, g.constant(g.draw.choice((2, 3, -3, 5)), whole=True)])[0]
    return g.node("Cast", [rest], to=g.elem)


def position(op: str) -> Maker:
    """The place of an extreme, as a number."""

    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        require(g.opset >= 9 and len(shape) >= 1)
        options = {"axis": g.draw.whole(-len(shape) if g.opset >= 11 else 0, len(shape) - 1)}
        if g.draw.chance(0.5):
            options["keepdims"] = g.draw.whole(0, 1)
        if g.opset >= 12 and g.draw.chance(0.4):
            options["select_last_index"] = g.draw.whole(0, 1)
        return g.node("Cast", g.node(op, [x], **options), to=g.elem)

    return make


def one_hot(g: Graph, x: str, shape: Shape) -> list[str]:
    """One-hot rows of a place or of an integer part, through a short type where that holds it."""
    require(g.opset >= 11 and 1 <= len(shape) <= 3)
    if g.draw.chance(0.5):
        index = g.node("ArgMax", [x], axis=g.draw.whole(0, len(shape) - 1), keepdims=1)[0]
        kind = g.draw.choice((TensorProto.INT64, TensorProto.INT32, TensorProto.INT8))
        index = g.node("Cast", [index], to=kind)[0] if kind != TensorProto.INT64 else index
        index = g.node("Cast", [index], to=TensorProto.INT64)[0]
    else:
        index = g.node("Cast", [x], to=TensorProto.INT64)[0]
    depth = g.constant([g.draw.whole(1, 4)], whole=True)
    values = g.constant(g.draw.choice(([0, 1], [-1, 2], [1, 0])), whole=True)
    hot = g.node("OneHot", [index, depth, values], axis=g.draw.whole(-1, len(shape)))[0]
    return g.node("Cast", [hot], to=g.elem)
