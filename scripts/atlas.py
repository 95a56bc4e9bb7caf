"""The atlas of encodings: ``make atlas``, that is ``python scripts/atlas.py``; it goes on where it was interrupted.

Every method is asked every question about the networks of docs/encodings/atlas (``scripts/atlas_nets.py``), by
``nn.table``; the record is build/atlas.jsonl. What comes of it are the tables of docs/encodings/atlas.md, its two
pictures, and the rows as docs/encodings/atlas/rows.csv. ``--relaxations`` asks those that the first tables leave out, a
minute for each, so that no clock decides what they say.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import nnsym as nn
from nnsym.judge.method import Method
from nnsym.sweep.entry import Entry, Way

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "docs" / "encodings"
SECONDS = 4.0

BOUNDS = ("ibp", "crown", "alpha")

#: Relaxations, then exact encodings on the lanes that take them, beside bounds alone and branch and bound.
RELAXED = ("line-adaptive", "triangle", "triangle+krelu2")
EXACT = (
    ("bigm", "highs", "ibp"),
    ("bigm", "highs", "crown"),
    ("bigm", "gurobi", "crown"),
    ("smt", "z3", "crown"),
    ("partition2", "highs", "crown"),
    ("indicator", "gurobi", "crown"),
    ("balas", "highs", "crown"),
    ("smt", "cvc5", "crown"),
)

#: What else bounds the margin: other sources of bounds alone, and LPs of other lines, cuts and bounds.
OTHER_BOUNDS = ("ibp-merged", "forward", "zonotope", "fastlin", "crown-zero", "crown-ibp", "lp")
OTHER_RELAXED = (
    ("line-zero", "crown"),
    ("line-parallel", "crown"),
    ("triangle", "ibp"),
    ("triangle", "alpha"),
    ("triangle+tj", "crown"),
    ("triangle+krelu3", "crown"),
)
OTHER_SECONDS = 60.0

SIZES = ("columns", "binary", "rows", "nonzeros")


def methods() -> list[Method | str]:
    """All methods that the lanes at hand allow: relaxations give their optimum, exact encodings decide."""
    from nnsym.solvers.registry import available

    here = set(available())
    found: list[Method | str] = [*BOUNDS, nn.milp("bigm", solver="highs", optimise=True), "bab"]
    found += [nn.lp(encoding, optimise=True) for encoding in RELAXED]
    for encoding, lane, bounds in EXACT:
        if lane in here:
            make = nn.smt if encoding.startswith("smt") else nn.milp
            found.append(make(encoding, solver=lane, bounds=bounds))
    return found


def relaxations() -> list[Method | str]:
    """Those that :func:`methods` leaves out; each gives its optimum."""
    return [*OTHER_BOUNDS, *(nn.lp(name, bounds=bounds, optimise=True) for name, bounds in OTHER_RELAXED)]


@lru_cache(maxsize=32)
def network(name: str) -> nn.Network:
    """A network of the atlas."""
    return nn.load(HERE / "atlas" / f"{name}.onnx", name=name)


def question(net: str, image: Any, label: int, eps: float, kind: str) -> nn.Property:
    """No pixel moved by at most ``eps`` changes the class."""
    return nn.props.robust(network(net), image, label, eps, within=(0, 1), name=f"{net}, {kind}")


@dataclass(frozen=True)
class Row:
    """One method on one question, and what is known of the question."""

    net: str
    kind: str
    entry: Entry
    exact: float | None

    @property
    def kin(self) -> str:
        """The architecture."""
        return self.net.partition("-")[0]

    @property
    def gap(self) -> float | None:
        """How far the bound of the method's relaxation is below the exact margin."""
        name, details = self.entry.method, self.entry.details
        relaxes = name in {*BOUNDS, *OTHER_BOUNDS} or name.startswith(("line", "triangle"))
        bound = details.get("relaxation", self.entry.lower if relaxes else -np.inf)
        return None if self.exact is None or not np.isfinite(bound) else max(0.0, self.exact - bound)


