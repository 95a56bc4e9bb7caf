"""``nnsym``: verify, compare, table, export, explain, bounds, lipschitz, show, check, audit, and what there is.

Exit codes: 0 verified (or done), 10 falsified, 30 unknown, 2 usage or input error, 1 internal error,
40 exact methods disagree. Solvers, torch and ONNX are imported by the commands that need them.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from nnsym.results.clock import Clock

from nnsym.cli.arguments import Command, Commands
from nnsym.cli.streams import bare, complain, fits, open_streams, writing
from nnsym.cli.table import table
from nnsym.errors import NnsymError, OutOfTimeError
from nnsym.results import ranges

EXIT = {"verified": 0, "falsified": 10, "unknown": 30}
DISAGREE = 40

app = typer.Typer(
    name="nnsym",
    cls=Commands,
    help="State a property of neural networks once; compile it to every proof technique; trust the verdict.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Targets = Annotated[
    list[str],
    typer.Argument(metavar="[NET.onnx] SPEC", help="NET.onnx PROP.vnnlib, FILE.py:NAME, or a text that nn.save wrote"),
]
Sets = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the property FILE.py:NAME; repeatable."),
]
Networks = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--network",
        metavar="NAME=FILE.onnx",
        help="The model of a network that the file or text declares.",
    ),
]
Timeout = Annotated[
    float, typer.Option(help="Wall seconds for everything.", callback=lambda value: ranges.seconds(value, "--timeout"))
]
Memory = Annotated[
    float,
    typer.Option(
        help="GiB that a solver's process may use.", callback=lambda value: ranges.gibibytes(value, "--memory")
    ),
]
Meaning = Annotated[str, typer.Option("--semantics", help="real, or deployed: every run in the model's own dtype.")]
Seed = Annotated[
    int, typer.Option(help="Seed of sampling and solvers.", callback=lambda value: ranges.seed(value, "--seed"))
]
Device = Annotated[
    str, typer.Option(help="cpu, cuda, auto ...", callback=lambda value: ranges.device(value, "--device"))
]
Wide = Annotated[bool, typer.Option("--wide", help="Show every column, however long the lines become.")]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object.")]


def _say_versions(asked: bool) -> None:
    if asked:
        from nnsym.results.versions import all_versions

        for package, version in all_versions().items():
            print_line(f"{package} {version}")
        raise typer.Exit


def _log(asked: bool) -> None:
    if asked:
        import logging

        logging.basicConfig(format="%(name)s: %(message)s", level=logging.WARNING)  # to stderr
        logging.getLogger("nnsym").setLevel(logging.DEBUG)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of internal errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_versions, is_eager=True, help="Print what is installed.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", callback=_log, help="Say every step on stderr as it ends.")
    ] = False,
) -> None:
    """Options before the command."""
    del debug, version, verbose  # read by entry(), before anything can fail, and by their own callbacks


@app.command(cls=Command)
def verify(
    targets: Targets,
    sets: Sets = None,
    method: Annotated[Optional[str], typer.Option(help="ibp, crown ..., attack, sampling, or an encoding.")] = None,  # noqa: UP045
    encoding: Annotated[Optional[str], typer.Option(help="bigm, triangle, smt ... (see: nnsym methods).")] = None,  # noqa: UP045
    solver: Annotated[Optional[str], typer.Option(help="A lane (see: nnsym solvers).")] = None,  # noqa: UP045
    bounds: Annotated[str, typer.Option(help="What feeds the encoding: ibp, crown, alpha:20 ...")] = "crown",
    timeout: Timeout = 60.0,
    optimise: Annotated[bool, typer.Option("--optimise", help="Ask for the margin, not only its sign.")] = False,
    slack: Annotated[str, typer.Option(help="Relax the conclusion's comparisons by this; the result says so.")] = "0",
    semantics: Meaning = "real",
    vacuity: Annotated[bool, typer.Option("--vacuity", help="Also ask if any input meets the precondition.")] = False,
    memory: Memory = 8.0,
    seed: Seed = 0,
    as_json: Json = False,
    network: Networks = None,
    witness: Annotated[
        Path | None,
        typer.Option(help="Write the answer in the competition's format; as .json with the variables as stated."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the result as JSON, for nnsym report and nn.load_result.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="Record the search here; go on where the file has one.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on from the record of a search.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="Write a certificate of the verdict that nnsym check accepts.")
    ] = None,
) -> None:
    """Verify a property: verified (0), falsified (10) or unknown (30)."""
    from nnsym.results.clock import Clock

    clock = Clock(timeout)
    with clock.step("start"):  # imports count
        from nnsym.ask.verify import verify as run
        from nnsym.cli.reading import read_target
        from nnsym.judge.registry import recorded, resolve
        from nnsym.lang.question import query_of
        from nnsym.report.table import result_lines
        from nnsym.results.plain import result_json

    for path in (witness, save, certificate):
        if path is not None:
            from nnsym.ask.export import check_writable

            check_writable(path)
    chosen = resolve(method, encoding=encoding, solver=solver, bounds=bounds, optimise=optimise)
    if log is not None or resume is not None:
        chosen = recorded(chosen, resume or log or Path(), goes_on=resume is not None)
    late = partial(report_late, clock=clock, method=chosen.name, witness=witness, as_json=as_json)
    try:
        with clock.step("load"):
            stated = read_target(targets, sets, network, seconds=clock.left, memory=int(memory), late=late)
            stated = stated if slack == "0" else stated.relaxed(slack)
            query = query_of(stated)
    except OutOfTimeError as error:
        late(error)
        raise typer.Exit(EXIT["unknown"]) from None
    with spinner(not as_json, f"{query.name}: {chosen.name}") as progress:
        result = run(
            query,
            chosen,
            timeout=timeout,
            memory=int(memory),
            semantics=semantics,
            seed=seed,
            progress=progress,
            watch=None if progress is None else progress.watch,
            clock=clock,
            certificate=certificate or False,
        )
    checked = None
    if vacuity:  # what the verdict left of the budget
        from nnsym.ask.vacuity import vacuous

        checked = vacuous(query, timeout=timeout, memory=int(memory), seed=seed, clock=clock)
    if witness is not None:
        from nnsym.ask.answer_file import write_witness

        write_witness(query, result, witness)
    if save is not None:
        from nnsym.lang.property import Property

        result.save(save, stated if isinstance(stated, Property) else None)
    if as_json:
        print_line(json.dumps(result_json(result) | ({"vacuity": checked.to_json()} if checked is not None else {})))
    else:
        print_styled(result_lines(result))
        if checked is not None:
            print_styled([(f"  vacuity  {repr(checked)[1:-1]}", "bold" if checked.warnings else "")])
    raise typer.Exit(EXIT[result.status.value])


@app.command(cls=Command)
def compare(
    targets: Targets,
    sets: Sets = None,
    methods: Annotated[str, typer.Option(help="Comma-separated methods.")] = "ibp,crown,triangle,bigm,smt",
    solvers: Annotated[
        str | None, typer.Option(help="Comma-separated lanes; each encoding's default if left out.")
    ] = None,
    bounds: Annotated[str, typer.Option(help="Comma-separated bounds for the encodings.")] = "crown",
    timeout: Annotated[
        float,
        typer.Option(
            help="Wall seconds of each run of each row, and of reading.",
            callback=lambda value: ranges.seconds(value, "--timeout"),
        ),
    ] = 60.0,
    repeat: Annotated[
        int,
        typer.Option(
            help="Runs per row; seconds are medians.", callback=lambda value: ranges.repeats(value, "--repeat")
        ),
    ] = 1,
    decide: Annotated[bool, typer.Option("--decide", help="Ask for the margin's sign only.")] = False,
    semantics: Meaning = "real",
    memory: Memory = 8.0,
    seed: Seed = 0,
    as_json: Json = False,
    json_file: Annotated[Optional[Path], typer.Option("--json-file", help="Write the table as JSON.")] = None,  # noqa: UP045
    csv_file: Annotated[Optional[Path], typer.Option("--csv", help="Write the table as CSV.")] = None,  # noqa: UP045
    plot_file: Annotated[
        Path | None, typer.Option("--plot", help="Write bars as .png or .svg (extra: report).")
    ] = None,
    record: Annotated[Path, typer.Option(help="JSON-lines run record that every row is appended to.")] = Path(
        "nnsym-runs.jsonl"
    ),
    wide: Wide = False,
    network: Networks = None,
) -> None:
    """Judge one property by many methods, one row each."""
    from nnsym.ask.compare import compare as run
    from nnsym.ask.export import check_writable
    from nnsym.cli.reading import read_target
    from nnsym.report.files import write_csv, write_json

    for path in (json_file, csv_file, plot_file, record):
        if path is not None:
            check_writable(path)
    query = read_target(targets, sets, network, seconds=timeout, memory=int(memory), late=print_error)
    with row_progress() as announce:
        table = run(
            query,
            split(methods),
            solvers=split(solvers) if solvers else None,
            bounds=split(bounds),
            timeout=timeout,
            repeat=repeat,
            decide=decide,
            semantics=semantics,
            memory=int(memory),
            seed=seed,
            record=record,
            announce=announce,
        )
    if json_file is not None:
        write_json(table, json_file)
    if csv_file is not None:
        write_csv(table, csv_file)
    if plot_file is not None:
        table.plot(plot_file)
    if as_json:
        print_line(json.dumps(table.to_json()))
    else:
        print_table(table, wide=wide)
    complain(f"{len(table.rows)} rows appended to {record}")
    if table.disagreement is not None:
        for row in table.disagreement:
            if row.result is not None and (row.result.counterexample or row.result.witness):
                from nnsym.report.table import result_lines

                if not as_json:
                    print_styled(result_lines(row.result))
        raise typer.Exit(DISAGREE)


app.command(cls=Command)(table)


@app.command(cls=Command)
def export(
    targets: Targets,
    output: Annotated[Path, typer.Option("-o", "--output", help="model.lp, .mps, .smt2 or .vnnlib.")],
    sets: Sets = None,
    encoding: Annotated[Optional[str], typer.Option(help="bigm for .lp and .mps, smt for .smt2 if left out.")] = None,  # noqa: UP045
    bounds: Annotated[str, typer.Option(help="ibp, crown, alpha:20 ...: nnsym methods lists them.")] = "crown",
    network: Networks = None,
    version: Annotated[str, typer.Option("--vnnlib-version", help="2.0 or 1.0, for .vnnlib.")] = "2.0",
) -> None:
    """Write the very model that is solved, or the property as VNN-LIB."""
    from nnsym.ask.export import check_writable, to_vnnlib
    from nnsym.ask.export import export as run
    from nnsym.cli.targets import load_query

    check_writable(output)
    query = load_query(targets, sets or (), network or ())
    path = run(query, output, encoding=encoding, bounds=bounds, version=version)
    for loss in to_vnnlib(query, version=version).losses if output.suffix == ".vnnlib" else ():
        print_line(f"loss: {loss}")
    print_line(f"{path}  {path.stat().st_size / 1e6:.2f} MB")


@app.command(cls=Command)
def explain(
    targets: Targets,
    neuron: Annotated[str, typer.Option(help="relu_2[7], max_1[0], spec[3] ...")],
    sets: Sets = None,
    encoding: Annotated[str, typer.Option(help="bigm, triangle, smt ... (see: nnsym methods).")] = "bigm",
    bounds: Annotated[str, typer.Option(help="What feeds the encoding.")] = "crown",
) -> None:
    """One neuron's columns and rows in the program, with its numbers and where each row comes from."""
    from nnsym.ask.explain import explain as run
    from nnsym.cli.targets import load_query

    print_rich(run(load_query(targets, sets or ()), encoding, neuron=neuron, bounds=bounds))


