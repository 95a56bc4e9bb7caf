"""What the command line is pointed at: ``NET.onnx PROP.vnnlib`` or ``FILE.py:property``."""

from __future__ import annotations

from pathlib import Path

from nnsym.errors import InputError
from nnsym.ir.network import Network
from nnsym.ir.query import Query


def load_query(targets: list[str]) -> Query:
    """The query that one or two command-line words name."""
    if len(targets) == 2:
        from nnsym.read.onnx import load
        from nnsym.read.vnnlib import load_vnnlib

        network, spec = targets
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

            return load_property(name).query
        raise InputError(
            "not a property", where=name, remedy="Use NET.onnx PROP.vnnlib, or FILE.py:NAME for a Python property"
        )
    raise InputError("expected NET.onnx PROP.vnnlib or FILE.py:NAME")


def load_network(path: str) -> Network:
    """A network file."""
    from nnsym.read.onnx import load

    return load(path)


def _exists(path: str) -> None:
    if not Path(path).is_file():
        raise InputError("no such file", where=path, remedy="Check the path")
