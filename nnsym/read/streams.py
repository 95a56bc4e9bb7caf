"""The bytes of files a piece at a time, out of gzip, within limits."""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from nnsym.errors import InputError
from nnsym.ir.stored import in_pieces
from nnsym.read.meter import Meter
from nnsym.results.files import regular_file

_GZIP = b"\x1f\x8b"
_PIECE = 2**20  # bytes between two looks at the clock


def read_bytes(path: Path, limit: int, meter: Meter) -> bytes:
    """The content of a regular file, decompressed if it is gzip; at most ``limit`` bytes."""
    return joined(file_pieces(path, limit, meter))


def joined(pieces: Iterable[bytes]) -> bytes:
    """The pieces as one; a single one is not copied."""
    found = list(pieces)
    return found[0] if len(found) == 1 else b"".join(found)


def file_pieces(path: Path, limit: int, meter: Meter) -> Iterator[bytes]:
    """The content of a regular file a piece at a time, decompressed if it is gzip; at most ``limit`` bytes.

    Pipes, devices and sockets are refused without waiting for them.
    """
    where = str(path)
    with regular_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise _too_long(where, size, limit, meter)
        yield from unpacked(_content(file, limit, meter, where), where, limit, meter)


def _content(file: BinaryIO, limit: int, meter: Meter, where: str) -> Iterator[bytes]:
    size = 0
    try:
        while piece := file.read(_PIECE):
            meter.check(where)
            size += len(piece)
            if size > limit:  # it grows while it is read, or its size is not what the system says
                raise _too_long(where, size, limit, meter)
            yield piece
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=where) from None


def _too_long(where: str, size: int, limit: int, meter: Meter) -> InputError:
    here, most = (f"{count / 2**20:.0f} MiB" for count in (size, limit))
    return meter.refuse(where, f"it has {here} or more, {most} of such a file are read")


def decompress(data: bytes, where: str, limit: int, meter: Meter) -> bytes:
    """Gzip content unpacked, at most ``limit`` bytes of it; anything else as it is."""
    return joined(unpacked(in_pieces(data), where, limit, meter)) if data[:2] == _GZIP else data


def unpacked(pieces: Iterator[bytes], where: str, limit: int, meter: Meter) -> Iterator[bytes]:
    """The pieces of gzip content unpacked, at most ``limit`` bytes; those of anything else as they are."""
    first = next(pieces, b"")
    pieces = itertools.chain([first], pieces)
    if first[:2] != _GZIP:
        yield from pieces
        return
    size = 0
    try:
        for piece in _inflated(pieces):
            meter.check(where)
            size += len(piece)
            if size > limit:
                raise _too_long(f"{where} (gzip)", size, limit, meter)
            yield piece
    except (EOFError, zlib.error) as error:
        raise InputError(
            f"the gzip data is damaged or truncated ({error})", where=where, remedy="Fetch it again"
        ) from None


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What gzip members that follow each other hold; zeros behind them are padding, as of tapes."""
    member, padding = zlib.decompressobj(wbits=31), False
    for piece in pieces:
        fed = piece
        while fed or not member.eof:
            if member.eof:
                padding = padding or fed[0] == 0
                if padding and not fed.strip(b"\0"):
                    break
                if padding or fed[0] != _GZIP[0]:
                    raise EOFError("something else follows it")
                member = zlib.decompressobj(wbits=31)
            found = member.decompress(fed, _PIECE)
            yield found
            fed = member.unused_data if member.eof else member.unconsumed_tail
            if not fed and len(found) < _PIECE:
                break
    if not member.eof:
        raise EOFError("it ends before its end marker")
