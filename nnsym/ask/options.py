"""Options that one question passes on to another: a wrong one is told in the name of the question that was asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from nnsym.errors import did_you_mean


def require_options(asked: str, options: Mapping[str, Any], of: Callable[..., Any]) -> None:
    """Raise :class:`TypeError`, as Python does, for an option that is none of the function's that takes them."""
    taken = [name for name, p in inspect.signature(of).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for name in options:
        if name not in taken:
            meant = did_you_mean(name, taken).strip()
            raise TypeError(f"{asked}() got an unexpected keyword argument '{name}'{'. ' + meant if meant else ''}")
