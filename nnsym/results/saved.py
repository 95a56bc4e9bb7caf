"""Files that nnsym writes, and reads again: places that take them, JSON objects that say what they are."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from nnsym.errors import InputError
from nnsym.results.files import path_of, plain_data, read_text, require_reader


def read_saved_as(path: str | Path, mark: tuple[str, int], *, what: str, remedy: str) -> dict[str, Any]:
    """The object in a file whose key ``mark[0]`` is ``mark[1]``; raises :class:`InputError` for any other file."""
    data = plain_data(read_text(path), where=str(path))
    if not isinstance(data, dict) or data.get(mark[0]) != mark[1]:
        raise InputError(f"not {what}", where=str(path), remedy=remedy)
    return data


def check_writable(path: Path, *, remedy: str = "Name a file elsewhere") -> None:
    """Raise before long work if a file cannot be written there; nothing is created or changed."""
    folder = path.parent
    try:
        os.stat(path)
        known = True
    except (FileNotFoundError, NotADirectoryError):
        known = False
    except (OSError, ValueError) as error:  # ValueError: a null byte, or half a character
        raise InputError(f"cannot write: {getattr(error, 'strerror', None) or error}", where=str(path)) from None
    if not folder.is_dir():
        raise InputError(f"the folder '{folder}' does not exist", where=str(path), remedy="Create it first")
    if path.is_dir():
        raise InputError("this is a folder", where=str(path), remedy="Name a file")
    if not os.access(path if known else folder, os.W_OK):
        raise InputError("cannot write here: permission denied", where=str(path), remedy=remedy)
    require_reader(path)


def check_folder(folder: Path) -> None:
    """Raise before long work if no files can be written in a folder, which may still have to be made."""
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise InputError("this is no folder", where=str(there), remedy="Name a folder, or a place where there is none")
    if not os.access(there, os.W_OK):
        raise InputError("cannot write here: permission denied", where=str(there), remedy="Name a folder elsewhere")


def write_file(path: str | Path, content: str | bytes) -> Path:
    """Write a file whole, or leave what was there: a full disk loses no older answer.

    The content goes to a file beside it, which then takes its place. Pipes and devices, and files in folders that take
    no others, are written to as they are. Raises :class:`InputError` where that fails.
    """
    target = path_of(path)
    check_writable(target)
    data = content if isinstance(content, bytes) else content.encode(errors="backslashreplace")
    try:
        if _replaceable(target):
            _replace(Path(os.path.realpath(target)), data)  # a link stays one
        else:
            target.write_bytes(data)
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", where=str(target)) from error
    return target


def _replaceable(path: Path) -> bool:
    """False where other names, or open streams, lead to the same place."""
    real = os.path.realpath(path)
    open_stream = os.path.abspath(path).startswith(("/dev/", "/proc/"))  # another inode would not be in the stream
    return not open_stream and os.access(os.path.dirname(real), os.W_OK) and (not path.exists() or path.is_file())


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(f".nnsym-{uuid.uuid4().hex}")
    try:
        with beside.open("xb") as file:
            file.write(data)
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
