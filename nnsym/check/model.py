"""Files of networks: a graph of operators from ONNX's bytes (own protobuf reader) or from its plain form in JSON.

Field numbers are those of ONNX's ``onnx.proto``. Constants are kept as stored: floats are dyadic numbers, exactly.
"""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any

from .errors import Refused, need, number

Number = Any  # int, float (read as the dyadic number it is) or Fraction

_LARGEST = 1 << 27  # elements of all constants together
_TYPES = {1: "f", 2: "B", 3: "b", 5: "h", 6: "i", 7: "q", 9: "b", 11: "d"}  # TensorProto.DataType -> array's letters
_PLAIN = {"f4": "f", "f8": "d", "i8": "q"}


@dataclass(frozen=True)
class Const:
    """A constant tensor: row-major exact values."""

    shape: tuple[int, ...]
    values: Sequence[Number]

    def __post_init__(self) -> None:
        need(all(0 <= d < _LARGEST for d in self.shape), f"a constant of shape {self.shape}")
        need(prod(self.shape) == len(self.values) <= _LARGEST, f"{len(self.values)} values for the shape {self.shape}")


@dataclass(frozen=True)
class Op:
    """One operator: its kind, the names of tensors that it reads (empty: none) and makes, and its attributes."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Model:
    """Inputs with shapes (0: unknown size), constants, operators in order, names of outputs."""

    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    constants: dict[str, Const]
    ops: tuple[Op, ...]
    outputs: tuple[str, ...]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise Refused("ONNX: a number of more than ten bytes")


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers with their contents: integers of varints, bytes of everything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield field, value
            continue
        need(wire in (1, 2, 5), f"ONNX: wire type {wire}")
        size, at = _varint(data, at) if wire == 2 else ((8, at) if wire == 1 else (4, at))
        need(at + size <= len(data), "ONNX: the file ends within a field")
        yield field, data[at : at + size]
        at += size


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _numbers(found: Any) -> list[int]:
    """A repeated integer, packed or not."""
    if isinstance(found, int):
        return [_signed(found)]
    values, at = [], 0
    while at < len(found):
        value, at = _varint(found, at)
        values.append(_signed(value))
    return values


def _array(letter: str, data: bytes) -> array[Any]:
    values = array(letter)
    need(len(data) % values.itemsize == 0, "a tensor's bytes do not fit its type")
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    need(letter not in "fd" or all(map(isfinite, values)), "a constant is infinite or not a number")
    return values


def _tensor(data: bytes) -> tuple[str, Const]:
    shape: list[int] = []
    kind, name, stored = 0, "", b""
    integers: list[int] = []
    for field, value in _fields(data):
        if field == 1:
            shape += _numbers(value)
        elif field == 2:
            kind = value
        elif field in (5, 7):
            integers += _numbers(value)
        elif field == 8:
            name = value.decode()
        elif field in (4, 9, 10):
            stored += value
        need(field not in (13, 14) or value == 0, f"ONNX: '{name}' is stored outside of the file")
    need(kind in _TYPES, f"ONNX: '{name}' has the data type {kind}, which is not read")
    return name, Const(tuple(shape), integers or _array(_TYPES[kind], stored))


def _attribute(data: bytes) -> tuple[str, Any]:
    name, value = "", None
    for field, found in _fields(data):
        if field == 1:
            name = found.decode()
        elif field == 2:
            value = _array("f", found)[0]
        elif field == 3:
            value = _signed(found)
        elif field == 4:
            value = bytes(found).decode()
        elif field == 5:
            value = _tensor(found)[1]
        elif field == 7:
            value = [*(value or ()), *_array("f", found)]
        elif field == 8:
            value = [*(value or ()), *_numbers(found)]
    return name, value


def _op(data: bytes) -> Op:
    kind, inputs, outputs, attributes = "", [], [], {}
    for field, value in _fields(data):
        if field == 1:
            inputs.append(value.decode())
        elif field == 2:
            outputs.append(value.decode())
        elif field == 4:
            kind = value.decode()
        elif field == 5:
            name, found = _attribute(value)
            attributes[name] = found
        need(field != 7 or value in (b"", b"ai.onnx"), f"ONNX: an operator of the domain {value!r}")
    return Op(kind, tuple(inputs), tuple(outputs), attributes)


def _value(data: bytes) -> tuple[str, tuple[int, ...]]:
    """A declared tensor: its name and shape."""
    name, shape = "", []
    for field, value in _fields(data):
        if field == 1:
            name = value.decode()
        elif field == 2:
            tensor = b"".join(v for f, v in _fields(value) if f == 1)
            dims = b"".join(v for f, v in _fields(tensor) if f == 2)
            shape = [next((d for g, d in _fields(v) if g == 1), 0) for f, v in _fields(dims) if f == 1]
    return name, tuple(_signed(d) for d in shape)


def read_onnx(data: bytes) -> Model:
    """The graph of an ONNX file."""
    try:
        graphs = [value for field, value in _fields(data) if field == 7]
        need(len(graphs) == 1, "ONNX: the file holds no graph, or more than one")
        parts: dict[int, list[Any]] = {1: [], 5: [], 11: [], 12: []}
        for field, value in _fields(graphs[0]):
            need(field != 15, "ONNX: sparse constants are not read")
            parts.setdefault(field, []).append(value)
        constants = dict(map(_tensor, parts[5]))
        inputs = tuple(v for v in map(_value, parts[11]) if v[0] not in constants)
        return Model(inputs, constants, tuple(map(_op, parts[1])), tuple(_value(v)[0] for v in parts[12]))
    except (IndexError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise Refused(f"ONNX: the file is damaged ({error})") from None


def _plain_constant(found: dict[str, Any]) -> Const:
    shape = tuple(int(d) for d in found["shape"])
    if "values" in found:
        return Const(shape, [number(v) for v in found["values"]])
    return Const(shape, _array(_PLAIN[found["type"]], base64.b64decode(found["data"], validate=True)))


def _plain_attribute(value: Any) -> Any:
    if isinstance(value, list):
        return [number(v) if not isinstance(v, int) else v for v in value]
    return value if isinstance(value, (int, str)) else number(value)


def read_plain(graph: dict[str, Any]) -> Model:
    """The graph of the plain form."""
    try:
        inputs = tuple((str(name), tuple(int(d) for d in shape)) for name, shape in graph["inputs"])
        constants = {name: _plain_constant(c) for name, c in graph.get("constants", {}).items()}
        ops = tuple(
            Op(str(kind), tuple(map(str, reads)), tuple(map(str, makes)),
               {k: _plain_attribute(v) for k, v in (more[0] if more else {}).items()})
            for kind, reads, makes, *more in graph["nodes"]
        )  # fmt: skip
        return Model(inputs, constants, ops, tuple(map(str, graph["outputs"])))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"a graph in plain form is damaged: {error!r}") from None
