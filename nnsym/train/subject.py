"""What a loss is about: the queries of a property over the graph of a module that was read with tags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import numpy as np
import torch
from torch import Tensor

from nnsym.bounds.engine.inputs import Range
from nnsym.errors import InputError, NnsymError, UnsupportedError
from nnsym.ir.network import Application, Network
from nnsym.ir.node import Affine, Input, Node, Pointwise
from nnsym.ir.query import Query, Reading
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Hinge
from nnsym.ir.walk import substitute, topological
from nnsym.lang.property import Property
from nnsym.read.torch import evaluating, unchecked
from nnsym.train.live import Live
from nnsym.train.passes import INTERVALS, Passes, Start
from nnsym.train.tags import Tags

Family: TypeAlias = Callable[[Network], "Property | Sequence[Property]"]
Shape: TypeAlias = Sequence[int] | Sequence[Sequence[int]]

_REMEDY = "Give a function of the network, as in lambda f: nn.forall(x, where=..., then=f(x)[0] <= 1)"
_POINTS = 4  # at which the module is compared with what was made of it


@final
@dataclass(frozen=True, eq=False)
class Subject:
    """The cases of a property, one query each over the same inputs, and the maps that follow the parameters."""

    queries: tuple[Query, ...]
    live: Live
    network: Network

    @staticmethod
    def of(stated: Property | Family, module: torch.nn.Module, shape: Shape | None) -> Subject:
        """Raises :class:`UnsupportedError` where the module's graph does more with a parameter than copy it."""
        if not isinstance(module, torch.nn.Module):
            raise InputError(f"{type(module).__name__} is not a torch.nn.Module", remedy="Pass the module to train")
        if isinstance(stated, Property):
            shape = _shape(stated.query)
        elif shape is None:
            raise InputError(
                "a function of the network needs the shape that the module is called with",
                remedy="Pass input_shape=(1, 784), batch axis included",
            )
        try:
            return Subject._read(stated, module, shape, traced=True)
        except NnsymError:  # of which a run of the module told too little
            return Subject._read(stated, module, shape, traced=False)

    @staticmethod
    def _read(stated: Property | Family, module: torch.nn.Module, shape: Shape, *, traced: bool) -> Subject:
        tags = Tags(module)
        live = Live(tags)
        with tags.filled(tags.numbers):
            network = unchecked(module, shape, traced=traced)
        _look(network, live)
        missing = tags.missing(live.seen)
        if missing:
            raise UnsupportedError(
                f"no layer of the network holds {missing[0]}",
                where=type(module).__name__,
                remedy="Set requires_grad to False where a parameter takes no part in evaluation mode",
            )
        _compare(network, module, live)
        return Subject(_queries(stated, network, module), live, network)


def _shape(query: Query) -> list[tuple[int, ...]]:
    if not query.applications:
        raise InputError("the property applies no network", where=query.name, remedy=_REMEDY)
    return [tensor.shape for tensor in query.applications[0].network.inputs.values()]


def _look(network: Network, live: Live) -> None:
    """Meet every parameter that maps, biases and slopes of the graph hold."""
    for node in network.nodes:
        if isinstance(node, Affine):
            live.bias(node)
            for linear in node.maps:
                _ = live[linear]
        elif isinstance(node, Pointwise) and isinstance(node.fn, Hinge):
            live.slopes(node)


def _compare(network: Network, module: torch.nn.Module, live: Live) -> None:
    """Raise unless the graph computes what the module does, at random points for random parameters."""
    rng = np.random.default_rng(1)
    with live.tags.filled(rng.normal(0.0, 0.3, len(live.tags.numbers))), evaluating(module), torch.no_grad():
        live.refresh()
        for _ in range(_POINTS):
            point = {t.node: live.tensor(rng.normal(size=(1, t.node.size))) for t in network.inputs.values()}
            own = module(*(point[t.node].reshape(t.shape) for t in network.inputs.values()))
            at = {x: Range(v, v) for x, v in point.items()}
            pairs = list(zip(network.outputs.values(), own if isinstance(own, tuple) else (own,), strict=True))
            if not all(torch.allclose(_value(t.node, at, live), v.reshape(-1), rtol=1e-3, atol=1e-3) for t, v in pairs):
                raise UnsupportedError(
                    "computes more of its parameters than its graph can follow",
                    where=type(module).__name__,
                    remedy="Train parameters that layers use as they stand",
                )
    live.refresh()