@app.command(cls=Command)
def bounds(
    targets: Targets,
    sets: Sets = None,
    method: Annotated[str, typer.Option(help="ibp, crown, alpha:20 ..., or several with commas.")] = "crown",
    device: Device = "cpu",
    dtype: Annotated[str, typer.Option(help="float64, or float32: faster on a GPU, as sound, looser.")] = "float64",
    plot_file: Annotated[
        Path | None, typer.Option("--plot", help="Draw widths and open neurons as .png or .svg (extra: report).")
    ] = None,
    as_json: Json = False,
    network: Networks = None,
) -> None:
    """Widths and unstable neurons per layer, and the specification's bounds."""
    from nnsym.cli.bounds import run_bounds
    from nnsym.cli.targets import load_query

    query = load_query(targets, sets or (), network or ())
    run_bounds(query, split(method), device, dtype, plot_file, as_json, print_rich, print_line)


@app.command(cls=Command)
def choose(
    targets: Targets,
    sets: Sets = None,
    timeout: Timeout = 60.0,
    as_json: Json = False,
    network: Networks = None,
) -> None:
    """The method to ask, and why, from a look at the question by cheap bounds."""
    import json

    from nnsym.ask.choose import choose as run
    from nnsym.cli.targets import load_query

    found = run(load_query(targets, sets or (), network or ()), timeout=timeout)
    print_line(json.dumps(found.to_dict()) if as_json else str(found))


