"""Long models a piece at a time: their large initializers go straight into arrays, the rest to ONNX's own parser.

A serialised model is a tree of fields ``key, length, content`` (protobuf's wire format). Here only the way to the
initializers is walked, ``ModelProto.graph.initializer``; everything else is copied as it stands, for the parser to
judge. Whatever looks unusual ends the walk, and the model is parsed as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import numpy as np

from nnsym.ir.array import Array

#: Bytes from which the numbers of an initializer are taken out.
LARGE = 2**18

_GRAPH, _INITIALIZER = 7, 5  # of ModelProto, of GraphProto
_RAW, _FLOATS, _DOUBLES = 9, 4, 10  # of TensorProto
_TYPES: Mapping[int, np.dtype[Any]] = {1: np.dtype("<f4"), 11: np.dtype("<f8")}  # TensorProto.FLOAT, TensorProto.DOUBLE
_DATA = ("raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data", "string_data")
_FIELDS = 2**20  # more than any model has on the way
_BYTES = 2  # the kind of a field that is a length and so many bytes


class UnusualError(ValueError):
    """A stream that this walk does not follow: damaged, or made of what models are not made of."""


@final
class Stream:
    """The bytes of pieces in order, at most ``limit`` of them."""

    def __init__(self, pieces: Iterator[bytes], limit: int) -> None:
        self._pieces, self._piece, self._at = pieces, b"", 0
        self.place, self.limit, self.keys = 0, limit, 0

    def done(self) -> bool:
        """Is nothing left?"""
        while self._at == len(self._piece):
            following = next(self._pieces, None)
            if following is None:
                return True
            self._piece, self._at = following, 0
        return False

    def into(self, target: memoryview) -> None:
        """Fill the target with the bytes that follow."""
        start = 0
        while start < len(target):
            if self.done():
                raise UnusualError("it ends within a field")
            count = min(len(target) - start, len(self._piece) - self._at)
            target[start : start + count] = self._piece[self._at : self._at + count]
            start, self._at = start + count, self._at + count
        self.place += start

    def array(self, count: int) -> Array:
        """The following bytes as an array of their own."""
        self._require(count)
        found = np.empty(count, dtype=np.uint8)
        self.into(found.data)
        return found

    def take(self, count: int) -> bytes:
        """The following bytes."""
        if count <= len(self._piece) - self._at:
            start, self._at = self._at, self._at + count
            self.place += count
            return self._piece[start : self._at]
        self._require(count)
        found = bytearray(count)
        self.into(memoryview(found))
        return bytes(found)

    def varint(self) -> int:
        """A number of at most 64 bits, seven in a byte."""
        value = 0
        for shift in range(0, 70, 7):
            (byte,) = self.take(1)
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise UnusualError("a number of more than ten bytes")

    def key(self) -> tuple[int, int]:
        """Number and kind of the field that follows."""
        self.keys += 1
        key = self.varint()
        if key < 8 or self.keys > _FIELDS:
            raise UnusualError("a field without a number, or fields without end")
        return key >> 3, key & 7

    def _require(self, count: int) -> None:
        if self.place + count > self.limit:
            raise UnusualError("a field is longer than the file may be")


def cut(pieces: Iterator[bytes], limit: int, *, large: int = LARGE) -> tuple[bytes, dict[str, Array]]:
    """``(the model without the numbers of its large initializers, these numbers by name)``.

    Taken out are float32 and float64 initializers of the main graph of ``large`` bytes or more. Raises
    :class:`UnusualError` where the stream is no plain sequence of fields.
    """
    arrays: dict[str, Array] = {}
    stream = Stream(pieces, limit)

    def tensor(number: int, size: int) -> bytes | None:
        return _tensor(stream, stream.place + size, arrays, large) if number == _INITIALIZER and size >= large else None

    def graph(number: int, size: int) -> bytes | None:
        return _fields(stream, stream.place + size, tensor) if number == _GRAPH else None

    return _fields(stream, None, graph), arrays


def _fields(stream: Stream, end: int | None, inner: Callable[[int, int], bytes | None]) -> bytes:
    """A message copied up to ``end``; ``inner`` reads a field of bytes in its own way, or says None."""
    copied = bytearray()
    while stream.place < end if end is not None else not stream.done():
        number, kind = stream.key()
        copied += _varint(number << 3 | kind)
        if kind == _BYTES:
            size = _size(stream, end)
            content = inner(number, size)
            content = stream.take(size) if content is None else content
            copied += _varint(len(content)) + content
        else:
            copied += _plain(stream, kind)
    if end is not None and stream.place > end:
        raise UnusualError("a field is longer than what it stands in")
    return bytes(copied)


def _size(stream: Stream, end: int | None) -> int:
    size = stream.varint()
    if stream.place + size > (stream.limit if end is None else end):
        raise UnusualError("a field is longer than what it stands in")
    return size


def _plain(stream: Stream, kind: int) -> bytes:
    """A field of a fixed number of bytes, or a number."""
    match kind:
        case 0:
            return _varint(stream.varint())
        case 1:
            return stream.take(8)
        case 5:
            return stream.take(4)
    raise UnusualError(f"a field of kind {kind}")


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _tensor(stream: Stream, end: int, arrays: dict[str, Array], large: int) -> bytes:
    """A tensor without its numbers, which go into ``arrays``; with them where these are no floats."""
    numbers: list[tuple[int, Array]] = []

    def data(number: int, size: int) -> bytes | None:
        if number in (_RAW, _FLOATS, _DOUBLES) and size >= large:
            numbers.append((number, stream.array(size)))
            return b""
        return None

    rest = _fields(stream, end, data)
    if not numbers:
        return rest
    number, array = numbers[0]
    found = _shaped(rest, number, array) if len(numbers) == 1 else None
    if found is None or found[0] in arrays:
        if len(numbers) > 1 or not _alone(rest):  # the order of the fields counts
            raise UnusualError("a tensor with numbers twice")
        return rest + _varint(number << 3 | _BYTES) + _varint(len(array)) + array.tobytes()
    arrays[found[0]] = found[1]
    return rest


def _stub(rest: bytes) -> Any:
    from onnx import TensorProto

    stub = TensorProto()
    try:
        stub.ParseFromString(rest)
    except Exception:  # protobuf's DecodeError, which has no typed import
        raise UnusualError("a tensor that cannot be parsed") from None
    return stub


def _alone(rest: bytes) -> bool:
    """Has a tensor no numbers but those that were taken out?"""
    stub = _stub(rest)
    held = any(len(getattr(stub, name)) for name in _DATA)
    return not (held or stub.external_data or stub.data_location or stub.HasField("segment"))


def _shaped(rest: bytes, number: int, array: Array) -> tuple[str, Array] | None:
    """Name and numbers of a tensor whose other fields are ``rest``; None where they do not belong together."""
    stub = _stub(rest)
    kind, wanted = _TYPES.get(stub.data_type), {_FLOATS: 1, _DOUBLES: 11}.get(number, stub.data_type)
    if kind is None or stub.data_type != wanted or not stub.name or not _alone(rest):
        return None
    if min(stub.dims, default=1) < 0 or math.prod(stub.dims) * kind.itemsize != len(array):
        return None
    return stub.name, array.view(kind).reshape(tuple(stub.dims))
