"""How commands end where the system refuses something, or somebody interrupts them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import Any

import pytest

from nnsym.cli import main, vnnlib
from nnsym.cli.streams import refusal
from nnsym.errors import InputError

#: What libraries and Python raise where files, memory or processes have run out, and what is said of it.
REFUSED = [
    (OSError(errno.EMFILE, "Too many open files", "/dev/null"), "Too many open files: /dev/null"),
    (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
    (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "temporarily unavailable"),
    (OSError(errno.ENOSPC, "No space left on device"), "No space left"),
    (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "temporary directory"),
    (MemoryError("Out of memory interning an attribute name"), "no memory is left"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"), "no memory is left"),
    (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "cannot load a library"),
]

#: Faults of our own: they stay internal errors.
OURS = [
    RuntimeError("no such state"),
    OSError("a text"),
    KeyError("a"),
    ImportError("cannot import name 'f' from 'nnsym.errors'", path="/nnsym/errors.py"),
]


def ended(error: Exception, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The exit codes of both commands where the work ends in an error."""

    def fails(*_: Any) -> int:
        raise error

    monkeypatch.setattr(main, "app", fails)
    monkeypatch.setattr(vnnlib, "main", fails)
    with pytest.raises(SystemExit) as end:
        main.entry()
    return [int(end.value.code or 0), vnnlib.entry([])]


@pytest.mark.parametrize(("error", "text"), REFUSED)
def test_what_the_system_refuses_is_said_in_one_line_and_is_no_internal_error(
    error: Exception, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(error, monkeypatch) == [2, 2]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(text in line and "internal" not in line and "standard output" not in line for line in lines)


@pytest.mark.parametrize("error", OURS)
def test_errors_of_our_own_are_internal_ones(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not refusal(error)
    assert ended(error, monkeypatch) == [1, 1]
    assert capsys.readouterr().err.count("internal error") == 2


def test_a_missing_module_says_its_name() -> None:
    assert not refusal(ModuleNotFoundError("No module named 'nnsym.none'", name="nnsym.none"))
    assert not refusal(InputError("wrong"))


@pytest.mark.parametrize("code", [0, 10, 130])
def test_another_interrupt_on_the_way_out_changes_nothing(code: int) -> None:
    """Whoever presses the keys twice meets the functions that run at the end."""
    program = f"""
import atexit, os, signal
from nnsym.cli.streams import leave
atexit.register(lambda: print("stopped"))
atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
leave({code})
"""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (code, "stopped\n", "")
