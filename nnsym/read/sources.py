"""From a path or bytes to a parsed ONNX model, with a plain message for everything that is not one."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnsym.errors import InputError

_PICKLE_SUFFIXES = frozenset({".pt", ".pth", ".pkl", ".pickle", ".joblib"})
_EXPORT = "Export it to ONNX (torch.onnx.export), or build it in Python and call nnsym.from_torch(module, input_shape)"


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed if it is gzip."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), remedy="Check the path") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    return decompress(data, str(path))


def decompress(data: bytes, where: str) -> bytes:
    """Gzip content unpacked, anything else as it is."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(
            f"the gzip data is damaged or truncated ({error})", where=where, remedy="Fetch it again"
        ) from None


def read_model(source: Any) -> tuple[bytes, Any, str, str]:
    """``(serialised model, ModelProto, where, stem)`` of a path, of bytes or of a ModelProto."""
    from onnx import ModelProto

    if isinstance(source, (str, Path)):
        path = Path(source)
        where = path.name
        _refuse_pickle(b"", path.suffix, where)
        data = read_bytes(path)
        model = parse(data, where, path.suffix)
        stem = path.name.removesuffix(".gz").removesuffix(".onnx")
        return *_embed(data, model, path.parent, where), where, stem
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = decompress(bytes(source), "model")
        return *_embed(data, parse(data, "model", ""), None, "model"), "model", "f"
    if isinstance(source, ModelProto):
        data = source.SerializeToString()
        return *_embed(data, parse(data, "model", ""), None, "model"), "model", source.graph.name or "f"
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


def _embed(data: bytes, model: Any, folder: Path | None, where: str) -> tuple[bytes, Any]:
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
