"""Every encoding on the same nets: size, strength of its linear relaxation, time to the margin or to a verdict."""

from __future__ import annotations

from nnsym import demo
from nnsym.compare import compare
from nnsym.lang.ranking import argmax
from nnsym.lang.property import Property, forall
from nnsym.lang.sets import ball
from nnsym.lang.variables import Variable
from nnsym.lang.zoo import random_mlp
from nnsym.registry import encodings
from nnsym.report.records import row_record
from tests.benchmarks.measure import table


def digit() -> Property:
    """The demo's image 12 within 4/64: ten classes, 7 open neurons."""
    image, label = demo.digit(12)
    x = Variable(64, name="x")
    return forall(x, where=ball(x, image, 4 / 64, within=(0, 1)), then=argmax(demo.network()(x)) == label, name="digit")


def small() -> Property:
    """A random network 4-12-12-3 on the unit box, most neurons open."""
    x = Variable(4, name="x")
    y = random_mlp(1, widths=(4, 12, 12, 3))(x)
    return forall(x, where=ball(x, [0, 0, 0, 0], 1), then=y[0] - y[1] >= -2, name="4-12-12-3")


def report(rounds: int) -> str:
    """One table a net; seconds are medians of ``rounds`` runs. Lanes: the first at hand that takes the encoding."""
    return "\n".join(_table(p, rounds) for p in (small(), digit()))


def _table(prop: Property, rounds: int) -> str:
    found = compare(prop, list(encodings()), repeat=rounds, timeout=60.0)
    rows = []
    for row in found.rows:
        r = row_record(row, found.best)
        cells = (
            "method",
            "solver",
            "continuous",
            "binary",
            "rows",
            "nonzeros",
            "root_lp",
            "lower",
            "seconds_solve",
            "verdict",
        )
        rows.append(
            ["" if r.get(c) is None else f"{r[c]:.4g}" if isinstance(r[c], float) else str(r[c]) for c in cells]
        )
    return table(
        prop.name, ("encoding", "lane", "real", "binary", "rows", "nonzeros", "root LP", "bound", "s", ""), rows
    )
