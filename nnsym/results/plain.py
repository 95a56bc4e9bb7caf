"""Answers as plain data and back: what ``--json`` prints, what files hold, what is read from them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.errors import InputError
from nnsym.ir.node import Labels
from nnsym.ir.query import Query, Reading
from nnsym.results.fields import count, each, named, optional, real, text, undamaged
from nnsym.results.result import Agreement, Deployed, Evidence, Result, Semantics, Sizes, Step, Trust, Verdict, Witness
from nnsym.results.saved import read_saved_as

Array = NDArray[Any]

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
    return {**told, "data": [float(v) for v in flat], **exact}


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

    ``statement`` holds other forms of the property (``source``, ``latex``), where it was written in the language.
    """
    about = {} if result.query is None else _about(result.query, statement or {})
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
    target = Path(path)
    try:
        target.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", where=str(target)) from error
    return target


def load_result(path: str | Path) -> Result:
    """A result that :meth:`Result.save` wrote; its ``query`` is not in the file, everything else is.

    Raises :class:`InputError` for any other file.
    """
    return result_from(read_saved(path), where=str(path))


def read_saved(path: str | Path) -> dict[str, Any]:
    """The plain data of a saved result."""
    remedy = 'Write one by result.save("result.json")'
    return read_saved_as(path, (FORMAT, NUMBER), what="a saved result", remedy=remedy)


def result_from(data: Mapping[str, Any], *, where: str = "") -> Result:
    """The result of its plain data."""
    with undamaged(where):
        exists, vacuous = data["reading"] == Reading.EXISTS.value, bool(data["vacuous"])
        nowhere = -math.inf if exists else math.inf  # the margin where no input satisfies the precondition
        return Result(
            status=Verdict(data["status"]),
            reason=text(data["reason"]),
            trust=_trust(data["trust"]),
            method=text(data["method"]),
            encoding=text(data["encoding"]),
            solver=text(data["solver"]),
            bounds=text(data["bounds"]),
            goal=text(data["goal"]),
            reading=Reading(data["reading"]),
            slack=real(data["slack"]),
            semantics=Semantics(data["semantics"]),
            float_error=optional(real, data["float_error"]),
            deployed=Deployed(data["deployed"]),
            vacuous=vacuous,
            lower=_end(data["lower"], nowhere if vacuous else -math.inf),
            upper=_end(data["upper"], nowhere if vacuous else math.inf),
            lower_trust=_trust(data["lower_trust"]),
            upper_trust=_trust(data["upper_trust"]),
            relaxation=optional(real, data["relaxation"]),
            confidence=optional(real, data.get("confidence")),
            evidence=_evidence(data.get("evidence"), where),
            counterexample=_witness(data["counterexample"]),
            witness=_witness(data["witness"]),
            sizes=Sizes(**named(count, data["sizes"])),
            seconds=named(real, data["seconds"]),
            peak_memory=count(data["peak_memory"]),
            trail=tuple(each(_step, data["trail"])),
            versions=named(text, data["versions"]),
            uncertified=text(data.get("uncertified", "")),
        )


def _step(data: Mapping[str, Any]) -> Step:
    return Step(name=text(data["step"]), seconds=real(data["seconds"]), note=text(data["note"]))


def _evidence(data: Mapping[str, Any] | None, where: str) -> Evidence | None:
    if data is None:
        return None
    from nnsym.evidence.evidence import evidence_from

    return evidence_from(data, where=where)


def _trust(word: str | None) -> Trust | None:
    return None if word is None else Trust(word)


def _end(value: float | None, missing: float) -> float:
    return missing if value is None else real(value)


def _witness(data: Mapping[str, Any] | None) -> Witness | None:
    if data is None:
        return None
    return Witness(
        inputs={name: _array(t) for name, t in data["inputs"].items()},
        outputs={name: _array(t) for name, t in data["outputs"].items()},
        margin=_end(data["margin"], math.nan),
        replayed_by=text(data["replayed_by"]),
        engine=Agreement(data["engine"]),
        note=text(data["note"]),
        labels=named(_labels, data["labels"]),
    )


def _labels(data: Mapping[str, Any]) -> Labels:
    return Labels(tuple(each(text, data["names"])), tuple(each(text, data["units"])))


def _array(data: Mapping[str, Any]) -> Array:
    if data["dtype"] != "rational":
        return np.array(data["data"], dtype=data["dtype"]).reshape(data["shape"])
    found = np.empty(len(data["exact"]), dtype=object)
    found[:] = [Fraction(text) for text in data["exact"]]
    return found.reshape(data["shape"])
