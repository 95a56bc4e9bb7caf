"""Files of networks: a graph of operators from ONNX's bytes (own protobuf reader) or from its plain form in JSON.

Field numbers are those of ONNX's ``onnx.proto``. Constants are kept as stored: floats are dyadic numbers, exactly.
"""

from __future__ import annotations

import base64
import sys
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any

from .errors import Refused, need, number, reading, whole

Number = Any  # int, float (read as the dyadic number it is) or Fraction

LARGEST = 1 << 27  # elements of all constants together
#: TensorProto.DataType -> array's letter, and the field of values that are not raw.
_TYPES = {1: ("f", 4), 6: ("i", 5), 7: ("q", 7), 9: ("b", 5), 11: ("d", 10)}
_DATA = (4, 5, 6, 7, 10, 11)
#: The fields of an attribute's value -> AttributeProto.AttributeType; 0: none that is read.
_VALUES = {2: 1, 3: 2, 4: 3, 5: 4, 6: 0, 7: 6, 8: 7, 9: 0, 10: 0, 11: 0, 14: 0, 15: 0, 22: 0, 23: 0}
_OLDEST = 7  # operator set from which on operators repeat their arguments as they do today
_PLAIN = {"f4": "f", "f8": "d", "i8": "q"}
_PRECISIONS = {1: 24, 10: 11, 11: 53, 16: 8}  # TensorProto.DataType -> binary places of such floats


@dataclass(frozen=True)
class Const:
    """A constant tensor: row-major exact values."""

    shape: tuple[int, ...]
    values: Sequence[Number]

    def __post_init__(self) -> None:
        need(all(0 <= d < LARGEST for d in self.shape), f"a constant of shape {self.shape}")
        need(prod(self.shape) == len(self.values) <= LARGEST, f"{len(self.values)} values for the shape {self.shape}")


