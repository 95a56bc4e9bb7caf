"""The HTML report: one file that needs no network, for those who have to judge a verdict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from nnsym.ask.audit import audit
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.words import count_of, how_replayed
from nnsym.report.audit import audit_sections
from nnsym.report.pictures.style import picture
from nnsym.report.records import RECORDED
from nnsym.results.fields import undamaged
from nnsym.results.files import path_of, plain_data, read_text
from nnsym.results.html import VERDICTS, facts_html, html_table, images_html, middle_of
from nnsym.results.plain import FORMAT, NUMBER, saved_json
from nnsym.results.restored import result_from
from nnsym.results.result import Agreement, Result, Verdict, Witness
from nnsym.results.saved import write_file
from nnsym.results.versions import package_version
from nnsym.sweep.answered import load_table
from nnsym.sweep.page import table_parts
from nnsym.sweep.record import is_record

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1f2328; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem; border-bottom: 1px solid #d0d7de }
table { border-collapse: collapse; margin: .4rem 0 }
td, th { padding: .15rem .8rem .15rem 0; vertical-align: top; text-align: left }
.hash { overflow-wrap: anywhere } svg { max-width: 100%; height: auto }
@media screen { table { display: block; overflow-x: auto } }
th { border-bottom: 1px solid #d0d7de } td { font-variant-numeric: tabular-nums }
pre { font: 13px/1.4 ui-monospace, monospace; background: #f6f8fa; padding: .6rem; white-space: pre-wrap }
.verdict { font-size: 1.3rem; font-weight: 600 } .quiet { color: #57606a }
figure { display: inline-block; margin: .3rem .8rem .3rem 0 }
figcaption { font-size: .8rem; color: #57606a }
@media print { body { margin: 0 } pre { white-space: pre-wrap } }
"""

_HASH = re.compile(r"\b[0-9a-f]{64}\b")  # alone may be broken anywhere: words and numbers stay whole

_MEANS = {
    Verdict.VERIFIED: "The property was shown to hold.",
    Verdict.FALSIFIED: "The property was shown not to hold.",
    Verdict.UNKNOWN: "Nothing was shown, neither that the property holds nor that it does not.",
}


def write_report(source: str | Path | Result, path: str | Path) -> Path:
    """The page of a result, as it is or saved (``result.save``, ``nnsym verify --save``), of a record, or of a folder.

    A record (``.jsonl``) is one of runs of ``compare``, or of a table over a data set. In a folder every certificate is
    checked again (:func:`nnsym.ask.audit.audit`).

    Raises :class:`InputError` for a file that is neither, and where the page cannot be written.
    """
    if isinstance(source, Result):
        return write_file(path, _of_result(saved_json(source), "result"))
    return write_file(path, report_page(path_of(source)))


def report_page(source: Path) -> str:
    """The text of the page; of a folder it is an audit."""
    if source.is_dir():
        return _page(f"Audit of {source.name}", audit_sections(audit(source)))
    text = read_text(source)

    if is_record(text):
        table = load_table(source)
        return _page(", ".join(table.header.families), (_section(*part) for part in table_parts(table)))
    with undamaged(str(source)):
        return _of_text(text, source)


def _of_text(text: str, source: Path) -> str:
    """The page of a saved result or of a record of runs."""
    where, data = str(source), None
    if source.suffix == ".jsonl":
        lines, torn = _lines(text, where)
        if lines and all(isinstance(line, dict) and {*RECORDED} <= {*line} for line in lines):
            return _page("Run record", _record(lines, torn))
    else:
        data = plain_data(text, where=where)
    if isinstance(data, dict) and data.get(FORMAT) == NUMBER:
        return _of_result(data, where)
    remedy = 'Write one by result.save("result.json"), nnsym verify --save, or nnsym compare --record'
    raise InputError("neither a saved result nor a run record", where=str(source), remedy=remedy)


def _of_result(data: Mapping[str, Any], where: str) -> str:
    return _page(str(data.get("property", {}).get("name", "Result")), _result(data, where))


def _lines(text: str, where: str) -> tuple[list[Any], int]:
    """The lines of a record of runs, and how many a kill or a full disk tore: they begin like the others and stop."""
    found, torn = [], 0
    for line in filter(str.strip, text.split("\n")):
        try:
            found.append(plain_data(line, where=where))
        except InputError:
            if not found or not line.startswith("{"):
                raise
            torn += 1
    return found, torn


def _page(title: str, parts: Iterable[str]) -> str:
    foot = f"<p class='quiet'>Written by nnsym {escape(package_version('nnsym'))}.</p>"
    body = "\n".join((f"<h1>{escape(title)}</h1>", *parts, foot))
    body = _HASH.sub(r"<span class='hash'>\g<0></span>", body)
    return (
        f"<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
        "<link rel='icon' href='data:,'>"  # browsers ask a server for one otherwise
        f"<style>{_STYLE}</style></head><body>\n{body}</body></html>\n"
    )


def _section(heading: str, body: str) -> str:
    return f"<h2>{escape(heading)}</h2>\n{body}" if body else ""


