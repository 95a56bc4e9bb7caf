"""Every encoding on the same nets: size, strength of its linear relaxation, time to the margin or to a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnsym import demo
from nnsym.ask.compare import compare
from nnsym.encode.registry import encodings, find_encoding
from nnsym.encoding import Form
from nnsym.lang.algebra.ranking import argmax
from nnsym.lang.algebra.variables import Variable
from nnsym.lang.property import Property, forall
from nnsym.lang.statements.sets import ball
from nnsym.lang.zoo import random_mlp
from nnsym.report.records import row_record
from tests.benchmarks.measure import ms, table

#: Cuts on top of the triangle; the programs here have too few binaries for those of big-M.
CUT = ("triangle+tj", "triangle+krelu2", "triangle+krelu2+krelu3+tj")


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
    found = compare(prop, [*encodings(), *CUT], repeat=rounds, timeout=60.0)
    head = ("encoding", "lane", "real", "binary", "rows", "nonzeros", "root LP", "margin", "ms", "")
    return table(prop.name, head, (_cells(row_record(row, found.best)) for row in found.rows))


def _cells(record: Mapping[str, Any]) -> list[str]:
    sizes = [str(record[name]) for name in ("method", "solver", "continuous", "binary", "rows", "nonzeros")]
    if find_encoding(record["method"]).form is Form.BOOLEAN:
        bounds = ["", ""]  # it decides, there is no margin
    else:
        bounds = [f"{record[name]:.4g}" for name in ("root_lp", "lower")]
    return [*sizes, *bounds, ms(record["seconds_solve"]), record["verdict"]]
