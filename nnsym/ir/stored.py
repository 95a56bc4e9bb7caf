"""The bytes of a model file as a network keeps them for replay: as they are, long ones in packed pieces."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

#: Bytes from which a model is kept in pieces.
LONG = 2**24
_PIECE = 2**20


@final
@dataclass(frozen=True, repr=False)
class Packed:
    """A long byte string in pieces, packed where most of a piece is zeros; ``bytes(packed)`` gives it back.

    Matrices of selections and of minima and maxima are nearly all zeros: 270 MB of them take less than one. Packing
    random weights would save a tenth and take seconds, so they are kept as they are.
    """

    held: tuple[bytes, ...]
    shrunk: tuple[bool, ...]

    def __repr__(self) -> str:
        return f"<{len(self.held)} pieces in {sum(map(len, self.held))} bytes>"

    def pieces(self) -> Iterator[bytes]:
        """The bytes in order, a piece at a time."""
        for data, packed in zip(self.held, self.shrunk, strict=True):
            yield zlib.decompress(data) if packed else data

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces())

    @cached_property
    def sha256(self) -> str:
        """The digest of the bytes themselves, in hexadecimal digits."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()


def _shrunk(piece: bytes) -> tuple[bytes, bool]:
    zeros = len(piece) - int(np.count_nonzero(np.frombuffer(piece, dtype=np.uint8)))
    if 2 * zeros <= len(piece):
        return piece, False
    return zlib.compress(piece, 1), True


def in_pieces(data: bytes) -> Iterator[bytes]:
    """Bytes that are at hand, a piece at a time; short ones are one piece, not copied."""
    if len(data) < LONG:
        yield data
        return
    view = memoryview(data)
    for start in range(0, len(data), _PIECE):
        yield bytes(view[start : start + _PIECE])


@final
class Packer:
    """Keeps a packed copy of a file's pieces while somebody else reads them."""

    def __init__(self) -> None:
        self._found: list[tuple[bytes, bool]] = []

    def passing(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces, each packed before it is handed on."""
        for piece in pieces:
            self._found.append(_shrunk(piece))
            yield piece

    def packed(self) -> Packed:
        """What has passed so far."""
        return Packed(tuple(data for data, _ in self._found), tuple(flag for _, flag in self._found))


def kept(data: bytes) -> bytes | Packed:
    """A model's bytes in the form in which they are kept."""
    if len(data) < LONG:
        return data
    packer = Packer()
    for _ in packer.passing(in_pieces(data)):
        pass
    return packer.packed()
