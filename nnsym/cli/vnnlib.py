"""``nnsym-vnnlib``: the command line that chapter 5 of the VNN-LIB 2.0 standard asks of a solver.

Standard output is one word (``sat``, ``unsat``, ``unknown`` or ``timed-out``) and, after ``sat``, an assignment of
every declared variable; logs and errors go to standard error. Exit status 0 for every printed word, 2 with empty
output for a query, model or argument that is not taken, 1 for an internal error. Nothing heavy is imported before it
is needed: callers ask many solvers what they support.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from nnsym.cli.networks import named_networks
from nnsym.cli.streams import complain, end_in_order, interrupted, leave, open_streams, refusal
from nnsym.cli.supports import CAPABILITIES, capability
from nnsym.errors import InputError, NnsymError, OutOfTimeError

#: Seconds of the budget that are left for starting up and printing: callers kill at the timeout that they hand over.
_RESERVE, _SHARE = 2.0, 0.1
_STARTED = time.perf_counter()


class _Parser(argparse.ArgumentParser):
    """Complaints are one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message, remedy=f"See: {self.prog} --help")


def main(words: Sequence[str]) -> int:
    """Run one command; the exit status."""
    arguments = _parser().parse_args(words)
    if arguments.name:
        return _say("nnsym")
    if arguments.version:
        from importlib.metadata import version

        return _say(version("nnsym"))
    match arguments.command:
        case "verify":
            return _verify(arguments)
        case "supports" | "capabilities":
            return _say("\n".join(capability(arguments.capability)))
    raise InputError("expected a command: verify or supports", remedy="See: nnsym-vnnlib --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="nnsym-vnnlib", allow_abbrev=False, description="nnsym, as VNN-LIB 2.0 asks for it.")
    parser.add_argument("--name", action="store_true", help="print the solver's name")
    parser.add_argument("--version", action="store_true", help="print its version")
    commands = parser.add_subparsers(dest="command", metavar="verify | supports")
    verify = commands.add_parser("verify", allow_abbrev=False, help="answer a query")
    verify.add_argument("query", help="the .vnnlib file")
    verify.add_argument(
        "--network", action="append", default=[], metavar="NAME=FILE", help="a declared network's model"
    )
    verify.add_argument("--timeout", type=_seconds, default=60.0, metavar="SECONDS", help="for everything")
    verify.add_argument(
        "--serialise-assignments", "--assignments", type=Path, metavar="DIR", help="write NAME.pb for every variable"
    )
    verify.add_argument("--method", help="ibp, crown ..., or an encoding (see: nnsym methods)")
    verify.add_argument("--seed", type=int, default=0, help="of sampling and solvers")
    verify.add_argument("--strict-types", action="store_true", help="refuse float types: unsat speaks of the reals")
    for name in ("supports", "capabilities"):
        supports = commands.add_parser(name, allow_abbrev=False, help="what is supported")
        flags = supports.add_mutually_exclusive_group(required=True)
        for flags_of in CAPABILITIES:
            flags.add_argument(*flags_of, dest="capability", action="store_const", const=flags_of[0])
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value


def _say(text: str) -> int:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    networks = named_networks(arguments.network)
    if arguments.timeout == 0:
        return _say("timed-out")
    answer = _Answer(arguments.timeout - (time.perf_counter() - _STARTED))
    with answer.watched():
        try:
            from nnsym.cli.vnnlib_answer import decided  # start: callers ask many solvers what they support

            text = decided(arguments, networks, answer.budget)
        except OutOfTimeError as error:
            complain(str(error))
            text = "timed-out\n"
    answer.give(text)
    return 0


class _Answer:
    """Prints one answer, and ``timed-out`` where none came in time; everything else that is printed goes to stderr."""

    def __init__(self, seconds: float) -> None:
        self.budget = max(0.05, seconds - min(_RESERVE, _SHARE * seconds))
        self._last = seconds - min(_RESERVE, _SHARE * seconds) / 3
        self._lock, self._done = threading.Lock(), threading.Event()
        self._out = os.dup(sys.stdout.fileno())

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Run the body; a thread beside it answers where native code does not let go."""
        sys.stdout.flush()
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        thread = threading.Thread(target=self._watch, daemon=True, name="time limit")
        thread.start()
        try:
            yield
        finally:
            self._done.set()

    def _watch(self) -> None:
        if not self._done.wait(self._last):
            try:
                self.give("timed-out\n")
            except OSError as error:
                leave(_status(error))
            leave(0)

    def give(self, text: str) -> None:
        """Print the answer, once."""
        if self._lock.acquire(blocking=False):
            with open(self._out, "w", encoding="utf-8") as out:
                out.write(text)


def entry(words: Sequence[str] | None = None) -> int:
    """One command; errors are one line and a status."""
    try:
        return main(sys.argv[1:] if words is None else words)
    except BaseException as error:
        return _status(error)


def _status(error: BaseException) -> int:
    """The exit status of what ended a command, which is said."""
    if code := interrupted(error):
        return code
    match error:
        case BrokenPipeError():
            return 0
        case SystemExit():  # --help
            return int(error.code or 0)
        case NnsymError():
            complain(str(error))
            return 1 if error.exit_code == 1 else 2
    refused = refusal(error)
    complain(refused or f"internal error: {type(error).__name__}: {error}")
    return 2 if refused else 1


def command() -> None:
    """The console script."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    open_streams()
    end_in_order()
    leave(entry())


if __name__ == "__main__":
    command()
