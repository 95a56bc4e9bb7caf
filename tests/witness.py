"""An independent judge of counterexamples: ONNX Runtime for the network, its own reading of the VNN-LIB file."""

from __future__ import annotations

import gzip
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


def confirms(network: Path, spec: Path, flat_input: Any) -> bool:
    """True if the network's outputs at the input satisfy every assertion, with zero tolerance."""
    session = onnxruntime.InferenceSession(_bytes(network), providers=["CPUExecutionProvider"])
    (declared,) = session.get_inputs()
    shape = [d if isinstance(d, int) else 1 for d in declared.shape]
    x = np.asarray(flat_input, dtype=np.float32)
    (y,) = session.run(None, {declared.name: x.reshape(shape)})
    values = {f"X_{i}": Fraction(float(v)) for i, v in enumerate(x.ravel())}
    values |= {f"Y_{i}": Fraction(float(v)) for i, v in enumerate(y.ravel())}
    return all(_value(f[1], values) for f in _read(_bytes(spec).decode()) if f[0] == "assert")


def _bytes(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def _read(text: str) -> list[Any]:
    stack: list[list[Any]] = [[]]
    for token in re.findall(r"[()]|[^\s()]+", re.sub(r";.*", "", text)):
        if token == "(":
            stack.append([])
        elif token == ")":
            stack[-2].append(stack.pop())
        else:
            stack[-1].append(token)
    return stack[0]


def _value(term: Any, values: dict[str, Fraction]) -> Any:
    if isinstance(term, str):
        return values[term] if term[0] in "XY" else Fraction(term)
    head, *rest = term
    args = [_value(a, values) for a in rest]
    match head:
        case "and":
            return all(args)
        case "or":
            return any(args)
        case "<=":
            return args[0] <= args[1]
        case ">=":
            return args[0] >= args[1]
        case "+":
            return sum(args)
        case "-":
            return args[0] - sum(args[1:]) if args[1:] else -args[0]
        case "*":
            return args[0] * args[1]
    raise AssertionError(head)