@dataclass(frozen=True)
class Op:
    """One operator: its kind, the names of tensors that it reads (empty: none) and makes, and its attributes."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Model:
    """Inputs with shapes (0: unknown size), constants, operators in order, names of outputs.

    ``precision``: binary places of the coarsest floats that its runs meet, as declared; 0 where that is not known, or
    where a cast to coarser ones rounds them.
    """

    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    constants: dict[str, Const]
    ops: tuple[Op, ...]
    outputs: tuple[str, ...]
    precision: int

    def __post_init__(self) -> None:
        names = [*self.constants, *(name for name, _ in self.inputs)]
        need(len(set(names)) == len(names), "two inputs, or an input and a constant, have one name")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise Refused("a number of more than ten bytes")


def _message(data: bytes, wires: Mapping[int, Sequence[int]] | None = None) -> defaultdict[int, list[Any]]:
    """The fields of a message by their numbers: integers of varints, bytes of everything else, in order.

    ``wires`` are the wire types of fields with floats; of all others varints and bytes. Protobuf's own readers drop
    a field that is stored in another way, so that it would be read here alone.
    """
    found, at = defaultdict[int, list[Any]](list), 0
    while at < len(data):
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        value: Any
        need(field > 0 and wire in (wires or {}).get(field, (0, 2)), f"field {field} has the wire type {wire}")
        if wire == 0:
            value, at = _varint(data, at)
        else:
            size, at = _varint(data, at) if wire == 2 else (8 if wire == 1 else 4, at)
            need(at + size <= len(data), "the file ends within a field")
            value, at = data[at : at + size], at + size
        found[field].append(value)
    return found


def _integers(values: Sequence[Any]) -> list[int]:
    """A repeated integer, packed or not."""
    found = []
    for value in values:
        data, at = value, 0
        while isinstance(data, bytes) and at < len(data):
            member, at = _varint(data, at)
            found.append(member)
        if isinstance(data, int):
            found.append(data)
    return [(v + (1 << 63)) % (1 << 64) - (1 << 63) for v in found]


def _one(message: Mapping[int, list[Any]], field: int, default: Any) -> Any:
    """A field that a message has once, or not at all: readers differ in what they make of two, or of another type."""
    found, *more = message.get(field) or (default,)
    need(not more and type(found) is type(default), f"field {field} stands twice in one message, or is of another type")
    return found


def _text(message: Mapping[int, list[Any]], field: int) -> str:
    return str(_one(message, field, b"").decode())


def _array(letter: str, data: bytes) -> array[Any]:
    values = array(letter)
    need(len(data) % values.itemsize == 0, "a tensor's bytes do not fit its type")
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    # Exponents of ones have such a byte; so have few tensors of finite numbers, whose every number is looked at then.
    top = data[values.itemsize - 1 :: values.itemsize]
    suspect = letter in "fd" and (b"\x7f" in top or b"\xff" in top)
    need(not suspect or all(map(isfinite, values)), "a constant is infinite or not a number")
    return values


def _tensor(data: bytes) -> tuple[str, Const]:
    m = _message(data, {4: (2, 5), 10: (1, 2)})
    name, kind = _text(m, 8), _one(m, 2, 0)
    need(not m[3] and not m[13] and not any(m[14]), f"'{name}' is stored outside of the file, or in parts")
    need(kind in _TYPES, f"'{name}' has the data type {kind}, which is not read")
    letter, field = _TYPES[kind]
    need(sum(map(bool, (m[9], *(m[k] for k in _DATA)))) < 2, f"'{name}' has its values twice")
    raw = b"".join(m[field]) if letter in "fd" and not m[9] else _one(m, 9, b"")
    values = _array(letter, raw) if letter in "fd" or m[9] else array(letter, _integers(m[field]))
    return name, Const(tuple(_integers(m[1])), values)


def _attribute(data: bytes) -> tuple[str, Any]:
    """Its name and value; a value that is 0 or empty may be left out of the file."""
    m = _message(data, {2: (5,), 7: (2, 5)})
    stated = [k for k in _VALUES if m[k]]
    kind = _VALUES[stated[0]] if stated else _one(m, 20, 0)
    name = _text(m, 1)
    need(len(stated) < 2 and not m[21] and _one(m, 20, kind) in (0, kind), f"'{name}' has two values, or a foreign one")
    if kind == 1:
        return name, _array("f", _one(m, 2, bytes(4)))[0]
    if kind == 2:
        return name, _integers([_one(m, 3, 0)])[0]
    if kind == 3:
        return name, _text(m, 4)
    if kind == 6:
        return name, list(_array("f", b"".join(m[7])))
    if kind == 7:
        return name, _integers(m[8])
    need(kind == 4, f"the attribute '{name}' is of a type that is not read")
    return name, _tensor(_one(m, 5, b""))[1]


def _op(data: bytes) -> Op:
    m = _message(data)
    need(_text(m, 7) in ("", "ai.onnx"), f"an operator of the domain '{_text(m, 7)}'")
    reads, makes = (tuple(v.decode() for v in m[k]) for k in (1, 2))
    attributes = dict(map(_attribute, m[5]))
    need(len(attributes) == len(m[5]), "two attributes have one name")
    return Op(_text(m, 4), reads, makes, attributes)


def _declared(data: bytes) -> tuple[str, Any]:
    """A declared tensor: its name, and the message of its type."""
    m = _message(data)
    return _text(m, 1), _message(_one(_message(_one(m, 2, b"")), 1, b""))


def _value(data: bytes) -> tuple[str, tuple[int, ...]]:
    """A declared tensor: its name and shape."""
    name, tensor = _declared(data)
    dims = _message(_one(tensor, 2, b""))[1]
    return name, tuple(_integers([_one(_message(d), 1, 0)])[0] for d in dims)


def _precision(kinds: Sequence[int], ops: Sequence[Op]) -> int:
    """The precision of runs on inputs of some types."""
    need(all(k in _PRECISIONS for k in kinds), "an input that is no floats")
    casts = [k for op in ops if op.kind == "Cast" and (k := op.attributes.get("to")) in _PRECISIONS]
    met = [_PRECISIONS[k] for k in (*kinds, *casts)]
    return 0 if any(_PRECISIONS[k] < max(met) for k in casts) else min(met, default=0)


def read_onnx(data: bytes) -> Model:
    """The graph of an ONNX file."""
    with reading("ONNX"):
        file = _message(data)
        need(not file[25], "functions of the file's own are not read")
        need(file[7], "the file holds no graph")
        versions = [_one(o, 2, 0) for o in map(_message, file[8]) if _text(o, 1) in ("", "ai.onnx")]
        need(len(versions) == 1 and versions[0] >= _OLDEST, f"an operator set before {_OLDEST}, or none, or two")
        m = _message(_one(file, 7, b""))
        need(not m[15], "sparse constants are not read")
        constants = dict(map(_tensor, m[5]))
        need(len(constants) == len(m[5]), "two constants have one name")
        given, ops = [v for v in m[11] if _value(v)[0] not in constants], tuple(map(_op, m[1]))
        precision = _precision([_integers([_one(_declared(v)[1], 1, 0)])[0] for v in given], ops)
        return Model(tuple(map(_value, given)), constants, ops, tuple(_value(v)[0] for v in m[12]), precision)


def _sizes(shape: Sequence[Any]) -> tuple[int, ...]:
    return tuple(whole(d, 0, LARGEST, "size") for d in shape)


def _plain_constant(found: dict[str, Any]) -> Const:
    shape = _sizes(found["shape"])
    if "values" in found:
        return Const(shape, [number(v) for v in found["values"]])
    return Const(shape, _array(_PLAIN[found["type"]], base64.b64decode(found["data"], validate=True)))


def _plain_attribute(value: Any) -> Any:
    if isinstance(value, list):
        return [number(v) if not isinstance(v, int) else v for v in value]
    return value if isinstance(value, (int, str)) else number(value)


def read_plain(graph: dict[str, Any]) -> Model:
    """The graph of the plain form."""
    with reading("a graph in plain form"):
        inputs = tuple((str(name), _sizes(shape)) for name, shape in graph["inputs"])
        constants = {name: _plain_constant(c) for name, c in graph.get("constants", {}).items()}
        ops = tuple(
            Op(str(kind), tuple(map(str, reads)), tuple(map(str, makes)),
               {k: _plain_attribute(v) for k, v in (more[0] if more else {}).items()})
            for kind, reads, makes, *more in graph["nodes"]
        )  # fmt: skip
        return Model(inputs, constants, ops, tuple(map(str, graph["outputs"])), _precision([11] * len(inputs), ops))
