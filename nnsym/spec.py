"""What the command line is pointed at: ``NET.onnx PROP.vnnlib`` or ``FILE.py:property``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nnsym.errors import InputError
from nnsym.ir.network import Network
from nnsym.ir.query import Query


def load_query(targets: list[str], settings: Sequence[str] = ()) -> Query:
    """The query that one or two command-line words name; ``settings`` are ``NAME=VALUE`` for its parameters."""
    values = _settings(settings)
    if len(targets) == 2:
        from nnsym.read.onnx import load
        from nnsym.read.vnnlib import load_vnnlib

        network, spec = targets
        if values:
            raise InputError("--set is for properties in Python files", where=spec, remedy="Use FILE.py:NAME")
        if ".py" in Path(spec).name:
            raise InputError("a Python property names its own networks", where=spec, remedy="Leave the network out")
        _exists(spec)
        return load_vnnlib(spec, load(network))
    if len(targets) == 1:
        name = targets[0]
        if ".vnnlib" in Path(name).name:
            raise InputError("a .vnnlib file needs its network", where=name, remedy=f"Use: NET.onnx {name}")
        if ".py" in name:
            from nnsym.lang.files import load_property

            return load_property(name, values).query
        raise InputError(
            "not a property", where=name, remedy="Use NET.onnx PROP.vnnlib, or FILE.py:NAME for a Python property"
        )
    raise InputError("expected NET.onnx PROP.vnnlib or FILE.py:NAME")


def _settings(given: Sequence[str]) -> dict[str, str]:
    """``eps=0.03`` as name and text."""
    values: dict[str, str] = {}
    for setting in given:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip().isidentifier():
            raise InputError("not a parameter's value", where=f"--set {setting}", remedy="Write --set eps=0.03")
        if name.strip() in values:
            raise InputError("set twice", where=f"--set {setting}", remedy=f"Give {name.strip()} one value")
        values[name.strip()] = text.strip()
    return values


def load_network(path: str) -> Network:
    """A network file."""
    from nnsym.read.onnx import load

    return load(path)


def _exists(path: str) -> None:
    if not Path(path).is_file():
        raise InputError("no such file", where=path, remedy="Check the path")
