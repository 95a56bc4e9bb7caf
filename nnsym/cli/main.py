"""``nnsym``: verify, compare, table, export, explain, bounds, lipschitz, show, check, audit, and what there is.

Exit codes: 0 verified (or done), 10 falsified, 30 unknown, 2 usage or input error, 1 internal error,
40 exact methods disagree. A command is imported when it runs (:mod:`nnsym.cli.commands`).
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated

import typer

from nnsym.cli.arguments import Commands
from nnsym.cli.output import print_error, print_line
from nnsym.cli.streams import complain, end_in_order, interrupted, leave, open_streams, refusal, shown
from nnsym.errors import NnsymError, UnsupportedError
from nnsym.results.extras import absent

app = typer.Typer(
    name="nnsym",
    cls=Commands,
    help="State a property of neural networks once; compile it to every proof technique; trust the verdict.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_versions(asked: bool) -> None:
    if asked:
        from nnsym.results.versions import all_versions  # start: few ask, and reading metadata takes its time

        for package, version in all_versions().items():
            print_line(f"{package} {version}")
        raise typer.Exit


def _log(asked: bool) -> None:
    if asked:
        import logging

        class Shown(logging.Formatter):
            def format(self, record: logging.LogRecord) -> str:
                return shown(super().format(record))

        handler = logging.StreamHandler()  # to stderr
        handler.setFormatter(Shown("%(name)s: %(message)s"))
        logging.basicConfig(handlers=[handler], level=logging.WARNING)
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


def entry() -> None:
    """One command: errors become one line and an exit code, never a traceback (unless ``--debug``)."""
    debug = "--debug" in sys.argv
    try:
        app()
    except BaseException as error:
        if code := interrupted(error):
            sys.exit(code)
        if debug or isinstance(error, SystemExit):
            raise
        if isinstance(error, NnsymError):
            print_error(error)
            sys.exit(error.exit_code)
        package = (getattr(error, "name", "") or "nnsym").partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and package != "nnsym":
            print_error(absent(package))
            sys.exit(UnsupportedError.exit_code)
        refused = refusal(error)
        complain(refused or f"internal error: {type(error).__name__}: {error} (--debug shows the traceback)")
        sys.exit(2 if refused else 1)


def command() -> None:
    """The console script: :func:`entry`, then out at once."""
    gc.set_threshold(200_000)  # what is imported lives on: collecting it again and again takes 0.1 s of a start
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # torch's idle threads must not spin: docs/performance.md
    open_streams()
    end_in_order()
    code: object = None
    try:
        entry()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:  # another one, while the first was answered
        code = 130
    leave(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    command()
