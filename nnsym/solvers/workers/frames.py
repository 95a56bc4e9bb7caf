"""Messages over a pipe between our own processes: a length, then a pickle with its arrays out of band.

A frame is ``total length | number of chunks | length of each chunk | chunks``, all lengths big-endian 64 bit. The first
chunk is a pickle (protocol 5), the others are the buffers of its arrays, so that no array is copied into a pickle.
An empty frame is no message: it hurries the one before.
Classes and functions go by name where the other process can import them, by value where they live in a notebook.
"""

from __future__ import annotations

import os
import pickle
import select
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any

from nnsym.errors import UnsupportedError

_LENGTH = struct.Struct(">Q")

#: The frame without anything in it.
EMPTY = _LENGTH.pack(0)


def encode(message: object) -> list[memoryview]:
    """The frame of a message, as pieces to write one after the other."""
    head, buffers = _pickled(message)
    chunks = [memoryview(head), *(b.raw() for b in buffers)]
    table = b"".join([_LENGTH.pack(len(chunks)), *(_LENGTH.pack(c.nbytes) for c in chunks)])
    total = len(table) + sum(c.nbytes for c in chunks)
    return [memoryview(_LENGTH.pack(total) + table), *chunks]


def _pickled(message: object) -> tuple[bytes, list[pickle.PickleBuffer]]:
    """A pickle and its buffers. The name ``__main__`` means another module there, so what has it goes by value."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
        if b"__main__" not in head:
            return head, buffers
    except _UNPICKLED:
        pass  # a class or function that has no name to be imported by
    import cloudpickle

    buffers.clear()
    try:
        return cloudpickle.dumps(message, protocol=5, buffer_callback=buffers.append), buffers
    except _UNPICKLED as error:
        remedy = "Keep open files, locks and generators out of encodings, cuts and activations"
        raise UnsupportedError(f"cannot be sent to a worker process: {error}", where="job", remedy=remedy) from error


_UNPICKLED = (pickle.PicklingError, AttributeError, TypeError)


def decode(body: bytearray) -> Any:
    """The message of a frame's body; its arrays share memory with ``body``."""
    view = memoryview(body)
    (count,) = _LENGTH.unpack_from(view)
    sizes = [_LENGTH.unpack_from(view, 8 * (k + 1))[0] for k in range(count)]
    start, chunks = 8 * (count + 1), []
    for size in sizes:
        chunks.append(view[start : start + size])
        start += size
    return pickle.loads(chunks[0], buffers=chunks[1:])  # noqa: S301 - written by our own process, never by a user


def send(fd: int, message: object) -> None:
    """Write a message, blocking."""
    for piece in encode(message):
        rest = piece
        while len(rest):
            rest = rest[os.write(fd, rest) :]


def send_until(fd: int, message: object, deadline: float) -> bool:
    """Write a message to a non-blocking pipe; False when ``deadline`` (monotonic clock) passed first."""
    return write_until(fd, encode(message), deadline)


def write_until(fd: int, pieces: Sequence[memoryview], deadline: float) -> bool:
    """The same of a frame, as pieces."""
    for piece in pieces:
        rest = piece
        while len(rest):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:
                select.select([], [fd], [], left)
    return True


def receive(fd: int) -> bytearray:
    """Read the body of a frame, blocking; EOFError when the other side is gone."""
    (total,) = _LENGTH.unpack(_exactly(fd, 8))
    return _exactly(fd, total)


def _exactly(fd: int, count: int) -> bytearray:
    body = bytearray(count)
    view, done = memoryview(body), 0
    while done < count:
        got = os.readv(fd, [view[done:]])
        if got == 0:
            raise EOFError("the pipe was closed")
        done += got
    return body


class Inbox:
    """Reads frames from a non-blocking pipe as far as they have come."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pending = bytearray()
        self.closed = False

    def fileno(self) -> int:
        return self._fd

    def messages(self) -> Iterator[Any]:
        """The messages that are complete by now; sets ``closed`` at the end of the stream."""
        while True:
            try:
                piece = os.read(self._fd, 1 << 20)
            except BlockingIOError:
                break
            if not piece:
                self.closed = True
                break
            self._pending += piece
        while len(self._pending) >= 8:
            (total,) = _LENGTH.unpack_from(self._pending)
            if len(self._pending) < 8 + total:
                break
            body = self._pending[8 : 8 + total]
            del self._pending[: 8 + total]
            yield decode(body)
