"""The models of the networks that a VNN-LIB 2.0 file declares: which is which, and whether they fit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from nnsym.errors import InputError
from nnsym.ir.network import Network, Tensor
from nnsym.read.meter import Meter
from nnsym.read.onnx import load
from nnsym.read.runtime import operator_list

Source: TypeAlias = "Network | str | Path"

_TYPES = {"Real": "real", "BF16": "bfloat16", "Bool": "bool"} | {
    f"{letter}{bits}": f"{word}{bits}"
    for letter, word in (("F", "float"), ("I", "int"), ("U", "uint"))
    for bits in (8, 16, 32, 64)
}


def bind(
    declared: Sequence[Any], where: str, network: Source | None, given: Mapping[str, Source], meter: Meter
) -> dict[str, Network]:
    """A network for every declared name; ``equal-to`` stands for the network it names."""
    names = [d.name for d in declared]
    own = [d.name for d in declared if not d.equal_to]
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise InputError(f"declares no network '{unknown[0]}'", where=where, remedy=f"Declared: {', '.join(names)}")
    sources = dict(given)
    if network is not None and len(own) == 1:
        sources.setdefault(own[0], network)
    bound: dict[str, Network] = {}
    for d in declared:
        if d.name not in sources and not d.equal_to:
            remedy = f'networks={{"{d.name}": ...}} in Python, --network {d.name}=FILE.onnx on the command line'
            raise InputError(f"no model is given for the network '{d.name}'", where=where, remedy=f"Give it: {remedy}")
        source = sources.get(d.name)
        if d.equal_to:
            if source is not None:
                raise _given_twice(d, _model(d, source, meter), bound[d.equal_to], where)
            found = bound[d.equal_to]
        else:
            assert source is not None
            found = _model(d, source, meter)
        if d.isometric_to and not _alike(found, bound[d.isometric_to]):
            raise InputError(
                f"'{d.name}' is declared isomorphic to '{d.isometric_to}', their models differ in more than weights",
                where=where,
                remedy="Declare them as networks of their own",
            )
        bound[d.name] = found
    return bound


def _model(declared: Any, source: Source, meter: Meter) -> Network:
    """The network of a source, read with the declared shapes where it is a file."""
    if isinstance(source, Network):
        return source
    shapes = [tuple(tensor.shape) for tensor in declared.inputs]
    return load(source, name=declared.name, meter=meter, shapes=shapes)


def _given_twice(declared: Any, given: Network, equal: Network, where: str) -> InputError:
    """The error where a network that is declared equal to another is given a model of its own."""
    same = "a model is given for '{}', which is declared equal to '{}'"
    reason = same if given.hash == equal.hash else "'{}' is declared equal to '{}', the models given for them differ"
    remedy = f"Give no model for '{declared.name}'"
    return InputError(reason.format(declared.name, declared.equal_to), where=where, remedy=remedy)


def _alike(a: Network, b: Network) -> bool:
    """The same operators and shapes, as far as there are models to compare."""
    if a.model is None or b.model is None:
        return True
    sides = [[t.shape for t in (*n.inputs.values(), *n.outputs.values())] for n in (a, b)]
    return sides[0] == sides[1] and operator_list(a) == operator_list(b)


def check(declared: Sequence[Any], bound: Mapping[str, Network], text: str, where: str) -> None:
    """Raise :class:`InputError` where a declaration does not fit its model in number, type or shape."""
    kinds = set()
    for d in declared:
        for tensor, name, here in _pairs(d, bound[d.name], text, where):
            place = _line(text, tensor.name, where)
            _check(tensor, name, here, bound[d.name], place)
            kinds.add(element_type(tensor) == "real")
            if len(kinds) > 1:
                raise InputError(
                    "some variables are real, others have an element type of ONNX",
                    where=place,
                    remedy="Declare all of them real, or none",
                )


def _pairs(declared: Any, network: Network, text: str, where: str) -> Iterator[tuple[Any, str, Tensor]]:
    """Every declared tensor with the model's tensor that it stands for."""
    for word, tensors, model in (
        ("input", declared.inputs, network.inputs),
        ("output", declared.outputs, network.outputs),
    ):
        if len(tensors) != len(model):
            raise InputError(
                f"'{declared.name}' declares {len(tensors)} {word}s, the model '{network.name}' has {len(model)}: "
                f"{', '.join(model)}",
                where=_line(text, declared.name, where),
                remedy="Declare every input and output, in the model's order",
            )
        yield from ((tensor, name, here) for tensor, (name, here) in zip(tensors, model.items(), strict=True))
    for tensor in declared.hidden:
        try:
            yield tensor, tensor.onnx_name.strip('"'), hidden(network, tensor)
        except InputError as error:
            reason = f"the model '{network.name}' {error.reason}"
            raise InputError(reason, where=_line(text, tensor.name, where), remedy=error.remedy) from None


def element_type(tensor: Any) -> str:
    """``real``, ``float32`` ..., or ``unknown``."""
    name = str(tensor.dtype.name)
    return _TYPES.get(name, name.lower())


def hidden(network: Network, tensor: Any) -> Tensor:
    """The model's tensor that a ``declare-hidden`` names."""
    return network.tensor(tensor.onnx_name.strip('"'))


def _check(declared: Any, name: str, tensor: Tensor, network: Network, where: str) -> None:
    kind = element_type(declared)
    if kind == "unknown":
        raise InputError(f"'{declared.name}' has an unknown element type", where=where, remedy="Write real or float32")
    own = network.type_of(name)
    if kind not in ("real", own):
        raise InputError(
            f"'{declared.name}' is declared {kind}, '{name}' of the model '{network.name}' is {own}",
            where=where,
            remedy=f"Declare it {own}, or real",
        )
    if tuple(declared.shape) != tensor.shape:
        raise InputError(
            f"'{declared.name}' is declared with shape {list(declared.shape)}, '{name}' of the model "
            f"'{network.name}' has shape {list(tensor.shape)}",
            where=where,
            remedy="Give the network that this property was written for",
        )


def _line(text: str, name: str, where: str) -> str:
    """The line that declares a name."""
    found = re.search(rf"declare-(?:network|input|hidden|output)\s+{re.escape(name)}(?![\w-])", text)
    return f"{where}, line {text.count(chr(10), 0, found.start()) + 1}" if found else where
