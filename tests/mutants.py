"""Modules with one place changed: what a test says of them is what it is worth."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any


def mutant(module: ModuleType, before: str, after: str) -> dict[str, Any]:
    """The names of a module whose source has one place changed."""
    source = Path(str(module.__file__)).read_text()
    assert source.count(before) == 1, before
    names: dict[str, Any] = {"__name__": module.__name__}
    exec(compile(source.replace(before, after), f"<mutant of {module.__name__}>", "exec"), names)
    return names
