"""Files of lines that are only appended to: whole lines or nothing, and no two processes in one another's way."""

from __future__ import annotations

import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

from nnsym.errors import InputError
from nnsym.results.files import LARGEST, NOT_A_FILE, opened, path_of
from nnsym.results.saved import check_writable

if sys.platform != "win32":
    import fcntl

_PATIENCE = 10.0  # seconds that a line waits for others' lines


class LineFile:
    """A file that one process appends to, from when it is opened until it is closed.

    ``whole`` are the lines that were there. What follows the last newline, ``torn`` by a kill, is dropped when the
    first line is added: until then the file is as it was. Raises :class:`InputError` for what is no regular file,
    cannot be written, or is being written by another process.
    """

    def __init__(self, path: Path) -> None:
        check_writable(path)
        self._where = str(path)
        self._handle = opened(path, os.O_RDWR | os.O_CREAT)
        try:
            _lock(self._handle, self._where)
            text = self._read()
        except BaseException:
            self.close()
            raise
        self._end = text.rfind(b"\n") + 1
        self.whole, self.torn = text[: self._end], text[self._end :]

    def append(self, text: str) -> None:
        """Add whole lines; they are on their way to the disk when this returns, or none of them is there."""
        data = text.encode()
        try:
            os.ftruncate(self._handle, self._end)  # what a kill tore, or an interrupt of this very loop
            done = 0
            while done < len(data):
                done += os.pwrite(self._handle, data[done:], self._end + done)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._handle, self._end)
            raise InputError(f"cannot write: {error.strerror}", where=self._where) from error
        self._end += len(data)

    def close(self) -> None:
        """Leave the file to others."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _read(self) -> bytes:
        found = os.fstat(self._handle)
        if not stat.S_ISREG(found.st_mode):
            raise InputError(NOT_A_FILE, where=self._where, remedy="Name a file")
        if found.st_size > LARGEST:
            raise InputError(f"has more than {LARGEST / 2**20:.0f} MiB", where=self._where, remedy="Give another file")
        with open(self._handle, "rb", closefd=False) as file:
            return file.read()


def _lock(handle: int, where: str, patience: float = 0.0) -> None:
    """A lock of this process: it ends with the process or the file, and is no lock against itself."""
    end = time.monotonic() + patience
    while sys.platform != "win32":
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= end:
                remedy = "Give another file, or wait until it is done"
                raise InputError("another process is writing it", where=where, remedy=remedy) from None
            time.sleep(0.01)
        except OSError:  # a file system without locks
            return
        else:
            return


def append_line(path: str | Path, line: str) -> None:
    """One line at the end of a file that others may append to as well, one after the other.

    Where the last line was torn the new one begins behind it. Raises :class:`InputError` where it cannot be written.
    """
    target = path_of(path)
    check_writable(target)
    handle = opened(target, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        _lock(handle, str(target), _PATIENCE)
        data = f"{line}\n".encode()
        found = os.fstat(handle)
        if stat.S_ISREG(found.st_mode) and found.st_size:
            os.lseek(handle, -1, os.SEEK_END)
            data = data if os.read(handle, 1) == b"\n" else b"\n" + data
        if os.write(handle, data) < len(data):  # the disk is full
            raise InputError("cannot write the whole line: no space left", where=str(target))
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", where=str(target)) from error
    finally:
        os.close(handle)
