"""Answers from plain data: results that were saved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.errors import InputError
from nnsym.evidence.evidence import evidence_from
from nnsym.ir.node import Labels
from nnsym.ir.query import Reading
from nnsym.results.plain import FORMAT, NUMBER
from nnsym.results.result import Agreement, Deployed, Evidence, Result, Semantics, Sizes, Step, Trust, Verdict, Witness
from nnsym.results.saved import read_saved_as

Array = NDArray[Any]


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
    try:
        exists, vacuous = data["reading"] == Reading.EXISTS.value, bool(data["vacuous"])
        nowhere = -math.inf if exists else math.inf  # the margin where no input satisfies the precondition
        return Result(
            status=Verdict(data["status"]),
            reason=data["reason"],
            trust=_trust(data["trust"]),
            method=data["method"],
            encoding=data["encoding"],
            solver=data["solver"],
            bounds=data["bounds"],
            goal=data["goal"],
            reading=Reading(data["reading"]),
            slack=float(data["slack"]),
            semantics=Semantics(data["semantics"]),
            float_error=None if data["float_error"] is None else float(data["float_error"]),
            deployed=Deployed(data["deployed"]),
            vacuous=vacuous,
            lower=_end(data["lower"], nowhere if vacuous else -math.inf),
            upper=_end(data["upper"], nowhere if vacuous else math.inf),
            lower_trust=_trust(data["lower_trust"]),
            upper_trust=_trust(data["upper_trust"]),
            relaxation=data["relaxation"],
            confidence=data.get("confidence"),
            evidence=_evidence(data.get("evidence"), where),
            counterexample=_witness(data["counterexample"]),
            witness=_witness(data["witness"]),
            sizes=Sizes(**data["sizes"]),
            seconds=dict(data["seconds"]),
            peak_memory=int(data["peak_memory"]),
            trail=tuple(Step(name=s["step"], seconds=s["seconds"], note=s["note"]) for s in data["trail"]),
            versions=dict(data["versions"]),
            uncertified=str(data.get("uncertified", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"a field is missing or wrong: {type(error).__name__}: {error}", where=where) from None


def _evidence(data: Mapping[str, Any] | None, where: str) -> Evidence | None:
    if data is None:
        return None
    return evidence_from(data, where=where)


def _trust(word: str | None) -> Trust | None:
    return None if word is None else Trust(word)


def _end(value: float | None, missing: float) -> float:
    return missing if value is None else float(value)


def _witness(data: Mapping[str, Any] | None) -> Witness | None:
    if data is None:
        return None
    return Witness(
        inputs={name: _array(t) for name, t in data["inputs"].items()},
        outputs={name: _array(t) for name, t in data["outputs"].items()},
        margin=_end(data["margin"], math.nan),
        replayed_by=data["replayed_by"],
        engine=Agreement(data["engine"]),
        note=data["note"],
        labels={n: Labels(tuple(v["names"]), tuple(v["units"])) for n, v in data["labels"].items()},
    )


def _array(data: Mapping[str, Any]) -> Array:
    if data["dtype"] != "rational":
        return np.array(data["data"], dtype=data["dtype"]).reshape(data["shape"])
    found = np.empty(len(data["exact"]), dtype=object)
    found[:] = [Fraction(text) for text in data["exact"]]
    return found.reshape(data["shape"])
