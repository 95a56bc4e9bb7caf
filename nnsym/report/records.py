"""Results as plain data: what ``--json`` prints and what run records hold."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nnsym.ir.query import Reading
from nnsym.results.result import Result, Witness

if TYPE_CHECKING:
    from nnsym.ask.compare import Comparison, Row


def number(value: float | None) -> float | None:
    """A finite float, or None (JSON has no infinity)."""
    return None if value is None or not math.isfinite(value) else float(value)


def error_number(error: float | None) -> float | str | None:
    """A finite bound of a rounding error, the text ``inf`` where something may overflow, None where none is known."""
    return "inf" if error is not None and math.isinf(error) else number(error)


def witness_json(found: Witness | None) -> dict[str, Any] | None:
    """Inputs and outputs with dtype, shape and flat data."""
    if found is None:
        return None

    def tensors(arrays: Any) -> dict[str, Any]:
        return {
            name: {"dtype": _dtype(a), "shape": list(a.shape), "data": [float(v) for v in a.ravel()]}
            for name, a in arrays.items()
        }

    return {
        "inputs": tensors(found.inputs),
        "outputs": tensors(found.outputs),
        "margin": number(found.margin),
        "replayed_by": found.replayed_by,
        "engine": found.engine.value,
        "note": found.note,
        "labels": {name: label._asdict() for name, label in found.labels.items()},
    }


def _dtype(array: Any) -> str:
    return "rational" if array.dtype == object else str(array.dtype)


def result_json(result: Result) -> dict[str, Any]:
    """The one object of ``nnsym verify --json``."""
    return {
        "status": result.status.value,
        "reason": result.reason,
        "trust": result.trust.value if result.trust else None,
        "reading": result.reading.value,
        "vacuous": result.vacuous,
        "semantics": result.semantics.value,
        "float_error": error_number(result.float_error),
        "deployed": result.deployed.value,
        "slack": result.slack,
        "lower": number(result.lower),
        "upper": number(result.upper),
        "counterexample": witness_json(result.counterexample),
        "witness": witness_json(result.witness),
        "method": result.method,
        "encoding": result.encoding,
        "solver": result.solver,
        "bounds": result.bounds,
        "goal": result.goal,
        "relaxation": number(result.relaxation),
        "peak_memory": result.peak_memory,
        "seconds": {name: round(value, 6) for name, value in result.seconds.items()},
        "sizes": asdict(result.sizes),
        "trail": [{"step": s.name, "seconds": round(s.seconds, 6), "note": s.note} for s in result.trail],
        "versions": dict(result.versions),
    }


def _gap(best: float, margin: float) -> float:
    """Distance to the best bound; 0 within the accuracy of float solvers."""
    gap = abs(best - margin)
    return 0.0 if gap <= 1e-9 * max(1.0, abs(best)) else gap


def row_record(row: Row, best: float | None) -> dict[str, Any]:
    """One flat row of a comparison."""
    result, seconds = row.result, row.seconds or {}
    gap = None if best is None or row.margin is None else _gap(best, row.margin)
    exists = result is not None and result.reading is Reading.EXISTS
    sizes = result.sizes if result is not None else None
    return {
        "method": row.method,
        "solver": row.solver,
        "bounds": row.bounds,
        "goal": row.goal,
        "verdict": result.status.value if result is not None else "unsupported" if not row.repeats else "error",
        "reason": row.error or (result.reason if result is not None else ""),
        "trust": result.trust.value if result is not None and result.trust else None,
        "vacuous": result.vacuous if result is not None else None,
        "semantics": result.semantics.value if result is not None else None,
        "float_error": error_number(result.float_error) if result is not None else None,
        "deployed": result.deployed.value if result is not None else None,
        "lower": number(result.lower) if exists and result is not None else row.margin,
        "upper": number(result.upper) if result is not None else None,
        "slack": result.slack or None if result is not None else None,
        "root_lp": number(result.relaxation) if result is not None else None,
        "gap": gap,
        "continuous": sizes.columns - sizes.binary if sizes else None,
        "binary": sizes.binary if sizes else None,
        "rows": sizes.rows if sizes else None,
        "nonzeros": sizes.nonzeros if sizes else None,
        "unstable": sizes.unstable if sizes else None,
        "seconds_bounds": seconds.get("bounds"),
        "seconds_encode": seconds.get("encode"),
        "seconds_handover": seconds.get("hand-over"),
        "seconds_solve": seconds.get("solve", seconds.get("attack")),
        "seconds_total": seconds.get("total"),
        "repeats": row.repeats,
        "peak_memory": result.peak_memory if result is not None else None,
    }


def comparison_json(table: Comparison) -> dict[str, Any]:
    """A comparison with its counterexamples."""
    return {
        "property": table.name,
        "text": table.text,
        "property_hash": table.property_hash,
        "network_hashes": list(table.network_hashes),
        "seed": table.seed,
        "timeout": table.timeout,
        "best": number(table.best),
        "disagreement": table.disagreement is not None,
        "rows": [
            {
                **row_record(row, table.best),
                "counterexample": witness_json(row.result.counterexample) if row.result is not None else None,
                "witness": witness_json(row.result.witness) if row.result is not None else None,
                "versions": dict(row.result.versions) if row.result is not None else {},
            }
            for row in table.rows
        ],
    }