@app.command(cls=Command)
def lipschitz(
    network: Annotated[str, typer.Argument(metavar="NET.onnx", help="A network file.")],
    lower: Annotated[
        str | None, typer.Option(help="Lower limit of the inputs, or one for each with commas; all inputs if left out.")
    ] = None,
    upper: Annotated[str | None, typer.Option(help="Upper limit of the inputs, likewise.")] = None,
    p: Annotated[str, typer.Option("-p", help="Norm of the inputs: 1, 2 or inf.")] = "2",
    q: Annotated[str, typer.Option("-q", help="Norm of the outputs: 1, 2 or inf.")] = "2",
    method: Annotated[
        str, typer.Option(help="norms, sdp, jacobian, exact, crown, bigm ..., or several with commas.")
    ] = "norms,sdp,jacobian",
    timeout: Timeout = 60.0,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """A network's Lipschitz constant: certified above (0), a slope of two points below; 30 without an upper bound."""
    from nnsym.cli.lipschitz import run_lipschitz
    from nnsym.cli.targets import load_network

    limits, norms, methods = (lower, upper), (p, q), split(method)
    net = load_network(network)
    held = run_lipschitz(net, limits, norms, methods, timeout, seed, as_json, print_rich, print_line)
    raise typer.Exit(0 if held else EXIT["unknown"])


@app.command(cls=Command)
def show(
    network: Annotated[str, typer.Argument(metavar="NET.onnx", help="A network file.")],
    output: Annotated[Optional[Path], typer.Argument(metavar="[FILE]", help="Write here, not to stdout.")] = None,  # noqa: UP045
    svg: Annotated[bool, typer.Option("--svg", help="Draw the graph as SVG.")] = False,
) -> None:
    """The network's IR as text, or drawn: nnsym show net.onnx --svg net.svg."""
    from nnsym.ask.export import check_writable
    from nnsym.cli.targets import load_network
    from nnsym.ir.text import dump_network
    from nnsym.report.graph import to_svg

    if output is not None:
        check_writable(output)
    found = load_network(network)
    text = to_svg(found) if svg else dump_network(found)
    if output is None:
        print_line(text.rstrip())
    else:
        output.write_text(text, encoding="utf-8")


@app.command(cls=Command)
def search(
    record: Annotated[Path, typer.Argument(metavar="RECORD", help="The record of a search, from --log.")],
    plot: Annotated[Optional[Path], typer.Option("--plot", metavar="FILE", help="Draw it too: svg, png, pdf.")] = None,  # noqa: UP045
) -> None:
    """A recorded search: parts by depth, the first splits, what was split most and what that gained."""
    from nnsym.ask.export import check_writable
    from nnsym.report.search import draw_search, story

    if plot is not None:
        check_writable(plot)
    print_line(story(record))
    if plot is not None:
        draw_search(record, plot)


@app.command(cls=Command)
def report(
    source: Annotated[Path, typer.Argument(help="result.json of --save, or a record (.jsonl) of compare or table.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The page, one file.")] = Path("report.html"),
) -> None:
    """An HTML page of a result or of a record, for those who have to judge it; it needs no network."""
    from nnsym.ask.export import check_writable
    from nnsym.report.page import write_report

    check_writable(output)
    print_line(str(write_report(source, output)))


@app.command(cls=Command)
def methods() -> None:
    """The methods and encodings that are installed, and the cuts to add to them (triangle+tj+krelu3)."""
    from nnsym.encode.registry import cuts, encoding_providers, encodings
    from nnsym.judge.bab import SearchMethod
    from nnsym.judge.registry import method_providers
    from nnsym.judge.registry import methods as guests
    from nnsym.relaxation.sources import source_providers, sources
    from nnsym.report.grid import plain_grid
    from nnsym.search.branching import RULES
    from nnsym.search.frontier import FRONTIERS
    from nnsym.search.reduce import REDUCTIONS

    parties = (*encoding_providers(), *source_providers(), *method_providers())
    rows = [[source.name, "bounds", source.summary, source.paper] for source in sources().values()]
    rows.append(["attack", "search", "projected gradient on the margin, replayed; never verifies", "Madry et al. 2018"])
    rows.append(["sampling", "samples", "of a smoothed classifier; verdicts with a confidence", "Cohen et al. 2019"])
    rows.append(["bab", "exact", SearchMethod.summary, SearchMethod.paper])
    words = [("splits", rule.text, rule.summary, rule.paper) for rule in RULES.values()]
    words += [("reduces", some.text, some.summary, some.paper) for some in REDUCTIONS.values()]
    words += [("order", some.text, some.summary, "") for some in FRONTIERS.values()]
    rows += [[f"bab:{word}", kind, summary, paper] for kind, word, summary, paper in words]
    rows += [[name, "method", guest.summary, guest.paper] for name, guest in guests().items()]
    for name, found in sorted(encodings().items()):
        exact = "exact" if all(r.exactness.value != "outer" for r in found.rules) else "outer"
        rows.append([name, exact, found.summary, found.source])
    rows += [[f"+{name}", "cuts", cut.summary, cut.source] for name, cut in cuts().items()]
    rows += [[p.name, "left out", p.error, ""] for p in parties if p.error]
    print_rich(plain_grid(["method", "kind", "what it is", "source"], rows, wraps=("what it is", "source")))


@app.command(cls=Command)
def solvers() -> None:
    """Solver lanes: installed or not, versions, licence limits, how to get the rest."""
    from nnsym.report.grid import plain_grid
    from nnsym.solvers.registry import solver_providers, solver_table

    rows = []
    for row in solver_table():
        here = row.availability
        rows.append([row.name, "yes" if here.available else "no", here.version, here.licence, here.remedy])
    rows += [[p.name, "left out", "", "", p.error] for p in solver_providers() if p.error]
    print_rich(
        plain_grid(["lane", "here", "version", "licence", "how to get it"], rows, wraps=("licence", "how to get it"))
    )


@app.command(cls=Command)
def check(
    certificate: Annotated[Path, typer.Argument(help="A certificate's file, .json or .json.gz.")],
    files: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(help="Its networks and properties, where they do not lie beside it; found by their hashes."),
    ] = None,
    engine: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="fast (NumPy, the default) or reference (Python's integers)."),
    ] = None,
    vipr: Annotated[
        Path | None, typer.Option(help="Also write the proof for viprchk (small ReLU networks, split by phases).")
    ] = None,
    lean: Annotated[Path | None, typer.Option(help="Also write the proof for Lean 4, of the same networks.")] = None,
) -> None:
    """Check a certificate with the independent checker: accepted (0) or refused (10)."""
    from nnsym.check.checker import check as run
    from nnsym.check.checker import opened
    from nnsym.check.errors import Refused

    for path in (vipr, lean):
        if path is not None:
            from nnsym.ask.export import check_writable

            check_writable(path)
    try:
        print_line(str(run(certificate, files or (), engine)))
        if vipr is not None:
            from nnsym.write.vipr import to_vipr

            vipr.write_text(to_vipr(*opened(certificate, files or ())), encoding="utf-8")
        if lean is not None:
            from nnsym.write.lean import to_lean

            lean.write_text(to_lean(*opened(certificate, files or ())), encoding="utf-8")
    except Refused as error:
        print_line(f"refused: {error}")
        raise typer.Exit(EXIT["falsified"]) from None


