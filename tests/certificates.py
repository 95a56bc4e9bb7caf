"""Certificates made by hand: networks in plain form, properties as text, and the smallest writer that tests need."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from nnsym.check.checker import Checker, Report
from nnsym.check.errors import Refused
from nnsym.check.files import read_json
from nnsym.check.problem import Case
from nnsym.check.tree import Tree


def plain(
    inputs: Mapping[str, Sequence[int]], nodes: Sequence[Any], outputs: Sequence[str], **constants: Any
) -> dict[str, Any]:
    """A network in plain form; constants are arrays."""
    written = {
        name: {"shape": list(np.shape(c)), "values": [str(Fraction(v)) for v in np.ravel(c).tolist()]}
        for name, c in constants.items()
    }
    return {
        "inputs": [[name, list(shape)] for name, shape in inputs.items()],
        "constants": written, "nodes": [list(n) for n in nodes], "outputs": list(outputs),
    }  # fmt: skip


def stated(graph: Mapping[str, Any], assertions: str, sizes: Mapping[str, Sequence[int]]) -> str:
    """VNN-LIB 2.0 over one network of that graph; ``sizes`` are the shapes of its outputs."""
    inputs = "".join(f"(declare-input {n} real {_dims(s)})" for n, s in graph["inputs"])
    outputs = "".join(f"(declare-output {n} real {_dims(sizes[n])})" for n in graph["outputs"])
    return f"(vnnlib-version <2.0>)(declare-network f {inputs}{outputs}){assertions}"


def _dims(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def box(name: str, lower: Sequence[Any], upper: Sequence[Any]) -> str:
    """Limits of the elements of a vector."""
    ends = zip(lower, upper, strict=True)
    return "".join(f"(assert (>= {name}[{k}] {a}))(assert (<= {name}[{k}] {b}))" for k, (a, b) in enumerate(ends))


def certificate(text: str, tree: Sequence[Any], *networks: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A certificate of an unsat claim about a property's text."""
    made = {
        "format": "nnsym-cert/1", "claim": "unsat", "networks": list(networks), "tree": list(tree),
        "property": {"sha256": hashlib.sha256(text.encode()).hexdigest(), "vnnlib": text}, **more,
    }  # fmt: skip
    return dict(read_json(json.dumps(made).encode()))


def of_files(network: bytes, text: bytes, tree: Sequence[Any], **more: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A certificate about two files, and the files by their hashes."""
    files = {hashlib.sha256(data).hexdigest(): data for data in (network, text)}
    a, b = files
    made = certificate("", tree, {"name": "f", "sha256": a, "file": "f.onnx"}, **more)
    return made | {"property": {"sha256": b, "file": "p.vnnlib"}}, files


def below(checker: Checker, tokens: Sequence[Any] = (["b"],)) -> Case:
    """The case that tokens with one child each lead to, with its bounds."""
    tree = Tree(checker.problem, checker.engine, [])
    case = tree.root
    for place, token in enumerate(tokens):
        (case,) = tree.children(place, token, case)
    return tree.refreshed([case])[0]


def opened(checker: Checker, case: Case, name: int) -> list[bool]:
    """Which elements of the curve ``names[name]`` are open in a case that has bounds."""
    return list(checker.engine.open_elements(checker.problem.names[name].node, case.known))


def verdict(made: Mapping[str, Any], engine: str | None, files: Mapping[str, bytes] | None = None) -> Report | str:
    """The report, or why the certificate is refused."""
    try:
        return Checker(made, files or {}, engine).run()
    except Refused as error:
        return str(error)
