"""An audit for people: two tables on a terminal, the same as sections of a page."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from nnsym.check.errors import nearly
from nnsym.report.grid import plain_grid
from nnsym.results.html import html_table

if TYPE_CHECKING:
    from nnsym.ask.audit import Audit, Checked

_CLAIMS = {"unsat": "excluded", "sat": "point"}


def audit_grids(found: Audit) -> list[Any]:
    """The certificates, then the results that have none."""
    titles = ["certificate", "claim", "leaves", "least", "seconds", "checked"]
    grids = [plain_grid(titles, [_cells(c) for c in found.certificates], wraps=("certificate", "checked"))]
    rows = [[r.file, r.verdict, r.reason] for r in found.uncertified]
    if rows:
        grids.append(plain_grid(["uncertified result", "verdict", "why"], rows, wraps=("uncertified result", "why")))
    return grids


def summary(found: Audit) -> str:
    """One line: how many were accepted, and how many results have a certificate."""
    good = len(found.certificates) - len(found.refused)
    said = f"{good} of {len(found.certificates)} certificates accepted"
    if found.results:
        certified = len(found.results) - len(found.uncertified)
        said += f"; {certified} of {len(found.results)} results certified"
    if found.reasons:
        said += f" (others: {', '.join(f'{count} {kind}' for kind, count in found.reasons.items())})"
    return said


def _cells(one: Checked) -> list[str]:
    made = one.report
    claim = _CLAIMS.get(one.claim, one.claim) + ("" if one.semantics == "real" else f", {one.semantics}")
    if made is None:
        return [one.file, claim, "", "", "", f"refused: {one.refused}"]
    least = "" if made.least is None else f"{nearly(made.least):.3g}"
    return [one.file, claim, str(made.leaves or ""), least, f"{made.seconds:.2f}", made.engine]


def audit_sections(found: Audit) -> Iterator[str]:
    """The page's parts: the verdict, certificates with their hashes, results without."""
    ink = "#1a7f37" if not found.code else "#cf222e" if found.refused else "#9a6700"
    yield f"<p class='verdict' style='color:{ink}'>{escape(summary(found))}</p>"
    yield (
        "<p>Each certificate was read and checked anew by the independent checker, which shares no code with what "
        "found the proof. <i>excluded</i>: no input meets the property's assertions; <i>point</i>: the one that is "
        "given does. Real arithmetic of the stored constants, unless a type of floats is named.</p>"
    )
    titles = ["certificate", "claim", "leaves", "least", "seconds", "checked"]
    yield "<h2>Certificates</h2>\n" + html_table(titles, [_cells(c) for c in found.certificates])
    files = [[c.file, c.digest, c.text] for c in found.certificates]
    yield "<h2>Hashes (SHA-256)</h2>\n" + html_table(["certificate", "its content", "property"], files)
    networks = dict.fromkeys(pair for c in found.certificates for pair in c.networks)
    yield "<h2>Networks</h2>\n" + html_table(["name", "SHA-256"], [list(pair) for pair in networks])
    if found.uncertified:
        rows = [[r.file, r.name, r.verdict, r.reason] for r in found.uncertified]
        yield "<h2>Results without a certificate</h2>\n" + html_table(["file", "property", "verdict", "why"], rows)
