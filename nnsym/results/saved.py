"""Files of plain data that nnsym wrote: JSON objects that say what they are."""

from __future__ import annotations

import json
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
