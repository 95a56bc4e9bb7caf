"""Where the console scripts begin: from here on an interrupt ends them in one line, also while the rest is imported."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from typing import NoReturn


def nnsym() -> None:
    """``nnsym``, and ``python -m nnsym``."""
    _run("nnsym.cli.main")


def vnnlib() -> None:
    """``nnsym-vnnlib``."""
    _run("nnsym.cli.vnnlib")


def _run(module: str) -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    import_module(module).command()


def _leave(number: int, _: object) -> NoReturn:
    """Out at once: nothing has begun. A command hears by :func:`nnsym.cli.streams.end_in_order` as soon as it runs."""
    os.write(2, b"nnsym: interrupted\n")
    os._exit(128 + number)
