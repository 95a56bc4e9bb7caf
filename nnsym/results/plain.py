"""Answers as plain data: what ``--json`` prints and files hold; :mod:`nnsym.results.restored` is the way back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnsym.ir.array import Array
from nnsym.ir.exact import nearest_float
from nnsym.ir.query import Query
from nnsym.results.saved import write_file

if TYPE_CHECKING:
    from nnsym.results.result import Result, Trust, Witness

#: The first field of a saved result; a file of another number is not read.
FORMAT = "nnsym result"
NUMBER = 1

_BOXES = 4096  # boxes of at most so many elements are saved with a result


def number(value: float | None) -> float | None:
    """A finite float, or None (JSON has no infinity)."""
    return None if value is None or not math.isfinite(value) else float(value)


def error_number(error: float | None) -> float | str | None:
    """A finite bound of a rounding error, the text ``inf`` where something may overflow, None where none is known."""
    return "inf" if error is not None and math.isinf(error) else number(error)


def trust_word(trust: Trust | None) -> str | None:
    """What a verdict, or a side of a margin, rests on."""
    return trust.value if trust else None


def witness_json(found: Witness | None) -> dict[str, Any] | None:
    """Inputs and outputs with dtype, shape and flat data; rationals that are no floats also as text, ``exact``."""
    if found is None:
        return None
    return {
        "inputs": {name: _tensor(a) for name, a in found.inputs.items()},
        "outputs": {name: _tensor(a) for name, a in found.outputs.items()},
        "margin": number(found.margin),
        "replayed_by": found.replayed_by,
        "engine": found.engine.value,
        "note": found.note,
        "labels": {name: label._asdict() for name, label in found.labels.items()},
    }


def _tensor(array: Array) -> dict[str, Any]:
    flat = array.ravel().tolist()
    rational = array.dtype == object
    told = {"dtype": "rational" if rational else str(array.dtype), "shape": list(array.shape)}
    exact = {"exact": [str(Fraction(v)) for v in flat]} if rational else {}
    return {**told, "data": plain_numbers(flat), **exact}


def plain_numbers(values: Iterable[Any]) -> list[float | str]:
    """Elements of a tensor, to the nearest float64; what is no finite one is a text, as JSON has no infinity."""
    return [near if math.isfinite(near) else str(near) for near in map(nearest_float, values)]


def result_json(result: Result) -> dict[str, Any]:
    """The one object of ``nnsym verify --json``."""
    return {
        "status": result.status.value,
        "reason": result.reason,
        "trust": trust_word(result.trust),
        "reading": result.reading.value,
        "vacuous": result.vacuous,
        "semantics": result.semantics.value,
        "float_error": error_number(result.float_error),
        "deployed": result.deployed.value,
        "slack": result.slack,
        "lower": number(result.lower),
        "upper": number(result.upper),
        "lower_trust": trust_word(result.lower_trust),
        "upper_trust": trust_word(result.upper_trust),
        "counterexample": witness_json(result.counterexample),
        "witness": witness_json(result.witness),
        "method": result.method,
        "encoding": result.encoding,
        "solver": result.solver,
        "bounds": result.bounds,
        "goal": result.goal,
        "relaxation": number(result.relaxation),
        "confidence": result.confidence,
        "evidence": None if result.evidence is None else result.evidence.to_json(),
        "peak_memory": result.peak_memory,
        "seconds": {name: round(value, 6) for name, value in result.seconds.items()},
        "sizes": asdict(result.sizes),
        "trail": [{"step": s.name, "seconds": round(s.seconds, 6), "note": s.note} for s in result.trail],
        "versions": dict(result.versions),
        "certificate": None if result.certificate is None else result.certificate.summary(),
        "uncertified": result.uncertified,
    }


def saved_json(result: Result, statement: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A result with what it is about: the property in words, its hash, its networks, the boxes of its inputs.

    ``statement`` holds other forms of the property (``source``, ``latex``), where it was written in the language;
    ``stated`` is the digest of what the certificate states.
    """
    said = dict(statement or {})
    if result.certificate is not None:  # what was proved of this property, whichever certificate is named later
        said["stated"] = result.certificate.stated
    about = {} if result.query is None else _about(result.query, said)
    return {FORMAT: NUMBER, **result_json(result), **about}


def _about(query: Query, statement: Mapping[str, str]) -> dict[str, Any]:
    networks = {a.network.hash: a.network for a in query.applications}
    return {
        "property": {"name": query.name, "text": query.text, "hash": query.hash, **statement},
        "networks": [
            {
                "name": f.name,
                "sha256": digest,
                "dtype": f.dtype,
                "stored": f.model is not None,
                "inputs": {name: list(t.shape) for name, t in f.inputs.items()},
                "outputs": {name: list(t.shape) for name, t in f.outputs.items()},
            }
            for digest, f in networks.items()
        ],
        "boxes": {
            x.name: {"lower": [number(v) for v in box.outer[0]], "upper": [number(v) for v in box.outer[1]]}
            for x, box in query.boxes.items()
            if x.size <= _BOXES
        },
    }


def save_result(data: Mapping[str, Any], path: str | Path) -> Path:
    """Plain data as a JSON file."""
    return write_file(path, json.dumps(data, indent=1) + "\n")