def run(questions: Mapping[str, Sequence[Any]], record: Path, chosen: Sequence[Method | str], seconds: float) -> Any:
    """Ask every method every question."""
    return nn.table(
        {"atlas": question},
        dict(questions),
        chosen,
        staged=False,
        shortcut=False,
        relaxation=True,
        timeout=seconds,
        file=record,
    )


def rows_of(table: Any, questions: Mapping[str, Sequence[Any]], exact: Mapping[int, float]) -> list[Row]:
    """The entries with the exact margins."""
    return [
        Row(str(questions["net"][e.index]), str(questions["kind"][e.index]), e, exact.get(e.index))
        for e in table.entries
    ]


def exact_of(table: Any) -> dict[int, float]:
    """The exact margins, which the rows that optimise have found."""
    exact: dict[int, float] = {}
    for entry in table.entries:
        if entry.method.endswith("(optimise)") and entry.method.startswith("bigm") and entry.upper - entry.lower < 1e-4:
            exact[entry.index] = entry.upper
    return exact


def exact_in(path: Path) -> dict[int, float]:
    """The exact margins as :func:`write_rows` wrote them."""
    with path.open(encoding="utf-8") as file:
        return {int(row["question"]): float(row["exact"]) for row in csv.DictReader(file) if row["exact"]}


def profile(rows: Sequence[Row], names: Iterable[str]) -> dict[str, tuple[list[float], list[float]]]:
    """Performance profiles (Dolan and More 2002): the share of questions decided within a factor of the fastest."""
    times: dict[int, dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row.entry.decided:
            times[row.entry.index][row.entry.method] = max(row.entry.seconds, 1e-3)
    count = len({row.entry.index for row in rows})
    found = {}
    for name in names:
        ratios = sorted(t[name] / min(t.values()) for t in times.values() if name in t)
        found[name] = (ratios, [(k + 1) / count for k in range(len(ratios))])
    return found


def plot_profiles(rows: Sequence[Row], names: Sequence[str], path: Path) -> None:
    """The profiles of the methods, on a logarithmic axis."""
    from nnsym.report.pictures.style import dashes, finished, ink, picture, plain_axes, titled

    curves = profile(rows, names)
    last = 2 * max((x[-1] for x, _ in curves.values() if x), default=1.0)
    figure = picture(7.6, 4.8)
    axes = figure.subplots()
    for name, dash in zip(names, dashes(names), strict=True):
        x, y = curves[name]
        axes.step([*x, last], [*y, y[-1]], where="post", color=ink(name), linestyle=dash, label=name, linewidth=1.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlim(0.9, last)
    axes.set_xlabel("seconds, as a multiple of the fastest on the same question", fontsize=9)
    axes.set_ylabel("share of the questions decided", fontsize=9)
    axes.set_ylim(0, 1.02)
    plain_axes(axes)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=7.5)
    titled(figure, "Who decides what, and how fast")
    finished(figure, path)


def plot_gaps(rows: Sequence[Row], path: Path) -> None:
    """The mean distance of each relaxation's bound from the exact margin, by architecture, on a logarithmic axis."""
    from nnsym.report.pictures.style import finished, ink, picture, plain_axes, titled

    names = list(dict.fromkeys(row.entry.method for row in rows if row.gap is not None))
    kinds = list(dict.fromkeys(row.kin for row in rows))
    figure = picture(7.6, 3.8)
    axes = figure.subplots()
    for k, (name, marker) in enumerate(zip(names, "osD^vPX" * len(names), strict=False)):
        gaps = [[r.gap for r in rows if r.entry.method == name and r.kin == kin and r.gap is not None] for kin in kinds]
        shown = [(j, float(np.mean(some))) for j, some in enumerate(gaps) if some]
        places = [j + 0.7 * (k - (len(names) - 1) / 2) / len(names) for j, _ in shown]
        label = name.removesuffix(" (optimise)") + (", root" if name.startswith("bigm") else "")
        axes.scatter(places, [max(g, 1e-3) for _, g in shown], c=ink(name), marker=marker, s=34, zorder=3, label=label)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_ylabel("mean gap to the exact margin", fontsize=9)
    plain_axes(axes, grid="y")
    if names:
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=7.5)
    titled(figure, "Root gaps")
    finished(figure, path)


