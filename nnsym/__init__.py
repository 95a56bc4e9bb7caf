"""nnsym: state a property of neural networks once, compile it to every proof technique, trust the verdict.

The public names stand in ``__init__.pyi``. They load when they are first used, so that ``import nnsym`` is fast and
needs neither torch nor onnx.
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import Any

# Packages that are called like a function of ``__init__.pyi`` are imported now and their names given back: later
# imports of their modules do not bind them again, so that ``nn.bounds`` and ``nn.evidence`` are the functions.
for _package in ("bounds", "evidence"):
    importlib.import_module(f"nnsym.{_package}")
    del globals()[_package]


@cache
def _homes() -> dict[str, tuple[str, str]]:
    """Every public name with the module that holds it and its name there."""
    import ast

    listed = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in listed.body if isinstance(node, ast.ImportFrom)]
    return {a.asname or a.name: (str(node.module), a.name) for node in imports for a in node.names}


def __getattr__(name: str) -> Any:
    if name == "__version__":  # looked up when asked for: reading the metadata takes longer than the import
        from nnsym.results.versions import package_version  # start: reading metadata takes its time

        return package_version("nnsym") or "unknown"
    if name.startswith("__") or name not in _homes():
        raise AttributeError(f"module 'nnsym' has no attribute '{name}'")
    module, own = _homes()[name]
    holder = importlib.import_module(module) if module != __name__ else None  # a room itself, as nn.train
    value = getattr(holder, own) if hasattr(holder, own) else importlib.import_module(f"{module}.{own}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_homes())
