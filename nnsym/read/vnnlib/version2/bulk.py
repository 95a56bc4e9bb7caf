"""Long VNN-LIB 2.0 files of the common kinds: their assertions in the words of 1.0, for the reader that takes arrays.

The ``vnnlib`` package reads the declarations; of one network on real numbers, without hidden elements, every element of
an input or output is then called ``X_i`` or ``Y_j``. Numbers are taken as 2.0 writes them, ``-0.5``. Everything else is
left to :mod:`nnsym.read.vnnlib.version2.comparisons`, which also finds the words for what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

from nnsym.read.meter import Meter
from nnsym.read.vnnlib.bulk import Bulk
from nnsym.read.vnnlib.bulk import read as read_bulk
from nnsym.read.vnnlib.version2.comparisons import Parsed, parse_file
from nnsym.read.vnnlib.version2.models import element_type

_COMMENT = re.compile(r";[^\n]*")
_PLACE = 24  # bytes of a name and of a declaration, for each element
_OTHER_NUMBER = re.compile(r"[\s(](?!-?[0-9]+\.[0-9]+[\s)])[-+.0-9]")  # 1, 1e-3, +0.5: not of 2.0, or not of reals
_MINUS = re.compile(r"\(-\s")
_FLAT = re.compile(r"\b[XY]_[0-9]")
_REALS = ("real", "float16", "float32", "float64", "bfloat16")


def read(text: str, where: str, meter: Meter) -> tuple[Parsed, Bulk] | None:
    """The declarations and the assertions, or None where the file is not of these kinds."""
    if '"' in text or not text.isascii():
        return None
    bare = _COMMENT.sub("", text) if ";" in text else text
    first = bare.find("(assert")
    if first < 0:
        return None
    meter.check(where)
    declared = _declared(bare[:first], where, meter)
    if declared is None:
        return None
    (network,) = declared.networks
    names = tuple((letter, tensor) for letter, side in _sides(network) for tensor in side)
    meter.take(_PLACE * sum(prod(tensor.shape) for _, tensor in names), where, "its variables")
    body = _flat(bare[first:], names, meter, where)
    if body is None:
        return None
    counts = {letter: sum(prod(t.shape) for t in side) for letter, side in _sides(network)}
    header = "".join(f"(declare-const {letter}_{k} Real)\n" for letter, n in counts.items() for k in range(n))
    bulk = read_bulk(header + body, where, meter)
    return None if bulk is None else (declared, bulk)


def _sides(network: Any) -> tuple[tuple[str, Sequence[Any]], tuple[str, Sequence[Any]]]:
    return ("X", network.inputs), ("Y", network.outputs)


def _declared(head: str, where: str, meter: Meter) -> Parsed | None:
    """The declarations, where they are those of one network on real numbers; errors are left for the whole file."""
    name = re.search(r"\(\s*declare-input\s+([A-Za-z_][A-Za-z0-9_-]*)\s+\w+\s*\[([0-9,\s]*)\]", head)
    if name is None or "declare-hidden" in head or head.count("(declare-network") != 1:
        return None
    index = ",".join("0" for size in name[2].split(",") if size.strip())
    some = f"{name[1]}[{index}]" if index else name[1]
    found = parse_file(f"{head} (assert (<= {some} {some}))", where, meter)
    (network,) = found.networks
    reals = all(element_type(t) in _REALS for _, side in _sides(network) for t in side)
    return found if reals and not network.hidden else None


def _flat(body: str, names: Sequence[tuple[str, Any]], meter: Meter, where: str) -> str | None:
    """The assertions with every element under its flat name; None where something else stands there."""
    if _FLAT.search(body) or _OTHER_NUMBER.search(body) or _MINUS.search(body):
        return None
    meter.check(where)
    table = dict(_elements(names))
    words = "|".join(re.escape(tensor.name) for _, tensor in names)
    try:
        return re.sub(rf"(?<![\w-])(?:{words})(?:\[[0-9,]*\]|(?![\w\[-]))", lambda found: table[found[0]], body)
    except KeyError:
        return None


def _elements(names: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    """``x[0,3]`` and the flat name of that element."""
    count = {"X": 0, "Y": 0}
    for letter, tensor in names:
        start = count[letter]
        count[letter] += prod(tensor.shape)
        if not tensor.shape:
            yield tensor.name, f"{letter}_{start}"
            continue
        for k, index in enumerate(product(*map(range, tensor.shape)), start):
            yield f"{tensor.name}[{','.join(map(str, index))}]", f"{letter}_{k}"
