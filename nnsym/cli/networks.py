"""The models of the networks that a property declares, as words of a command line."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from nnsym.errors import InputError

#: What to write.
HOW = "--network NAME=FILE.onnx for each network that the file declares"


def named_networks(words: Sequence[str]) -> dict[str, str]:
    """``NAME=FILE`` words as a dictionary; a name may be given once."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not (name and equals and path):
            raise InputError("expected NAME=FILE.onnx", where=f"--network {word}", remedy=f"Use {HOW}")
        if name in found:
            raise InputError(f"two models for '{name}'", where=f"--network {word}", remedy="Give each network one")
        found[name] = path
    return found


def listed_networks(text: str) -> dict[str, str]:
    """``[('f', 'a.onnx'), ('g', 'b.onnx')]``, as lists of instances have it."""
    try:
        pairs = ast.literal_eval(text)
        return {str(name): str(path) for name, path in pairs}
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        remedy = f"Write [('f', 'f.onnx'), ('g', 'g.onnx')], or use {HOW}"
        raise InputError("not a list of networks", where=text, remedy=remedy) from None
