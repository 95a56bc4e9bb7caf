"""What ``nnsym-vnnlib verify`` answers: the word, and an assignment where it is ``sat``."""

from __future__ import annotations

import argparse

from nnsym.ask.answer_file import serialise, witness_text
from nnsym.ask.verify import verify
from nnsym.cli.streams import complain
from nnsym.errors import InputError, NnsymError, OutOfTimeError
from nnsym.ir.query import Query
from nnsym.judge.registry import resolve
from nnsym.read.vnnlib.load import load_vnnlib
from nnsym.results import ranges
from nnsym.results.clock import Clock
from nnsym.results.result import Result
from nnsym.results.saved import check_folder


def decided(arguments: argparse.Namespace, networks: dict[str, str], budget: float) -> str:
    """The word, and what follows it."""
    seed, method = ranges.seed(arguments.seed, "--seed"), resolve(arguments.method)  # wrong use, not a query left open
    if arguments.serialise_assignments is not None:
        check_folder(arguments.serialise_assignments)
    clock = Clock(budget)
    with clock.step("load"):
        query = load_vnnlib(arguments.query, networks=dict(networks), timeout=clock.left)
    _types(query, strict=arguments.strict_types)
    try:
        result = verify(query, method, timeout=budget, seed=seed, clock=clock)
    except OutOfTimeError:
        raise
    except NnsymError as error:  # the query is well-formed: whatever does not take it leaves it open
        complain(str(error))
        return "unknown\n"
    text = witness_text(query, result, version="2.0")
    word = text.split("\n", 1)[0]
    _explain(word, query, result)
    if word != "sat" or arguments.serialise_assignments is None:
        return text
    serialise(query, result, arguments.serialise_assignments)
    return "sat\n"


def _types(query: Query, *, strict: bool) -> None:
    floats = sorted({d.type for d in query.declared if d.type != "real"})
    if floats and strict:
        raise InputError(
            f"the variables are {', '.join(floats)}: unsat is proved about real arithmetic",
            where=query.name,
            remedy="Declare them real, or leave --strict-types out",
        )


def _explain(word: str, query: Query, result: Result) -> None:
    if word == "unknown":
        complain(f"unknown: {result.reason}")
    elif word == "unsat" and any(d.type != "real" for d in query.declared):
        known = f" ({result.deployed.value} for every run in the models' own type)" if result.deployed else ""
        complain(f"unsat is proved about the real function of the stored numbers{known}")