@app.command(cls=Command)
def audit(
    folder: Annotated[Path, typer.Argument(help="Certificates and saved results, in it and in its folders.")],
    networks: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(help="Networks that lie elsewhere: files or folders; found by their hashes."),
    ] = None,
    engine: Annotated[Optional[str], typer.Option(help="fast (the default) or reference.")] = None,  # noqa: UP045
    as_json: Json = False,
) -> None:
    """Check all certificates of a folder: all certified (0), one refused (10), a result without one (30)."""
    from nnsym.ask.audit import audit as run
    from nnsym.report.audit import audit_grids, summary

    found = run(folder, networks=networks or (), engine=engine)
    if as_json:
        print_line(json.dumps(found.to_json()))
    else:
        for grid in audit_grids(found):
            print_rich(grid)
        print_line(summary(found))
    raise typer.Exit(found.code)


@app.command(cls=Command)
def doctor() -> None:
    """What is installed and what is not: versions, solvers and licences, devices, optional packages."""
    from nnsym.cli.doctor import findings
    from nnsym.report.grid import plain_grid

    print_rich(plain_grid(["what", "found", "how to get it"], findings(), wraps=("found", "how to get it")))


@app.command(cls=Command)
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")] = Path("build/demo"),
    wide: Wide = False,
) -> None:
    """Compare every method on a small network that ships with nnsym."""
    from nnsym.cli.demo import run_demo

    with row_progress() as announce:
        code = run_demo(output, announce, partial(print_table, wide=wide), print_line)
    raise typer.Exit(code)