def _pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def _result(data: Mapping[str, Any], where: str) -> Iterator[str]:
    """One result, from the verdict down to how to check it again."""
    result = result_from(data, where=where)
    about: Mapping[str, Any] = data.get("property", {})
    yield _verdict(result)
    if about:
        yield _section("Property", _formula(about.get("latex", "")) + _pre(str(about.get("text", ""))))
    yield _section("Networks", _networks(data.get("networks", [])))
    found = result.counterexample or result.witness
    if found is not None:
        word = "Counterexample" if result.counterexample is not None else "Witness"
        yield _section(word, _point(found, data.get("boxes", {})))
    yield _section("Certificate", _certificate(data))
    yield _section("Margin", _margin(result))
    yield _section("How it was reached", _trail(result))
    yield _section("Versions", facts_html(sorted(result.versions.items())))
    yield _section("Check it again", _again(result, about, data.get("networks", [])))
    if about.get("source"):
        yield _section("The property in full", _pre(about["source"]))


def _certificate(data: Mapping[str, Any]) -> str:
    """What is said of a certificate; its bytes are a file of their own."""
    made = data.get("certificate")
    if not made:
        return f"<p>None: {escape(str(data['uncertified']))}</p>" if data.get("uncertified") else ""
    least = made.get("least")
    stored = " ".join(f"{network['name']}.onnx" for network in data.get("networks", []) if network.get("stored", True))
    facts = facts_html(
        [
            ("claim", f"{made['claim']}, {made['semantics']}"),
            ("SHA-256", str(made["sha256"])),
            ("accepted by", str(made["checked_by"])),
            ("leaves", str(made["leaves"])),
            *([("least value", f"{least:.3g}")] if least is not None else []),
            ("seconds", f"{made['prove_seconds']:.3g} to find, {made['check_seconds']:.3g} to check"),
        ]
    )
    return facts + _pre(f"# proof.json is the file of this SHA-256\nnnsym check proof.json {stored}".rstrip())


def _verdict(result: Result) -> str:
    vacuous = " (vacuous: no input satisfies the precondition)" if result.vacuous else ""
    ink = VERDICTS[result.status.value]
    head = f"<p><span class='verdict' style='color:{ink}'>{result.status.value}{vacuous}</span><br>"
    head += f"{_MEANS[result.status]}</p>"
    rows = [("reason", result.reason), ("rests on", result.rests_on)]
    if result.trust is not None:
        rows.append(("trust", result.trust.value))
    rows += [("method", result.method), ("function", _function(result))]
    if result.slack:
        rows.append(("slack", f"{result.slack:g}: the conclusion was relaxed by this much"))
    return head + facts_html(rows)


def _function(result: Result) -> str:
    """Which function of the stored network is meant, and what is known of the other."""
    if result.semantics.value == "deployed":
        return "deployed: every run in the model's own numbers, in any order of summation"
    moved = "" if result.float_error is None else f"; rounding moves its rows by at most {result.float_error:.3g}"
    return f"real: the stored constants in exact arithmetic. Deployed runs: {result.deployed.value}{moved}"


def _formula(latex: str) -> str:
    """The property typeset, by matplotlib where it is installed; else its LaTeX as text."""
    if not latex:
        return ""
    try:
        drawn = picture(8, 0.01)
        drawn.text(0, 0, f"${latex}$".replace("\\displaystyle", ""), fontsize=11)
        svg = drawn.svg(tight=True)
    except (UnsupportedError, ValueError):  # it is not installed, or knows only a part of LaTeX
        return _pre(latex)
    return f"<div class='formula'>{svg}</div>"


def _networks(networks: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        (n["name"], _shapes(n["inputs"]), _shapes(n["outputs"]), n["dtype"], f"sha256 {n['sha256']}") for n in networks
    ]
    return html_table(("name", "inputs", "outputs", "numbers", "content"), rows) if rows else ""


def _shapes(named: Mapping[str, Iterable[int]]) -> str:
    parts = (f"{name} {tuple(shape)}".replace(" ", "\N{NO-BREAK SPACE}") for name, shape in named.items())
    return ", ".join(parts)


_MODELS = {
    Agreement.AGREES: "; the stored models agree",
    Agreement.DIFFERS: "; the stored models' run differs",
    Agreement.NOT_RUN: "; the stored models were not run",
    Agreement.NONE: "",
}


def _point(found: Witness, boxes: Mapping[str, Any]) -> str:
    """The point in the property's own units; an image beside the middle of its box and their difference."""
    models = _MODELS[found.engine]
    said = [f"<p>Margin {found.margin:.6g}, {escape(how_replayed(found.replayed_by))}{models}.</p>"]
    if found.note:
        said.append(f"<p>{escape(found.note)}</p>")
    middles = {name: middle_of(box["lower"], box["upper"]) for name, box in boxes.items()}
    return "".join(said) + images_html(found, middles) + _pre("\n".join(found.lines(most=64)))


