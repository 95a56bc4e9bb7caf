"""Comparisons as plain data: what run records, frames and files hold."""

from __future__ import annotations

from typing import Any

from nnsym.ir.query import Reading
from nnsym.report.compared import Compared, ComparisonRow
from nnsym.results.plain import error_number, number, trust_word, witness_json

#: Fields that every line of a run record has.
RECORDED = ("property", "property_hash", "network_hashes", "versions", "method", "verdict", "reason", "lower", "upper")


def _gap(best: float, margin: float) -> float:
    """Distance to the best bound; 0 within the accuracy of float solvers."""
    gap = abs(best - margin)
    return 0.0 if gap <= 1e-9 * max(1.0, abs(best)) else gap


def row_record(row: ComparisonRow, best: float | None) -> dict[str, Any]:
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
        "trust": trust_word(result.trust) if result is not None else None,
        "confidence": result.confidence if result is not None else None,
        "vacuous": result.vacuous if result is not None else None,
        "semantics": result.semantics.value if result is not None else None,
        "float_error": error_number(result.float_error) if result is not None else None,
        "deployed": result.deployed.value if result is not None else None,
        "lower": number(result.lower) if exists and result is not None else row.margin,
        "upper": number(result.upper) if result is not None else None,
        "bound_trust": trust_word(result.bound_trust) if result is not None else None,
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


def comparison_records(table: Compared) -> list[dict[str, Any]]:
    """One flat row for each of the comparison's, with its property."""
    if table.parts:
        return [record for part in table.parts for record in comparison_records(part)]
    about = {"property": table.name, "property_hash": table.property_hash}
    return [{**about, **row_record(row, table.best)} for row in table.rows]


def comparison_json(table: Compared) -> dict[str, Any]:
    """A comparison with its counterexamples."""
    if table.parts:
        return {"comparisons": [comparison_json(part) for part in table.parts]}
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