def report_late(error: NnsymError, *, clock: Clock, method: str, witness: Path | None, as_json: bool) -> None:
    """``unknown (timeout)`` of a question that was not read in time, in all the forms of an answer."""
    from nnsym.report.table import result_lines
    from nnsym.results.plain import result_json
    from nnsym.results.result import Result, Verdict

    clock.note("load", str(error))
    result = Result(
        status=Verdict.UNKNOWN,
        reason="timeout",
        trust=None,
        method=method,
        seconds=dict(clock.seconds),
        trail=tuple(clock.trail),
    )
    if witness is not None:
        witness.write_text("timeout\n", encoding="utf-8")
    if as_json:
        print_line(json.dumps(result_json(result)))
    else:
        print_styled(result_lines(result))
        print_error(error)


def print_error(error: NnsymError) -> None:
    """An error as one line on stderr; control characters and line breaks of names are escaped."""
    complain("".join(c if c.isprintable() else repr(c)[1:-1] for c in str(error)))


def split(text: str) -> list[str]:
    """Comma-separated names."""
    return [part.strip() for part in text.split(",") if part.strip()]


def print_line(text: str) -> None:
    """A plain line on stdout."""
    with writing():
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def print_rich(renderable: Any) -> None:
    """A table or text on stdout."""
    from nnsym.cli.console import print_out

    with writing():
        print_out(renderable)


