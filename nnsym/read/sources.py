"""From a path or bytes to a parsed ONNX model, with a plain message for everything that is not one."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.stored import LONG, Packed, Packer, in_pieces, kept
from nnsym.read.meter import Meter
from nnsym.read.streams import file_pieces, joined, unpacked
from nnsym.read.wire import UnusualError, cut

_PICKLE_SUFFIXES = frozenset({".pt", ".pth", ".pkl", ".pickle", ".joblib"})
_EXPORT = "Export it to ONNX (torch.onnx.export), or build it in Python and call nnsym.from_torch(module, input_shape)"


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A model as it was read: its bytes in the form in which they are kept, and parsed.

    ``arrays`` are the numbers of large initializers, by name, which ``model`` is without.
    """

    kept: bytes | Packed
    model: Any
    where: str
    stem: str
    arrays: Mapping[str, Array] = field(default_factory=dict)


def read_model(source: Any, meter: Meter) -> Source:
    """The model of a path, of bytes or of a ModelProto."""
    from onnx import ModelProto

    if isinstance(source, (str, Path)):
        path = Path(source)
        _refuse_pickle(b"", path.suffix, path.name)
        stem = path.name.removesuffix(".gz").removesuffix(".onnx")
        pieces = file_pieces(path, meter.model_bytes, meter)
        return _opened(pieces, path.parent, path.name, stem, path.suffix, meter)
    if isinstance(source, (bytes, bytearray, memoryview)):
        pieces = unpacked(in_pieces(bytes(source)), "model", meter.model_bytes, meter)
        return _opened(pieces, None, "model", "f", "", meter)
    if isinstance(source, ModelProto):
        pieces = in_pieces(source.SerializeToString())
        return _opened(pieces, None, "model", source.graph.name or "f", "", meter)
    raise InputError(
        f"cannot load a network from {type(source).__name__}", remedy="Pass a path, bytes or an onnx.ModelProto"
    )


def _opened(pieces: Iterator[bytes], folder: Path | None, where: str, stem: str, suffix: str, meter: Meter) -> Source:
    """Short models are parsed as a whole, long ones in pieces."""
    first, size = list[bytes](), 0
    for piece in pieces:
        first.append(piece)
        size += len(piece)
        if size >= LONG:
            break
    if size < LONG:
        data = joined(first)
        found = Source(kept=data, model=parse(data, where, suffix), where=where, stem=stem)
    else:
        _refuse_pickle(first[0], suffix, where)
        found = _long(itertools.chain(_freed(first), pieces), where, stem, suffix, meter)
    return _embedded(found, folder)


def _freed(pieces: list[bytes]) -> Iterator[bytes]:
    """The pieces, none of which is held longer than it is needed."""
    pieces.reverse()
    while pieces:
        yield pieces.pop()


def _long(pieces: Iterator[bytes], where: str, stem: str, suffix: str, meter: Meter) -> Source:
    """A long model: its bytes go by once, and are packed and parsed on the way."""
    packer = Packer()
    passing = packer.passing(pieces)
    arrays: Mapping[str, Array] = {}
    try:
        skeleton, arrays = cut(passing, meter.model_bytes)
    except (UnusualError, MemoryError):
        collections.deque(passing, maxlen=0)
        skeleton = bytes(packer.packed())
    return Source(kept=packer.packed(), model=parse(skeleton, where, suffix), where=where, stem=stem, arrays=arrays)


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


def _embedded(found: Source, folder: Path | None) -> Source:
    """The model with weights kept in other files brought in."""
    from onnx.external_data_helper import load_external_data_for_model, uses_external_data

    model, where = found.model, found.where
    outside = [t for t in (*model.graph.initializer, *_attributes(model.graph)) if uses_external_data(t)]
    if not outside:
        return found
    location = next((e.value for e in outside[0].external_data if e.key == "location"), "?")
    message = f"the weights of '{outside[0].name}' lie in another file, '{location}'"
    if folder is None:
        raise InputError(message, where=where, remedy="Load the model by its path, with that file beside it")
    try:
        load_external_data_for_model(model, str(folder))
        for tensor in model.graph.initializer:  # those that were cut out of the file itself
            if tensor.name in found.arrays:
                tensor.raw_data = found.arrays[tensor.name].tobytes()
        return Source(kept=kept(model.SerializeToString()), model=model, where=where, stem=found.stem)
    except Exception as error:  # onnx raises its own, OS and protobuf errors here
        raise InputError(
            f"{message}, which cannot be read ({type(error).__name__})",
            where=where,
            remedy=f"Put '{location}' beside the model, or save it as one file below 2 GB",
        ) from None
