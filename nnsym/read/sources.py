"""From a path or bytes to a parsed ONNX model, with a plain message for everything that is not one."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from nnsym.errors import InputError
from nnsym.read.meter import Meter

_PICKLE_SUFFIXES = frozenset({".pt", ".pth", ".pkl", ".pickle", ".joblib"})
_GZIP = b"\x1f\x8b"
_PIECE = 2**20  # bytes between two looks at the clock
_FEED = 2**16  # compressed bytes handed over at once
_EXPORT = "Export it to ONNX (torch.onnx.export), or build it in Python and call nnsym.from_torch(module, input_shape)"


def read_bytes(path: Path, limit: int, meter: Meter) -> bytes:
    """The content of a regular file, decompressed if it is gzip; at most ``limit`` bytes.

    Pipes, devices and sockets are refused without waiting for them.
    """
    where = str(path)
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise InputError("no such file", where=where, remedy="Check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", where=where) from None
    try:
        found = os.fstat(handle)
        if stat.S_ISDIR(found.st_mode):
            raise InputError("cannot be read: it is a folder", where=where, remedy="Give the file itself")
        if not stat.S_ISREG(found.st_mode):
            raise InputError("is a pipe or a device, not a file", where=where, remedy="Save the content to a file")
        if found.st_size > limit:
            raise _too_long(where, found.st_size, limit, meter)
        with open(handle, "rb", closefd=False) as file:
            data = _content(file, limit, meter, where)
    finally:
        os.close(handle)
    return decompress(data, where, limit, meter)


def _content(file: BinaryIO, limit: int, meter: Meter, where: str) -> bytes:
    pieces, size = [], 0
    try:
        while piece := file.read(_PIECE):
            meter.check(where)
            pieces.append(piece)
            size += len(piece)
            if size > limit:  # it grows while it is read, or its size is not what the system says
                raise _too_long(where, size, limit, meter)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=where) from None
    return b"".join(pieces)


def _too_long(where: str, size: int, limit: int, meter: Meter) -> InputError:
    here, most = (f"{count / 2**20:.0f} MiB" for count in (size, limit))
    return meter.refuse(where, f"it has {here} or more, {most} of such a file are read")


def decompress(data: bytes, where: str, limit: int, meter: Meter) -> bytes:
    """Gzip content unpacked, at most ``limit`` bytes of it; anything else as it is."""
    if data[:2] != _GZIP:
        return data
    pieces: list[bytes] = []
    place, size = 0, 0
    try:
        while data[place : place + 2] == _GZIP:  # members may follow each other
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                meter.check(where)
                fed = member.unconsumed_tail or data[place : place + _FEED]
                place += 0 if member.unconsumed_tail else len(fed)
                piece = member.decompress(fed, _PIECE)
                if not fed and not piece:
                    raise EOFError("it ends before its end marker")
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    raise _too_long(f"{where} (gzip)", size, limit, meter)
            place -= len(member.unused_data)
        if data[place:].strip(b"\0"):  # zeros are padding, as of tapes
            raise EOFError("something else follows it")
    except (EOFError, zlib.error) as error:
        raise InputError(
            f"the gzip data is damaged or truncated ({error})", where=where, remedy="Fetch it again"
        ) from None
    return b"".join(pieces)


def read_model(source: Any, meter: Meter) -> tuple[bytes, Any, str, str]:
    """``(serialised model, ModelProto, where, stem)`` of a path, of bytes or of a ModelProto."""
    from onnx import ModelProto

    if isinstance(source, (str, Path)):
        path = Path(source)
        where = path.name
        _refuse_pickle(b"", path.suffix, where)
        data = read_bytes(path, meter.model_bytes, meter)
        model = parse(data, where, path.suffix)
        stem = path.name.removesuffix(".gz").removesuffix(".onnx")
        return *_embed(data, model, path.parent, where, meter), where, stem
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = decompress(bytes(source), "model", meter.model_bytes, meter)
        return *_embed(data, parse(data, "model", ""), None, "model", meter), "model", "f"
    if isinstance(source, ModelProto):
        data = source.SerializeToString()
        return *_embed(data, parse(data, "model", ""), None, "model", meter), "model", source.graph.name or "f"
    raise InputError(
        f"cannot load a network from {type(source).__name__}", remedy="Pass a path, bytes or an onnx.ModelProto"
    )


def parse(data: bytes, where: str, suffix: str) -> Any:
    """The model that the bytes hold."""
    from onnx import ModelProto

    if not data:
        raise InputError("the file is empty", where=where, remedy="Fetch or export the model again")
    _refuse_pickle(data, suffix, where)
    remedy = "Export or fetch the model again; nnsym reads ONNX (.onnx, .onnx.gz)"
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:  # protobuf's DecodeError, which has no typed import
        raise InputError("not an ONNX model, or truncated", where=where, remedy=remedy) from None
    if not model.HasField("graph") or not model.graph.output or not model.opset_import:
        raise InputError("not an ONNX model, or truncated: it holds no complete graph", where=where, remedy=remedy)
    return model


def _refuse_pickle(data: bytes, suffix: str, where: str) -> None:
    pickled = data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    if pickled or data[:4] == b"PK\x03\x04" or suffix in _PICKLE_SUFFIXES:
        raise InputError("a pickle or archive, which could run code, is never loaded", where=where, remedy=_EXPORT)
    if data[:4] == b"\x89HDF":
        raise InputError("an HDF5 file, not ONNX", where=where, remedy="Convert the Keras model to ONNX with tf2onnx")


def _attributes(graph: Any) -> Iterator[Any]:
    """The tensors that nodes hold, those of inner graphs included."""
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from (*inner.initializer, *_attributes(inner))


def _embed(data: bytes, model: Any, folder: Path | None, where: str, meter: Meter) -> tuple[bytes, Any]:
    """The model with weights kept in other files brought in."""
    from onnx.external_data_helper import load_external_data_for_model, uses_external_data

    outside = [t for t in (*model.graph.initializer, *_attributes(model.graph)) if uses_external_data(t)]
    if not outside:
        return data, model
    location = next((e.value for e in outside[0].external_data if e.key == "location"), "?")
    message = f"the weights of '{outside[0].name}' lie in another file, '{location}'"
    if folder is None:
        raise InputError(message, where=where, remedy="Load the model by its path, with that file beside it")
    try:
        load_external_data_for_model(model, str(folder))
        return model.SerializeToString(), model
    except Exception as error:  # onnx raises its own, OS and protobuf errors here
        raise InputError(
            f"{message}, which cannot be read ({type(error).__name__})",
            where=where,
            remedy=f"Put '{location}' beside the model, or save it as one file below 2 GB",
        ) from None