def summary(rows: Sequence[Row]) -> str:
    """One line for each method: decided, times, sizes, gap, nodes."""
    lines = [
        "| method | decided | seconds, median | columns | binary | rows | nonzeros | gap, mean | nodes, mean |",
        "| --- |" + " ---: |" * 8,
    ]
    by: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by[row.entry.method].append(row)
    for name, some in by.items():
        decided = sum(row.entry.decided for row in some)
        cells = [f"`{name}`", f"{decided} of {len(some)}", f"{median(row.entry.seconds for row in some):.3f}"]
        sized = [row.entry.details for row in some if "columns" in row.entry.details]
        cells += [_mean(details.get(part, 0.0) for details in sized) for part in SIZES]
        cells.append(_mean((row.gap for row in some if row.gap is not None), "{:.3f}"))
        cells.append(_mean(row.entry.details["nodes"] for row in some if "nodes" in row.entry.details))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(values: Iterable[float], form: str = "{:.0f}") -> str:
    some = list(values)
    return form.format(float(np.mean(some))) if some else ""


def winners(rows: Sequence[Row]) -> str:
    """For each network and kind of question, who decides most, and is fastest among those."""
    lines = ["| network | loose | tight | false |", "| --- | --- | --- | --- |"]
    for net in dict.fromkeys(row.net for row in rows):
        some = [[row for row in rows if row.net == net and row.kind == kind] for kind in ("loose", "tight", "false")]
        lines.append(f"| {net} | {' | '.join(map(_winner, some))} |")
    return "\n".join(lines)


def _winner(rows: Sequence[Row]) -> str:
    scores: dict[str, tuple[int, float]] = {}
    for row in rows:
        solved, seconds = scores.get(row.entry.method, (0, 0.0))
        scores[row.entry.method] = (solved + row.entry.decided, seconds + row.entry.seconds)
    if not any(solved for solved, _ in scores.values()):
        return "nobody"
    count = len({row.entry.index for row in rows})
    name, (solved, seconds) = min(scores.items(), key=lambda item: (-item[1][0], item[1][1]))
    return f"`{name}` {solved}/{count}, {seconds / count:.2f} s"


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Every answer, a line each."""
    parts = (*SIZES, "unstable", "nodes", "relaxation")
    heads = ("net", "kind", "question", "method", "way", "reason", "lower", "upper", "exact", "seconds")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*heads, *parts])
        for row in rows:
            e = row.entry
            numbers = [f"{v:.7g}" if v is not None else "" for v in (e.lower, e.upper, row.exact, e.seconds)]
            sizes = [f"{e.details[part]:.7g}" if part in e.details else "" for part in parts]
            writer.writerow([row.net, row.kind, e.index, e.method, e.way.value, e.reason[:60], *numbers, *sizes])


def filled(text: str, parts: Mapping[str, str]) -> str:
    """The page with what stands between ``<!-- NAME -->`` and ``<!-- end -->`` replaced."""
    for name, part in parts.items():
        head, mark, rest = text.partition(f"<!-- {name} -->\n")
        if not mark:
            raise ValueError(f"the page has no place for '{name}'")
        text = f"{head}{mark}{part}\n{rest[rest.index('<!-- end -->') :]}"
    return text


def asked_what(rows: Sequence[Row], seconds: float) -> str:
    """How much was asked, and whether methods contradict each other."""
    count, nets = len({row.entry.index for row in rows}), len({row.net for row in rows})
    clash = contradictions(rows)
    said = "No two of them contradict each other." if not clash else f"CONTRADICTIONS on the questions {clash}."
    total = sum(row.entry.seconds for row in rows)
    methods = len({row.entry.method for row in rows})
    return (
        f"{count} questions about {nets} networks, {methods} methods, {seconds:g} seconds (wall, one thread) for each: "
        f"{len(rows)} runs, {total:.0f} seconds together. {said}"
    )


def contradictions(rows: Sequence[Row]) -> list[int]:
    """Questions that one method verified and another falsified."""
    ways: dict[int, set[Way]] = defaultdict(set)
    for row in rows:
        ways[row.entry.index].add(row.entry.way)
    return sorted(index for index, some in ways.items() if {Way.VERIFIED, Way.FALSIFIED} <= some)


def main(words: Sequence[str] | None = None) -> int:
    """Ask, then fill the page; ``--first`` and ``--methods`` make a small one elsewhere (``--output``)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=HERE)
    parser.add_argument("--record", type=Path, default=None, help="build/atlas.jsonl")
    parser.add_argument("--first", type=int, default=0, help="only so many questions")
    parser.add_argument("--methods", default="", help="comma-separated names, instead of all")
    parser.add_argument("--seconds", type=float, default=None, help=f"wall seconds of one run: {SECONDS:g}")
    parser.add_argument("--relaxations", action="store_true", help="ask what else bounds the margin")
    parser.add_argument("--fill", action="store_true", help="ask nothing: fill the page from the record as it is")
    asked = parser.parse_args(words)
    with np.load(HERE / "atlas" / "questions.npz") as file:
        questions = {name: file[name][: asked.first or None] for name in file.files}
    (asked.output / "atlas").mkdir(parents=True, exist_ok=True)
    fill = fill_relaxations if asked.relaxations else fill_page
    return fill(asked, questions)


