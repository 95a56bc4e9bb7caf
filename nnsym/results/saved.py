"""Files that nnsym writes, and reads again: places that take them, JSON objects that say what they are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from nnsym.errors import InputError


def read_saved_as(path: str | Path, mark: tuple[str, int], *, what: str, remedy: str) -> dict[str, Any]:
    """The object in a file whose key ``mark[0]`` is ``mark[1]``; raises :class:`InputError` for any other file."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", where=str(path)) from error
    except ValueError as error:
        raise InputError(f"not JSON: {error}", where=str(path)) from None
    if not isinstance(data, dict) or data.get(mark[0]) != mark[1]:
        raise InputError(f"not {what}", where=str(path), remedy=remedy)
    return data


def check_writable(path: Path) -> None:
    """Raise before long work if a file cannot be written there; nothing is created or changed."""
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"the folder '{folder}' does not exist", where=str(path), remedy="Create it first")
    if path.is_dir():
        raise InputError("this is a folder", where=str(path), remedy="Name a file")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise InputError("cannot write here: permission denied", where=str(path))
