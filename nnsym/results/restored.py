"""Answers from plain data: results that were saved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nnsym.evidence.evidence import evidence_from
from nnsym.ir.array import Array
from nnsym.ir.digits import fraction
from nnsym.ir.node import Labels
from nnsym.ir.query import Reading
from nnsym.results.fields import count, each, finite, flag, named, optional, real, text, undamaged
from nnsym.results.plain import FORMAT, NUMBER
from nnsym.results.result import Agreement, Deployed, Result, Semantics, Sizes, Step, Trust, Verdict, Witness
from nnsym.results.saved import read_saved_as


def load_result(path: str | Path) -> Result:
    """A result that :meth:`Result.save` wrote; its ``query`` is not in the file, everything else is.

    Raises :class:`InputError` for any other file.
    """
    return result_from(read_saved(path), where=str(path))


def read_saved(path: str | Path) -> dict[str, Any]:
    """The plain data of a saved result."""
    remedy = 'Write one by result.save("result.json")'
    return read_saved_as(path, (FORMAT, NUMBER), what="a saved result", remedy=remedy)


def _grounds(data: Mapping[str, Any]) -> tuple[Trust | None, float | None]:
    """Trust and confidence of a verdict; raises ValueError where these, the verdict and its points contradict."""
    trust, confidence = optional(Trust, data["trust"]), optional(real, data.get("confidence"))
    if (confidence is not None and not 0 < confidence < 1) or (trust is Trust.STATISTICAL and confidence is None):
        raise ValueError("a statistical verdict has a confidence between 0 and 1")
    if trust is None and data["status"] != Verdict.UNKNOWN.value:
        raise ValueError("a verdict rests on something")
    if data["status"] == Verdict.VERIFIED.value and data["counterexample"] is not None:
        raise ValueError("a counterexample of what is verified")
    return trust, confidence


def result_from(data: Mapping[str, Any], *, where: str = "") -> Result:
    """The result of its plain data."""
    with undamaged(where):
        exists, vacuous = data["reading"] == Reading.EXISTS.value, flag(data["vacuous"])
        trust, confidence = _grounds(data)
        nowhere = -math.inf if exists else math.inf  # the margin where no input satisfies the precondition
        return Result(
            status=Verdict(data["status"]),
            reason=text(data["reason"]),
            trust=trust,
            method=text(data["method"]),
            encoding=text(data["encoding"]),
            solver=text(data["solver"]),
            bounds=text(data["bounds"]),
            goal=text(data["goal"]),
            reading=Reading(data["reading"]),
            slack=finite(data["slack"]),
            semantics=Semantics(data["semantics"]),
            float_error=optional(real, data["float_error"]),
            deployed=Deployed(data["deployed"]),
            vacuous=vacuous,
            lower=_end(data["lower"], nowhere if vacuous else -math.inf),
            upper=_end(data["upper"], nowhere if vacuous else math.inf),
            lower_trust=optional(Trust, data["lower_trust"]),
            upper_trust=optional(Trust, data["upper_trust"]),
            relaxation=optional(real, data["relaxation"]),
            confidence=confidence,
            evidence=optional(partial(evidence_from, where=where), data.get("evidence")),
            counterexample=optional(_witness, data["counterexample"]),
            witness=optional(_witness, data["witness"]),
            sizes=Sizes(**named(count, data["sizes"])),
            seconds=named(real, data["seconds"]),
            peak_memory=count(data["peak_memory"]),
            trail=tuple(each(_step, data["trail"])),
            versions=named(text, data["versions"]),
            uncertified=text(data.get("uncertified", "")),
        )


def _step(data: Mapping[str, Any]) -> Step:
    return Step(name=text(data["step"]), seconds=real(data["seconds"]), note=text(data["note"]))


def _end(value: float | None, missing: float) -> float:
    return missing if value is None else real(value)


def _witness(data: Mapping[str, Any]) -> Witness:
    inputs, outputs = named(_array, data["inputs"]), named(_array, data["outputs"])
    labels = named(_labels, data["labels"])
    for name, label in labels.items():
        if any(len(some) not in (0, (inputs | outputs)[name].size) for some in label):
            raise ValueError(f"the labels of '{name}' are not those of its elements")
    return Witness(
        inputs=inputs,
        outputs=outputs,
        margin=_end(data["margin"], math.nan),
        replayed_by=text(data["replayed_by"]),
        engine=Agreement(data["engine"]),
        note=text(data["note"]),
        labels=labels,
    )


def _labels(data: Mapping[str, Any]) -> Labels:
    return Labels(tuple(each(text, data["names"])), tuple(each(text, data["units"])))


def _array(data: Mapping[str, Any]) -> Array:
    shape = each(count, data["shape"])
    if data["dtype"] != "rational":
        kind = np.dtype(text(data["dtype"]))
        if kind.kind not in "biuf":
            raise TypeError(f"{data['dtype']!r:.60} is no type of numbers")
        return np.array(each(_element, data["data"]), dtype=kind).reshape(shape)
    exact = each(fraction, data["exact"])
    found = np.empty(len(exact), dtype=object)
    found[:] = exact
    return found.reshape(shape)


def _element(value: Any) -> float:
    """An element as :func:`nnsym.results.plain.plain_numbers` writes it."""
    return float(value) if value in ("inf", "-inf", "nan") else real(value)