def _answered(asked: Any, questions: Mapping[str, Sequence[Any]], name: str, chosen: Any, seconds: float) -> Any:
    """The table of a record, asked for first unless ``--fill`` says that it is there."""
    record = asked.record or ROOT / "build" / f"{name}.jsonl"
    record.parent.mkdir(parents=True, exist_ok=True)
    wanted = asked.methods.split(",") if asked.methods else chosen()
    return nn.load_table(record) if asked.fill else run(questions, record, wanted, asked.seconds or seconds)


def fill_page(asked: Any, questions: Mapping[str, Sequence[Any]]) -> int:
    """Tables, pictures and rows of what every method says."""
    table = _answered(asked, questions, "atlas", methods, SECONDS)
    rows = rows_of(table, questions, exact_of(table))
    names = [name for name in dict.fromkeys(r.entry.method for r in rows if r.entry.decided) if "(opt" not in name]
    plot_profiles(rows, names, asked.output / "atlas.svg")
    plot_gaps(rows, asked.output / "atlas-gaps.svg")
    write_rows(rows, asked.output / "atlas" / "rows.csv")
    said = asked_what(rows, asked.seconds or SECONDS)
    _write(asked.output, {"asked": said, "methods": summary(rows), "winners": winners(rows)})
    return 1 if contradictions(rows) else 0


def fill_relaxations(asked: Any, questions: Mapping[str, Sequence[Any]]) -> int:
    """Table and rows of what else bounds the margin."""
    table = _answered(asked, questions, "atlas-relaxations", relaxations, OTHER_SECONDS)
    rows = rows_of(table, questions, exact_in(HERE / "atlas" / "rows.csv"))
    write_rows(rows, asked.output / "atlas" / "relaxations.csv")
    _write(asked.output, {"relaxations": gaps(rows)})
    return 1 if contradictions(rows) else 0


def gaps(rows: Sequence[Row]) -> str:
    """One line for each relaxation: decided, sizes, and its mean gap, all together and by architecture."""
    kins = list(dict.fromkeys(row.kin for row in rows))
    lines = [f"| method | decided | rows | gap, mean | {' | '.join(kins)} |", "| --- |" + " ---: |" * (3 + len(kins))]
    for name in dict.fromkeys(row.entry.method for row in rows):
        some = [row for row in rows if row.entry.method == name]
        far = [[r.gap for r in some if r.gap is not None and r.kin in kin] for kin in (kins, *([k] for k in kins))]
        count = _mean(row.entry.details["rows"] for row in some if "rows" in row.entry.details)
        cells = [f"`{name}`", f"{sum(row.entry.decided for row in some)} of {len(some)}", count]
        lines.append(f"| {' | '.join([*cells, *(_mean(g, '{:.3f}') for g in far)])} |")
    return "\n".join(lines)


def _write(folder: Path, parts: Mapping[str, str]) -> None:
    """The page with its tables, beside what else was written."""
    page = folder / "atlas.md"
    text = (page if page.exists() else HERE / "atlas.md").read_text(encoding="utf-8")
    page.write_text(filled(text, parts), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
