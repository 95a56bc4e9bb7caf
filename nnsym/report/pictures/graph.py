"""A drawing of a network's graph as SVG: inputs on top, one row per depth, skip connections beside the chain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import final
from xml.sax.saxutils import escape

from nnsym.ir.convolution import Conv
from nnsym.ir.linear import Dense, LinearMap, Scale, Select
from nnsym.ir.names import node_names
from nnsym.ir.network import Network
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.words import count_of
from nnsym.results.saved import write_file

_WIDTH, _HEIGHT, _ROW, _GAP, _MARGIN = 230, 44, 84, 28, 24
_FONT = "font-family='Helvetica, Arial, sans-serif' text-anchor='middle'"
#: Fill and border by kind of node.
_COLOURS = {
    "input": ("#e8eef7", "#3f5f8a"),
    "affine": ("#ffffff", "#6b7280"),
    "pointwise": ("#e6f4ea", "#2f7d4f"),
    "max": ("#fdf0dc", "#b3731b"),
    "product": ("#f3e8fa", "#7a3f9d"),
    "output": ("#374151", "#374151"),
}
_ARROW = (
    "<defs><marker id='tip' markerWidth='8' markerHeight='8' refX='6' refY='3' orient='auto'>"
    "<path d='M0,0 L6,3 L0,6 z' fill='#6b7280'/></marker></defs>"
)


@final
@dataclass(eq=False)
class _Item:
    """A box of the drawing, or (without ``kind``) a bend where an edge passes a row."""

    kind: str
    title: str
    note: str
    hint: str
    depth: int
    parents: list[_Item]
    x: float = 0.0

    @property
    def width(self) -> float:
        return _WIDTH if self.kind else _GAP / 2

    @property
    def y(self) -> float:
        return _MARGIN + self.depth * _ROW


@final
@dataclass(frozen=True, repr=False)
class Drawing:
    """A drawing as SVG: a notebook shows it, ``str`` is its text."""

    name: str
    svg: str

    def __str__(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<drawing of {self.name}>"

    def _repr_svg_(self) -> str:
        return self.svg


def draw_network(network: Network, path: str | Path | None = None) -> Drawing:
    """The network's graph, with the model's tensors as tooltips; written to ``path`` (``.svg``) if there is one."""
    drawing = Drawing(network.name, to_svg(network))
    if path is not None:
        write_file(path, drawing.svg)
    return drawing


def to_svg(network: Network) -> str:
    """The network as the text of an SVG file; a tooltip on each box says which tensors of the model it holds."""
    items = _items(network)
    rows: defaultdict[int, list[_Item]] = defaultdict(list)
    for item in items:
        rows[item.depth].append(item)
    for depth in sorted(rows):
        _place(rows[depth])
    left = min(item.x - item.width / 2 for item in items) - _MARGIN
    right = max(item.x + item.width / 2 for item in items) + _MARGIN
    for item in items:
        item.x -= left
    width, height = right - left, 2 * _MARGIN + max(rows) * _ROW + _HEIGHT
    size = f"width='{width:.0f}' height='{height:.0f}'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' {size} viewBox='0 0 {width:.0f} {height:.0f}'>"
    body = [line for item in items for line in (*_edges(item), *_box(item))]
    title = f"<title>{escape(network.name)}</title>"
    return "\n".join([head, title, _ARROW, f"<rect {size} fill='#ffffff'/>", *body, "</svg>", ""])


def _items(network: Network) -> list[_Item]:
    """All boxes, and a bend in every row that an edge passes on its way; bends of one source are shared."""
    nodes = network.nodes
    names, aliases = node_names(nodes), defaultdict(list)
    for name, tensor in (*network.inputs.items(), *network.tensors.items()):
        aliases[tensor.node].append(name)
    boxes: dict[Node, _Item] = {}
    bends: dict[tuple[int, int], _Item] = {}

    def reach(source: _Item, depth: int) -> _Item:
        for k in range(source.depth + 1, depth):
            key = (id(source), k)
            if key not in bends:
                before = bends.get((id(source), k - 1), source)
                bends[key] = _Item("", "", "", "", k, [before])
        return bends.get((id(source), depth - 1), source)

    for node in nodes:
        depth = max((boxes[p].depth + 1 for p in node.parents), default=0)
        parents = [reach(boxes[p], depth) for p in node.parents]
        hint = ", ".join(aliases[node])
        boxes[node] = _Item(type(node).__name__.lower(), names[node], _note(node), hint, depth, parents)
    last = max(item.depth for item in boxes.values()) + 1
    ends = [
        _Item("output", name, f"output {_shape(t.shape)}", "", last, [reach(boxes[t.node], last)])
        for name, t in network.outputs.items()
    ]
    return [*boxes.values(), *bends.values(), *ends]


def _place(row: list[_Item]) -> None:
    """Boxes under their parents, side by side where they would overlap; bends take the nearest free place."""
    boxes = sorted((i for i in row if i.kind), key=_wish)
    for item in boxes:
        item.x = _wish(item)
    _spread(boxes)
    taken = [(item.x, item.width) for item in boxes]
    for bend in sorted((i for i in row if not i.kind), key=_wish):
        places = [_wish(bend), *(x + s * ((w + bend.width) / 2 + _GAP / 2) for x, w in taken for s in (-1, 1))]
        free = [p for p in places if all(abs(p - x) >= (w + bend.width) / 2 for x, w in taken)]
        bend.x = min(free, key=lambda p: (abs(p - _wish(bend)), -p))
        taken.append((bend.x, bend.width))


def _wish(item: _Item) -> float:
    """The middle of the parents; bends count only where there is nothing else, so that chains stay straight."""
    above = [p.x for p in item.parents if p.kind] or [p.x for p in item.parents] or [0.0]
    return sum(above) / len(above)


def _spread(boxes: Sequence[_Item]) -> None:
    """Push overlapping boxes apart, the row as a whole staying where its boxes wish to be."""
    for before, item in pairwise(boxes):
        item.x = max(item.x, before.x + _WIDTH + _GAP)
    shift = sum(_wish(item) - item.x for item in boxes) / max(len(boxes), 1)
    for item in boxes:
        item.x += shift


def _edges(item: _Item) -> list[str]:
    lines = []
    end = " marker-end='url(#tip)'" if item.kind else ""
    for parent in item.parents:
        top, bottom = parent.y + _HEIGHT, item.y - (2 if item.kind else 0)
        middle = (top + bottom) / 2
        path = f"M{parent.x:.1f},{top} C{parent.x:.1f},{middle} {item.x:.1f},{middle} {item.x:.1f},{bottom}"
        on = "" if item.kind else f" L{item.x:.1f},{bottom + _HEIGHT}"
        lines.append(f"<path d='{path}{on}' fill='none' stroke='#6b7280' stroke-width='1.3'{end}/>")
    return lines


def _box(item: _Item) -> list[str]:
    if not item.kind:
        return []
    fill, border = _COLOURS.get(item.kind, _COLOURS["affine"])
    ink, faint = ("#ffffff", "#e5e7eb") if item.kind == "output" else ("#111827", "#4b5563")
    radius = _HEIGHT / 2 if item.kind in ("input", "output") else 7
    frame = f"x='{item.x - _WIDTH / 2:.1f}' y='{item.y}' width='{_WIDTH}' height='{_HEIGHT}' rx='{radius}'"
    return [
        f"<g><title>{escape(item.hint or item.title)}</title>",
        f"<rect {frame} fill='{fill}' stroke='{border}' stroke-width='1.3'/>",
        _text(item, 18, "font-size='13' font-weight='600'", ink, _short(item.title, 26)),
        _text(item, 34, "font-size='11'", faint, _short(item.note, 38)),
        "</g>",
    ]


def _text(item: _Item, down: int, style: str, colour: str, text: str) -> str:
    place = f"x='{item.x:.1f}' y='{item.y + down}'"
    return f"<text {place} {_FONT} {style} fill='{colour}'>{escape(text)}</text>"


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _note(node: Node) -> str:
    size = count_of(node.size, "element")
    match node:
        case Input():
            return f"input, {size}"
        case Affine() if not node.maps:
            return f"constant, {size}"
        case Affine():
            return " + ".join([*map(_map, node.maps), *(["bias"] if node.bias.any() else [])])
        case Pointwise():
            return size
        case Max():
            return f"{size}, each of {node.groups.shape[1]}"
        case Product():
            return f"product, {size}"
    return size


def _map(linear: LinearMap) -> str:
    match linear:
        case Select() if linear.is_identity:
            return "copy"
        case Select():
            return f"select {linear.n_out} of {linear.n_in}"
        case Dense():
            return f"dense {linear.n_out} × {linear.n_in}"
        case Scale():
            return f"scale {linear.n_out}"
        case Conv():
            return f"conv {_shape(linear.weight.shape[2:])}, {_shape(linear.in_shape)} → {_shape(linear.out_shape)}"
    return f"{type(linear).__name__.lower()} {linear.n_out} × {linear.n_in}"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) if shape else "scalar"
