"""Answers in the formats of the competition: ``sat`` with a witness, ``unsat``, ``unknown``.

Inputs are the numbers that the counterexample was replayed on: of the model's own type, inside every bound, tied
inputs bit by bit equal. Hidden and output values are what the model computed from them. Every number is written in all
its digits, so that a reader in float32, in float64 or in decimals gets the same number, and compares it with the bounds
of the file without any tolerance.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.declaration import Declaration
from nnsym.ir.exact import nearest
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows, stack
from nnsym.lang.question import HasQuery, query_of
from nnsym.read.tensor_file import tensor_bytes
from nnsym.replay.engine import execute
from nnsym.results.files import path_of
from nnsym.results.plain import plain_numbers, witness_json
from nnsym.results.result import Result, Trust, Verdict, Witness
from nnsym.results.saved import check_writable, write_file
from nnsym.write.vnnlib_declare import layout
from nnsym.write.vnnlib_terms import decimal


def write_witness(prop: HasQuery | Query, result: Result, path: str | Path, *, version: str | None = None) -> Path:
    """Write :func:`witness_text` to a file; to a ``.json`` file :func:`witness_data`."""
    target = path_of(path)
    check_writable(target)
    if target.suffix == ".json":
        text = json.dumps(witness_data(prop, result), indent=1) + "\n"
    else:
        text = witness_text(prop, result, version=version)
    return write_file(target, text)


def witness_data(prop: HasQuery | Query, result: Result) -> dict[str, Any]:
    """The verdict with the point twice: the property's variables as they were stated, with their names and units, and
    under ``model`` what goes into and comes out of the networks.
    """
    query = query_of(prop)
    found = result.counterexample or result.witness
    told: dict[str, Any] = {"status": result.status.value, "property": query.name, "hash": query.hash}
    if found is None:
        return told
    model = [
        {"name": d.name, "kind": d.kind, "shape": list(d.shape), "values": plain_numbers(numbers.tolist())}
        for d, numbers in _values(query, found)
    ]
    return {**told, "point": witness_json(found), "model": model}


def witness_text(prop: HasQuery | Query, result: Result, *, version: str | None = None) -> str:
    """The answer of a verification, in the format of VNN-LIB ``version`` (left out: that of the property's file).

    2.0: a word, then for every declared variable a line ``name type [shape]`` and its values, one a line. 1.0: a word,
    then ``((X_0 value) ... (Y_0 value) ...)``, for one application of one network. Variables of a property that was
    read from no 2.0 file are those of the file that ``export`` writes.
    """
    query = query_of(prop)
    chosen = version or ("2.0" if query.declared or len(query.applications) > 1 else "1.0")
    if chosen not in ("1.0", "2.0"):
        raise InputError(f"no version '{chosen}' of VNN-LIB", remedy="Use one of: 1.0, 2.0")
    found = result.counterexample or result.witness
    if found is None:
        return _word(result, chosen) + "\n"
    values = list(_values(query, found))
    lines = _flat(query, values) if chosen == "1.0" else _declared(values)
    return "\n".join(["sat", *lines, ""])


def _word(result: Result, version: str) -> str:
    """A verdict without a point: nothing exists where ``forall`` is verified, or ``exists`` is falsified.

    What was proved of a relaxed conclusion, or from bounds that somebody asserted, says nothing about the file.
    """
    if result.slack or result.trust is Trust.ASSUMED:
        return "unknown"
    if result.reason == "timeout":
        return "timeout" if version == "1.0" else "timed-out"
    return "unknown" if result.status is Verdict.UNKNOWN else "unsat"


def _values(query: Query, found: Witness) -> Iterator[tuple[Declaration, Array]]:
    """Every declared variable with its values at the point, run by the model itself."""
    declared = query.declared or layout(query).tensors
    rows = stack([Rows.of(d.node) for d in declared])
    point = {x: np.ravel(found.inputs[x.name]) for x in query.inputs}
    computed = execute(replace(query, rows=rows, labels=()), point).computed
    dtypes = iter([a.network.dtype for a in query.applications for _ in a.network.inputs])
    for d in declared:
        dtype = next(dtypes) if d.kind == "input" else "float64"  # what the model is fed with
        yield d, nearest(computed[d.node]).astype(dtype)


def _declared(values: list[tuple[Declaration, Array]]) -> Iterator[str]:
    for d, numbers in values:
        yield f"{d.name} {d.type} [{','.join(map(str, d.shape))}]"
        whole = d.type.startswith(("int", "uint", "bool"))
        yield from (str(int(v)) if whole and math.isfinite(v) else _digits(v) for v in numbers.tolist())


def _digits(value: float) -> str:
    """A number in all its digits; ``inf``, ``-inf`` or ``nan`` where the model's run overflows."""
    return decimal(Fraction(value)) if math.isfinite(value) else str(value)


def serialise(prop: HasQuery | Query, result: Result, folder: Path) -> list[Path]:
    """Write the assignment of a verification, one ONNX tensor ``NAME.pb`` for every declared variable.

    Each has the declared element type, that of the model where it is declared real, and the declared shape. The folder
    is made if it is not there. Raises :class:`InputError` where nothing can be written, or there is no assignment.
    """
    query = query_of(prop)
    found = result.counterexample or result.witness
    if found is None:
        raise InputError("there is no assignment to write", where=query.name)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for d, numbers in _values(query, found):
            kind = (d.stored or "float64") if d.type == "real" else d.type
            written.append(folder / f"{d.name}.pb")
            write_file(written[-1], tensor_bytes(d.name, numbers.astype(kind).reshape(d.shape)))
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", where=str(folder)) from error
    return written


def _flat(query: Query, values: list[tuple[Declaration, Array]]) -> Iterator[str]:
    if len(query.applications) != 1:
        raise UnsupportedError(
            f"a witness of VNN-LIB 1.0 has one network, the property {len(query.applications)} applications",
            where=query.name,
            remedy="Write version 2.0",
        )
    sides = [("X", "input"), ("Y", "output")]
    lines = [
        f"({letter}_{k} {_digits(v)})"
        for letter, kind in sides
        for k, v in enumerate(v for d, numbers in values if d.kind == kind for v in numbers.tolist())
    ]
    yield f"({lines[0]}"
    yield from (f" {line}" for line in lines[1:-1])
    yield f" {lines[-1]})"
