"""Files of plain data that nnsym wrote: JSON objects that say what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnsym.errors import InputError
from nnsym.results.files import plain_data, read_text


def read_saved_as(path: str | Path, mark: tuple[str, int], *, what: str, remedy: str) -> dict[str, Any]:
    """The object in a file whose key ``mark[0]`` is ``mark[1]``; raises :class:`InputError` for any other file."""
    data = plain_data(read_text(path), where=str(path))
    if not isinstance(data, dict) or data.get(mark[0]) != mark[1]:
        raise InputError(f"not {what}", where=str(path), remedy=remedy)
    return data