def _value(node: Node, at: dict[Node, Range], live: Live) -> Tensor:
    """The value of a node at a point, by the passes that losses are made of."""
    passes = Passes(live, topological([*at, node]), {}, INTERVALS)
    rows = torch.eye(node.size, dtype=live.dtype, device=live.device)[None]
    return passes.least(Start({node: rows}, rows.new_zeros(1, node.size)), passes.ranges(at), None)[0]


def _queries(stated: Property | Family, network: Network, module: torch.nn.Module) -> tuple[Query, ...]:
    if isinstance(stated, Property):
        queries: tuple[Query, ...] = (_moved(stated.query, network, module),)
    else:
        made = stated(network)
        cases = [made] if isinstance(made, Property) else list(made)
        if not cases or not all(isinstance(p, Property) for p in cases):
            raise InputError("the function gives no property", remedy=_REMEDY)
        queries = tuple(p.query for p in cases)
    first = queries[0]
    for query in queries:
        if query.reading is not Reading.FORALL:
            raise UnsupportedError(
                f"'{query.reading.value}' has no certified loss", where=query.name, remedy="Use forall"
            )
        if set(query.inputs) != set(first.inputs):
            raise InputError(
                "the cases are about different variables",
                where=query.name,
                remedy="Make the variables once and state all cases about them",
            )
        for x, box in query.boxes.items():
            if not all(np.isfinite(side.astype(float)).all() for side in (box.lower, box.upper)):
                raise InputError("is unbounded", where=x.name, remedy="Bound every variable in where=, as by nn.box")
    return queries


def _moved(query: Query, network: Network, module: torch.nn.Module) -> Query:
    """The query with the module's network, found among those that it applies, replaced by the tagged one."""
    names = {a.network for a in query.applications if _same_shape(a.network, network)}
    if len(names) > 1:
        names = {f for f in names if _agrees(f, module)}
    if len(names) != 1:
        said = "several networks" if names else "no network"
        raise InputError(f"{said} of the property can be the module", where=query.name, remedy=_REMEDY)
    old = names.pop()
    replacement: dict[Node, Node] = {}
    applications = []
    for a in query.applications:  # inner ones come first
        moved = substitute(a.arguments, replacement)
        arguments = tuple(moved[n] for n in a.arguments)
        if a.network is not old:
            images = substitute(a.image.values(), replacement)
            applications.append(Application(a.network, arguments, {n: images[i] for n, i in a.image.items()}))
            continue
        new = network.apply(arguments)
        here, there = a.here(old.nodes), new.here(network.nodes)
        pairs = zip(old.nodes, network.nodes, strict=True)
        replacement |= {here[mine]: there[its] for mine, its in pairs if not isinstance(mine, Input)}
        applications.append(new)
    image = substitute(query.rows.parts, replacement)
    rows = Rows({image[node]: part for node, part in query.rows.parts.items()}, query.rows.constant)
    return replace(query, rows=rows, applications=tuple(applications), assumed={}, runs=None, stated=None)


def _same_shape(one: Network, other: Network) -> bool:
    """The same nodes in the same order, whatever their numbers."""
    if len(one.nodes) != len(other.nodes):
        return False
    places = [{node: k for k, node in enumerate(f.nodes)} for f in (one, other)]
    return all(
        type(a) is type(b)
        and a.size == b.size
        and [places[0][p] for p in a.parents] == [places[1][p] for p in b.parents]
        for a, b in zip(one.nodes, other.nodes, strict=True)
    )


def _agrees(network: Network, module: torch.nn.Module) -> bool:
    """The same values at a random point, as far as float32 goes."""
    rng = np.random.default_rng(2)
    points = [rng.normal(size=t.shape) for t in network.inputs.values()]
    first = next(module.parameters())
    with torch.no_grad(), evaluating(module):
        given = module(*(torch.tensor(p, dtype=first.dtype, device=first.device) for p in points))
    mine = network.evaluate(*points)
    pairs = zip(*(v if isinstance(v, tuple) else (v,) for v in (mine, given)), strict=True)
    return all(np.allclose(a, b.cpu().numpy(), rtol=1e-3, atol=1e-4) for a, b in pairs)