def print_table(table: Any, *, wide: bool = False) -> None:
    """A comparison on stdout, in the columns that fit."""
    from nnsym.cli.console import print_out
    from nnsym.report.table import comparison_table

    with writing():
        print_out(comparison_table(table, wide=wide), chosen=True)


def print_styled(lines: list[tuple[str, str]]) -> None:
    """Styled lines on stdout."""
    if bare(sys.stdout) and all(fits(text) for text, _ in lines):
        print_line("\n".join(text for text, _ in lines))
        return
    from nnsym.cli.console import styled

    print_rich(styled(lines))


def spinner(show: bool, label: str) -> Any:
    """A solver's progress on stderr."""
    if not show or bare(sys.stderr):
        return contextlib.nullcontext()
    from nnsym.cli.console import solve_progress

    return solve_progress(label)


def row_progress() -> Any:
    """A comparison's progress on stderr."""
    from nnsym.cli.console import row_progress as progress

    return progress()


def entry() -> None:
    """One command: errors become one line and an exit code, never a traceback (unless ``--debug``)."""
    debug = "--debug" in sys.argv
    try:
        with writing():
            app()
    except NnsymError as error:
        if debug:
            raise
        print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(130)
    except SystemExit as end:
        if end.code == 130:  # typer makes this of an interrupt
            complain("interrupted")
        raise
    except Exception as error:
        if debug:
            raise
        complain(f"internal error: {type(error).__name__}: {error} (--debug shows the traceback)")
        sys.exit(1)


def command() -> None:
    """The console script: :func:`entry`, then out at once, because unloading torch takes half a second for nothing."""
    gc.set_threshold(200_000)  # what is imported lives on: collecting it again and again takes 0.1 s of a start
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # torch's idle threads must not spin: docs/performance.md
    open_streams()
    code: object = None
    try:
        entry()
    except SystemExit as end:
        code = end.code
    atexit._run_exitfuncs()  # workers are stopped
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the reader may be gone
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    command()
