"""``nnsym verify``: one property, one method."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Optional

import typer

from nnsym.ask import verify as asking
from nnsym.ask.vacuity import Vacuity, vacuous
from nnsym.cli.arguments import BEGAN
from nnsym.cli.options import (
    EXIT,
    Json,
    Meaning,
    Memory,
    Networks,
    Seed,
    Sets,
    Targets,
    Timeout,
)
from nnsym.cli.output import (
    check_files,
    print_error,
    print_line,
    print_styled,
    spinner,
)
from nnsym.cli.reading import read_target
from nnsym.errors import NnsymError, OutOfTimeError
from nnsym.ir.query import Query
from nnsym.judge.registry import recorded, resolve
from nnsym.lang.question import query_of
from nnsym.report.table import result_lines
from nnsym.results.clock import Clock
from nnsym.results.plain import result_json
from nnsym.results.result import Result, Verdict
from nnsym.results.saved import write_file


def verify(
    context: typer.Context,
    targets: Targets,
    sets: Sets = None,
    method: Annotated[Optional[str], typer.Option(help="crown ..., attack, bab, sampling, or an encoding.")] = None,  # noqa: UP045
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
    clock = Clock(timeout, began=context.meta[BEGAN])
    check_files(witness, save, certificate)
    chosen = resolve(method, encoding=encoding, solver=solver, bounds=bounds, optimise=optimise)
    if log is not None or resume is not None:
        chosen = recorded(chosen, resume or log or Path(), goes_on=resume is not None)
    late = partial(_report_late, clock=clock, method=chosen.name, witness=witness, as_json=as_json)
    try:
        with clock.step("load"):
            stated = read_target(targets, sets, network, seconds=clock.left, memory=int(memory), late=late)
            stated = stated if slack == "0" else stated.relaxed(slack)
            query = query_of(stated)
    except OutOfTimeError as error:
        late(error)
        raise typer.Exit(EXIT["unknown"]) from None
    with spinner(not as_json, f"{query.name}: {chosen.name}") as progress:
        result = asking.verify(
            query,
            chosen,
            timeout=timeout,
            memory=int(memory),
            semantics=semantics,
            seed=seed,
            progress=progress,
            watch=None if progress is None else progress.watch,
            clock=clock,
            certificate=certificate is not None,
        )
    checked = vacuous(query, memory=int(memory), seed=seed, clock=clock) if vacuity else None
    _show(result, checked, as_json=as_json)  # before files, which a full disk may refuse
    _write(result, stated, query, witness, save, certificate)
    raise typer.Exit(EXIT[result.status.value])


def _write(
    result: Result, stated: object, query: Query, witness: Path | None, save: Path | None, certificate: Path | None
) -> None:
    """The files that were asked for; a result keeps its property where one was stated in Python or text."""
    if certificate is not None and result.certificate is not None:
        result.certificate.save(certificate)
    if witness is not None:
        from nnsym.ask.answer_file import write_witness  # start: few ask for a file

        write_witness(query, result, witness)
    if save is not None:
        from nnsym.lang.property import Property  # start: VNN-LIB files need no language

        result.save(save, stated if isinstance(stated, Property) else None)


def _show(result: Result, checked: Vacuity | None, *, as_json: bool) -> None:
    """The verdict on stdout, and what is known of its precondition."""
    if as_json:
        print_line(json.dumps(result_json(result) | ({"vacuity": checked.to_json()} if checked is not None else {})))
        return
    print_styled(result_lines(result))
    if checked is not None:
        print_styled([(f"  vacuity  {repr(checked)[1:-1]}", "bold" if checked.warnings else "")])


def _report_late(error: NnsymError, *, clock: Clock, method: str, witness: Path | None, as_json: bool) -> None:
    """``unknown (timeout)`` of a question that was not read in time, in all the forms of an answer."""
    clock.note("load", str(error))
    result = Result(
        status=Verdict.UNKNOWN,
        reason="timeout",
        trust=None,
        method=method,
        seconds=dict(clock.seconds),
        trail=tuple(clock.trail),
    )
    if as_json:
        print_line(json.dumps(result_json(result)))
    else:
        print_styled(result_lines(result))
        print_error(error)
    if witness is not None:
        write_file(witness, "timeout\n")