def _margin(result: Result) -> str:
    """The interval of the margin, and as a line where it is bounded."""
    word = "least" if result.reading.value == "forall" else "largest"
    said = f"<p>The {word} margin over the precondition lies in [{result.lower:.6g}, {result.upper:.6g}].</p>"
    ends = [v for v in (result.lower, result.upper) if np.isfinite(v)]
    if not ends:
        return said
    reach = 1.25 * max(abs(v) for v in ends) or 1.0
    low, high = (float(np.clip(v, -reach, reach)) for v in (result.lower, result.upper))
    ink = VERDICTS[result.status.value]

    def at(value: float) -> float:
        return 240 + 220 * value / reach

    marks = "".join(f"<text x='{at(v):.1f}' y='48' text-anchor='middle'>{v:.4g}</text>" for v in dict.fromkeys(ends))
    return said + (
        "<svg xmlns='http://www.w3.org/2000/svg' width='480' height='56' viewBox='0 0 480 56' font-size='11'>"
        "<line x1='20' y1='26' x2='460' y2='26' stroke='#d0d7de'/>"
        "<line x1='240' y1='10' x2='240' y2='36' stroke='#1f2328'/><text x='240' y='9' text-anchor='middle'>0</text>"
        f"<rect x='{at(low):.1f}' y='21' width='{max(2.0, at(high) - at(low)):.1f}' height='10' fill='{ink}' rx='2'/>"
        f"{marks}</svg>"
    )


def _trail(result: Result) -> str:
    rows = [(s.name, f"{s.seconds:.3f}", s.note) for s in result.trail]
    if not rows:
        return ""
    return html_table(("step", "seconds", "what it found"), rows)


def _again(result: Result, about: Mapping[str, Any], networks: list[Mapping[str, Any]]) -> str:
    """Commands that repeat the verdict from the files themselves."""
    if not about.get("source"):
        again = "<p>Verify the property's own file again, with the networks of the hashes above.</p>"
        if about.get("hash"):
            digest = escape(str(about["hash"]))
            again += f"<p>What is asked has the hash {digest}, as <code>property.hash</code> of what --save writes.</p>"
        return again
    built = [n["name"] for n in networks if not n.get("stored", True)]
    if built:  # from arrays: there is no file of them
        names = ", ".join(built)
        lines = [
            f"# save the text below as property.txt, and make {names} from the same arrays (hashes are compared)",
            f"nn.verify(nn.parse(open('property.txt').read(), [{', '.join(n['name'] for n in networks)}]))",
        ]
    else:
        options = " ".join(f"--network {n['name']}={n['name']}.onnx" for n in networks)
        encoding = f" --encoding {result.encoding}" if result.encoding else ""
        lines = [
            "# save the text below as property.txt, and the networks of the hashes above beside it",
            f"nnsym verify property.txt {options}{encoding}".rstrip(),
        ]
    if about.get("hash"):
        lines.append(f"# the property's hash: {about['hash']}")
    if (found := result.counterexample or result.witness) is not None:
        point = "; ".join(found.lines(most=4))
        lines.append(f"# its margin at the point above ({point}) is {found.margin:.6g}: p.margin(point) in Python")
    return _pre("\n".join(lines))


def _record(lines: list[Mapping[str, Any]], torn: int) -> Iterator[str]:
    """All runs of a record, one table for each property."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        groups.setdefault(line["property_hash"], []).append(line)
    counts = {v: sum(line["verdict"] == v for line in lines) for v in VERDICTS}
    total = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    lost = f" Left out: {count_of(torn, 'line')} torn by a kill or a full disk." if torn else ""
    about = count_of(len(groups), "property", "properties")
    yield f"<p>{count_of(len(lines), 'run')} of {about}: {total}.{lost}</p>"
    for digest, runs in groups.items():
        facts = facts_html([("property", f"sha256 {digest}"), ("networks", ", ".join(runs[0]["network_hashes"]))])
        text = _pre(str(runs[0].get("text", "")))
        yield _section(str(runs[0]["property"]), f"{text}{facts}{_runs(runs)}")
    versions = {name: text for line in lines for name, text in line["versions"].items()}
    yield _section("Versions", facts_html(sorted(versions.items())))


def _runs(runs: Sequence[Mapping[str, Any]]) -> str:
    def look(row: int, column: int) -> str:
        return f";color:{VERDICTS[runs[row]['verdict']]}" if column == 3 else ""

    headings = ("method", "solver", "bounds", "verdict", "trust", "margin", "seconds")
    return html_table(headings, map(_cells, runs), look=look)


def _cells(run: Mapping[str, Any]) -> list[str]:
    verdict = (
        f"{run['verdict']} ({run['reason']})" if run["verdict"] not in ("verified", "falsified") else run["verdict"]
    )
    low, high = (
        ("-∞", "∞")[k] if run[side] is None else f"{run[side]:.5g}" for k, side in enumerate(("lower", "upper"))
    )
    seconds = "" if run.get("seconds_total") is None else f"{run['seconds_total']:.3f}"
    return [run["method"], run["solver"], run["bounds"], verdict, run["trust"] or "", f"[{low}, {high}]", seconds]
