"""VNN-LIB 2.0 files drawn from the grammar, networks for them, and an evaluator that shares nothing with nnsym."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from hypothesis import strategies as st

from nnsym.ir.linear import Dense
from nnsym.ir.network import Network, Tensor
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.univariate import relu

NUMBERS = ("-1.0", "-0.5", "-0.25", "0.0", "0.1", "0.25", "0.5", "1.00", "2.0")
COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge} | {
    "==": operator.eq,
    "!=": operator.ne,
}


def relu_network(name: str, shapes: tuple[tuple[int, ...], ...], outputs: tuple[int, ...], seed: int) -> Network:
    """One hidden layer of three neurons, named ``hidden``, between any number of inputs and outputs; dyadic weights."""
    rng = np.random.default_rng(seed)
    inputs = {f"in{k}": Tensor(new_input(f"in{k}", int(np.prod(s))), s) for k, s in enumerate(shapes)}
    terms = [(Dense(rng.integers(-4, 5, (3, t.node.size)) / 4), t.node) for t in inputs.values()]
    hidden = pointwise(relu(), affine(tuple(terms), rng.integers(-4, 5, 3) / 4))
    ends = [affine(((Dense(rng.integers(-4, 5, (n, 3)) / 4), hidden),), rng.integers(-4, 5, n) / 4) for n in outputs]
    results = {f"out{k}": Tensor(y, (1, y.size)) for k, y in enumerate(ends)}
    return Network(name, inputs, results, {"hidden": Tensor(hidden, (3,))})


ONE = relu_network("one", ((1, 2),), (2,), 1)
OTHER = relu_network("other", ((1, 2),), (2,), 2)  # the same graph with other weights
TWO = relu_network("two", ((2,), ()), (1, 2), 3)


@dataclass(frozen=True)
class File:
    """The text, the models by declared name, and the declared tensors ``(network, kind, name, shape)`` in order."""

    text: str
    networks: Mapping[str, Network]
    tensors: tuple[tuple[str, str, str, tuple[int, ...]], ...]

    @property
    def given(self) -> dict[str, Network]:
        """What a user gives: nothing for networks that are declared equal to others."""
        return {n: net for n, net in self.networks.items() if f"(declare-network {n} (equal-to" not in self.text}


@st.composite
def files(draw: st.DrawFn) -> File:
    """A file with one to three networks and one to five assertions over everything it declares."""
    kinds = draw(st.lists(st.sampled_from(["equal-to", "isomorphic-to", "two"]), max_size=2))
    networks, tensors, heads = {"f": ONE}, list[tuple[str, str, str, tuple[int, ...]]](), []
    for k, kind in enumerate(["", *kinds]):
        name = "fgh"[k]
        networks[name] = {"": ONE, "equal-to": ONE, "isomorphic-to": OTHER, "two": TWO}[kind]
        mine = [(name, "input", f"x{k}{i}", t.shape) for i, t in enumerate(networks[name].inputs.values())]
        if draw(st.booleans()):
            mine.append((name, "hidden", f"h{k}", (3,)))
        mine += [(name, "output", f"y{k}{i}", t.shape) for i, t in enumerate(networks[name].outputs.values())]
        heads.append(_head(name, kind, mine))
        tensors += mine
    leaves = [element(n, i) for _, _, n, shape in tensors for i in product(*map(range, shape))]
    inputs = [element(n, i) for _, kind, n, shape in tensors if kind == "input" for i in product(*map(range, shape))]
    terms = st.recursive(
        st.sampled_from(leaves) | st.sampled_from(leaves) | st.sampled_from(NUMBERS), _terms, max_leaves=4
    )
    atoms = st.tuples(st.sampled_from(list(COMPARISONS)), st.sampled_from(leaves), terms).map(_application)
    ties = st.tuples(st.just("=="), st.sampled_from(inputs), st.sampled_from(inputs)).map(_application)
    bounds = st.tuples(st.sampled_from(["<=", ">="]), st.sampled_from(inputs), st.sampled_from(NUMBERS)).map(
        _application
    )
    formulas = st.recursive(atoms | ties | bounds, _formulas, max_leaves=5)
    asserted = draw(st.lists(bounds | ties | formulas, min_size=1, max_size=5))
    space = draw(st.sampled_from(["\n", "  ", "\n; (assert (<= nothing 1e3))\n"]))
    text = space.join(["(vnnlib-version <2.0>)", *heads, *(f"(assert {a})" for a in asserted)])
    return File(draw(st.sampled_from(["", "; about\n\n", "\n"])) + text + "\n", networks, tuple(tensors))


def _head(name: str, kind: str, tensors: list[tuple[str, str, str, tuple[int, ...]]]) -> str:
    relation = f" ({kind} f)" if kind in ("equal-to", "isomorphic-to") else ""
    lines = [
        f"(declare-{what} {n} real [{','.join(map(str, shape))}]" + (' "hidden")' if what == "hidden" else ")")
        for _, what, n, shape in tensors
    ]
    return f"(declare-network {name}{relation} {' '.join(lines)})"


def _application(parts: tuple[str, ...]) -> str:
    return f"({' '.join(parts)})"


def _terms(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.tuples(st.sampled_from("+-*"), st.lists(parts, min_size=2, max_size=3))
    negative = parts.filter(lambda p: not p.startswith("-")).map(lambda p: f"(- {p})")
    return several.map(lambda d: f"({d[0]} {' '.join(d[1])})") | negative


def _formulas(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.tuples(st.sampled_from(["and", "or"]), st.lists(parts, min_size=1, max_size=3))
    return several.map(lambda d: f"({d[0]} {' '.join(d[1])})")


def element(name: str, index: tuple[int, ...]) -> str:
    """``x[0,1]``, or the name of a scalar."""
    return f"{name}[{','.join(map(str, index))}]" if index else name


def points(file: File, rng: np.random.Generator, count: int) -> list[dict[str, Fraction]]:
    """Values of every declared input, from a few numbers, so that comparisons meet their boundaries."""
    pool = [Fraction(n) for n in (*NUMBERS, *NUMBERS, "0.3")]
    inputs = [t for t in file.tensors if t[1] == "input"]
    found = []
    for k in range(count):
        at = {}
        for _, _, name, shape in inputs:
            for index in product(*map(range, shape)):
                at[element(name, index)] = (
                    pool[int(rng.integers(len(pool)))] if k % 3 or not at else next(iter(at.values()))
                )
        found.append(at)
    return found


def completed(file: File, at: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """The point with the values of all outputs and hidden tensors, in rationals."""
    from nnsym.ir.evaluate import evaluate

    values = dict(at)
    for name, network in file.networks.items():
        mine = [t for t in file.tensors if t[0] == name]
        feeds = {
            tensor.node: np.array([at[element(n, i)] for i in product(*map(range, s))], dtype=object)
            for (_, _, n, s), tensor in zip([t for t in mine if t[1] == "input"], network.inputs.values(), strict=True)
        }
        nodes = [t.node for t in network.outputs.values()]
        found = evaluate([*nodes, network.tensors["hidden"].node], feeds)
        results = iter(nodes)
        for _, kind, n, s in mine:
            if kind != "input":
                node = network.tensors["hidden"].node if kind == "hidden" else next(results)
                values |= {element(n, i): v for i, v in zip(product(*map(range, s)), found[node], strict=True)}
    return values


def holds(text: str, at: Mapping[str, Fraction]) -> bool:
    """Do all assertions of a text hold where its variables have these values?"""
    words = re.findall(r"[()]|\"[^\"]*\"|[^\s()\[\]]+(?:\[[\d,\s]*\])?|\[[^\]]*\]", re.sub(r";[^\n]*", "", text))
    stack: list[list[Any]] = [[]]
    for word in words:
        if word == "(":
            stack.append([])
        elif word == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(re.sub(r"\s", "", word))
    return all(value(part[1], at) for part in stack[0] if part[0] == "assert")


def value(part: Any, at: Mapping[str, Fraction]) -> Any:
    """The value of a formula or a term."""
    if isinstance(part, str):
        return at[part] if part in at else Fraction(part)
    head, *rest = part
    values = [value(p, at) for p in rest]
    if head in COMPARISONS:
        assert len(values) == 2
        return COMPARISONS[head](*values)
    match head:
        case "and":
            return all(values)
        case "or":
            return any(values)
        case "+":
            return sum(values)
        case "-":
            return values[0] - sum(values[1:]) if len(values) > 1 else -values[0]
        case "*":
            return np.prod(np.array(values, dtype=object))
    raise AssertionError(head)
