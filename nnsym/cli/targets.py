"""What the command line is pointed at: ``NET.onnx PROP.vnnlib``, ``FILE.py:property``, or a property's saved text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnsym.cli.networks import HOW, listed_networks, named_networks
from nnsym.errors import InputError, NnsymError
from nnsym.ir.network import Network
from nnsym.ir.query import Query
from nnsym.lang.question import query_of
from nnsym.read.meter import MEMORY, SECONDS, Meter
from nnsym.read.onnx import load
from nnsym.read.vnnlib.load import load_vnnlib
from nnsym.results.files import read_text, regular_file

if TYPE_CHECKING:
    from nnsym.lang.property import Property


def load_query(
    targets: Sequence[str],
    settings: Sequence[str] = (),
    networks: Sequence[str] = (),
    *,
    timeout: float = SECONDS,
    memory: int = MEMORY,
) -> Query:
    """The query of :func:`load_target`."""
    return query_of(load_target(targets, settings, networks, timeout=timeout, memory=memory))


def load_target(
    targets: Sequence[str],
    settings: Sequence[str] = (),
    networks: Sequence[str] = (),
    *,
    timeout: float = SECONDS,
    memory: int = MEMORY,
) -> Property | Query:
    """What one or two command-line words name.

    ``settings`` are words ``NAME=VALUE`` for its parameters, ``networks`` words ``NAME=FILE.onnx``. Reading may take
    ``timeout`` seconds and ``memory`` bytes.
    """
    try:
        return _target(targets, settings, networks, Meter(seconds=timeout, memory=memory))
    except MemoryError:
        reason = f"reading it takes more than the {memory / 2**30:.3g} GiB or what the system has"
        raise InputError(reason, where=" ".join(targets), remedy="Give more, by --memory") from None


def _target(targets: Sequence[str], settings: Sequence[str], networks: Sequence[str], meter: Meter) -> Property | Query:
    values = _settings(settings)
    if values and targets and ".vnnlib" in Path(targets[-1]).name:
        raise InputError("--set is for properties in Python files", where=targets[-1], remedy="Use FILE.py:NAME")
    if len(targets) == 2:
        network, spec = targets
        if ".py" in Path(spec).name:
            raise InputError("a Python property names its own networks", where=spec, remedy="Leave the network out")
        if ".vnnlib" in Path(network).name and ".vnnlib" not in Path(spec).name:
            raise InputError(
                "a property before its network", where=network, remedy=f"Turn them round: {spec} {network}"
            )
        if network.startswith("["):
            return _load(spec, listed_networks(network) | named_networks(networks), meter)
        return _load(spec, named_networks(networks), meter, network)
    if len(targets) == 1:
        name = targets[0]
        if ".vnnlib" in Path(name).name:
            if not networks:
                remedy = f"Use: NET.onnx {name}, or {HOW}"
                raise InputError("a .vnnlib file needs its network", where=name, remedy=remedy)
            return _load(name, named_networks(networks), meter)
        if _is_saved(name):
            return _parsed(name, named_networks(networks), meter)
        if networks:
            raise InputError("a Python property names its own networks", where=name, remedy="Leave --network out")
        if ".py" in name:
            from nnsym.lang.files import load_property  # start: VNN-LIB files need no language

            return load_property(name, values)
        raise InputError(
            "not a property",
            where=name,
            remedy="Use NET.onnx PROP.vnnlib, FILE.py:NAME for a Python property, or a file that nn.save wrote",
        )
    raise InputError(
        f"{len(targets)} files, where one property is asked about",
        where=" ".join(targets),
        remedy="Use NET.onnx PROP.vnnlib, or FILE.py:NAME",
    )


def _is_saved(name: str) -> bool:
    """True for a file that begins as the text of a property does."""
    from nnsym.lang.writing.dump import HEAD  # start: VNN-LIB files need no language

    path = Path(name)
    if not path.exists() or path.is_dir():
        return False  # FILE.py:NAME
    with regular_file(path) as file:
        return file.readline(len(HEAD) + 2).strip() == HEAD.encode()


def _parsed(name: str, networks: dict[str, str], meter: Meter) -> Property:
    """A saved property over the files of its networks; it names the networks, and their hashes are compared."""
    from nnsym.lang.writing.parse import parse  # start: VNN-LIB files need no language

    text = read_text(name, limit=meter.text_bytes)
    given = {label: load(file, name=label, meter=meter) for label, file in networks.items()}
    try:
        return parse(text, given)
    except NnsymError as error:  # which says the line
        raise type(error)(error.reason, where=f"{name}, {error.where}", remedy=error.remedy) from error


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


def load_network(path: str, *, timeout: float = SECONDS) -> Network:
    """A network file, read within ``timeout`` seconds."""
    if ".py:" in path and not Path(path).exists():
        raise InputError("is a property, and a network is asked for", where=path, remedy="Give NET.onnx")
    return load(path, timeout=timeout)


def _load(spec: str, networks: dict[str, str], meter: Meter, network: str | None = None) -> Query:
    return load_vnnlib(spec, network, networks=dict(networks), meter=meter)
