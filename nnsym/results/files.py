"""Files of others: regular ones only, of a size that may be read, and JSON of whatever depth without a traceback."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from nnsym.errors import InputError

#: Bytes of a file of texts or plain data.
LARGEST = 2**30

NOT_A_FILE = "is a pipe or a device, not a file"


def opened(path: Path, flags: int) -> int:
    """A descriptor of what lies there, without waiting for a pipe; raises :class:`InputError` where there is none."""
    try:
        return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0), 0o666)
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), remedy="Check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte, or with half a character
        what = "read" if flags & (os.O_WRONLY | os.O_RDWR) == 0 else "written"
        raise InputError(f"cannot be {what}: {getattr(error, 'strerror', None) or error}", where=str(path)) from None


@contextmanager
def regular_file(path: Path) -> Iterator[BinaryIO]:
    """A regular file, open; pipes, devices, sockets and folders are refused without waiting for them."""
    where, handle = str(path), opened(path, os.O_RDONLY)
    try:
        kind = os.fstat(handle).st_mode
        if stat.S_ISDIR(kind):
            raise InputError("cannot be read: it is a folder", where=where, remedy="Give the file itself")
        if not stat.S_ISREG(kind):
            raise InputError(NOT_A_FILE, where=where, remedy="Save the content to a file")
        with open(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def path_of(given: object) -> Path:
    """The path that was given; raises :class:`InputError` for what is none, as a network where a file is asked for."""
    if isinstance(given, (str, os.PathLike)):
        return Path(given)
    raise InputError(f"{type(given).__name__} is no path of a file", remedy="Give a text or a pathlib.Path")


def read_file(path: str | Path, *, limit: int = LARGEST) -> bytes:
    """The content of a regular file of at most ``limit`` bytes."""
    with regular_file(path_of(path)) as file:
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if len(data) > limit:
        raise InputError(f"has more than {limit / 2**20:.0f} MiB", where=str(path), remedy="Check that it is the file")
    return data


def read_text(path: str | Path, *, limit: int = LARGEST) -> str:
    """The content of a regular file as UTF-8."""
    try:
        return read_file(path, limit=limit).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: {error}", where=str(path), remedy="Check that it is the file") from None


def plain_data(text: str | bytes, *, where: str) -> Any:
    """The value of a JSON text; raises :class:`InputError` for any other, nested too deeply included.

    Of a name that stands twice in one object other programs may read the other value: it is refused too.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        reason = "not JSON that can be read: it is nested too deeply"
        raise InputError(reason, where=where, remedy="Give a file that nnsym wrote") from None
    except ValueError as error:
        raise InputError(f"not JSON: {error}", where=where, remedy="Give a file that nnsym wrote") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def require_reader(path: Path) -> None:
    """Raise :class:`InputError` for a pipe that nobody reads: writing to it would wait for ever."""
    if not path.is_fifo():
        return
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        raise InputError("is a pipe that nobody reads", where=str(path), remedy="Name a file") from None
