"""Standard streams that are closed, full, or read by someone who has gone; and the way out of a command."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final, NoReturn, TextIO, final

from nnsym.errors import InputError

#: Seconds after which a signal that came within an import is heard again, and how often it waits.
_LATER: Final = 0.02
_TRIES: Final = 250


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Output to a reader that has gone is dropped, so that the exit code is still the answer's; a full disk is said."""
    try:
        yield
    except BrokenPipeError:
        discard_stdout()
    except OSError as error:
        discard_stdout()
        raise InputError(f"cannot write: {error.strerror}", where="standard output") from None


def discard_stdout() -> None:
    """Whatever is still printed goes nowhere: nobody reads it."""
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())  # a stream of a test has no descriptor


def shown(text: str, *, kept: str = "\n\t") -> str:
    """A text that names of others may be part of: what a terminal would obey, or turns lines round, is escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def complain(text: str) -> None:
    """One line on stderr, if anyone can read it."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"nnsym: {shown(' '.join(text.splitlines()))}\n")


def open_streams() -> None:
    """Standard streams that were closed lead nowhere, and characters that the terminal cannot show are escaped.

    A closed descriptor would be given to the next file that is opened, and prints would go there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@final
class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: another process asks this one to end."""


def end_in_order() -> None:
    """SIGTERM and SIGHUP end a command as an interrupt does: its workers and files are seen to.

    What is ignored, as under nohup, stays ignored. A library in C that is interrupted while it is imported may crash:
    what comes then is heard when the import is over.
    """
    tries = 0

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal tries
        if tries < _TRIES and _importing(frame):
            tries += 1
            signal.signal(signal.SIGALRM, lambda _, at: end(number, at))
            signal.setitimer(signal.ITIMER_REAL, _LATER)
            return
        tries = 0
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        code = frame.f_code
        if code.co_name == "_find_and_load" and code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def interrupted(error: BaseException) -> int:
    """The exit code where an interrupt is behind an error, which is said; 0 where none is.

    Libraries that are interrupted while they are imported raise errors of their own, and the command line's an exit.
    """
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, KeyboardInterrupt):
        behind = behind.__cause__ or behind.__context__
    if behind is None:
        return 0
    number = behind.args[0] if isinstance(behind, Terminated) else signal.SIGINT
    complain("interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}")
    return 128 + int(number)


def refusal(error: BaseException) -> str:
    """What the system refuses: memory, files, libraries that cannot be loaded; empty where the error is our own."""
    match error:
        case OSError(strerror=str(said), filename=name):
            return f"the system refuses: {said}" + (f": {name!s}" if name is not None else "")
        case MemoryError():
            return "the system refuses: no memory is left"
        case RuntimeError() if "can't allocate memory" in str(error):  # what torch raises
            return "the system refuses: no memory is left"
        case ModuleNotFoundError():
            return ""
        case ImportError(path=path) if path is None or not path.endswith(".py"):
            return f"the system cannot load a library (is there memory left, are files?): {error}"
    return ""


def leave(code: int) -> NoReturn:
    """Out at once, workers stopped and streams written: unloading torch takes half a second for nothing.

    Whoever interrupts has been heard: another interrupt would end this half way, with a traceback.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the reader may be gone
            stream.flush()
    os._exit(code)


#: Where output goes to a file or a pipe, sentences stay on one line up to this width.
SENTENCES = 220

#: With one of these set, Rich writes for a terminal where there is none, or in another width.
WISHES = ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS")


def bare(stream: TextIO) -> bool:
    """True for a file or a pipe that nobody wants coloured: short lines stand there as they are, without Rich."""
    try:
        return not (stream.isatty() or any(wish in os.environ for wish in WISHES))
    except ValueError:  # closed
        return False


def fits(text: str) -> bool:
    """True for a line that Rich would write as it is to a file or a pipe."""
    return len(text) <= SENTENCES and text.isascii() and text.isprintable()
