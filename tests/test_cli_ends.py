"""How commands end where the system refuses something, or somebody interrupts them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import nnsym as nn
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


def program(text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A program of its own, with what this process imports."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)} | variables
    env.pop("ORT_DISABLE_TELEMETRY", None)
    return subprocess.run([sys.executable, "-c", text], env=env, capture_output=True, text=True, timeout=120)


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
    text = f"""
import atexit, os, signal
from nnsym.cli.streams import leave
atexit.register(lambda: print("stopped"))
atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
leave({code})
"""
    done = program(text)
    assert (done.returncode, done.stdout, done.stderr) == (code, "stopped\n", "")


def test_an_interrupt_that_a_library_hides_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A module in C that is interrupted while it is imported raises ImportError, of which a reader makes its own."""
    hidden = ImportError("initialization failed")
    hidden.__cause__ = KeyboardInterrupt()
    error = InputError("cannot be read")
    error.__context__ = hidden
    assert ended(error, monkeypatch) == [130, 130]
    assert capsys.readouterr().err == "nnsym: interrupted\n" * 2


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("command", ["main.app", "vnnlib.main"])
def test_who_is_asked_to_end_ends_in_order(command: str, name: str) -> None:
    done = program(f"""
import os, signal
from nnsym.cli import main, vnnlib
def work(*_):
    try:
        os.kill(os.getpid(), signal.{name})
        signal.pause()
    finally:
        print("seen to")
{command} = work
{command.partition(".")[0]}.command()
""")
    code = 128 + getattr(signal, name)
    assert (done.returncode, done.stdout, done.stderr) == (code, "seen to\n", f"nnsym: ended by {name}\n")


def test_an_answer_that_nobody_reads_when_time_is_over_says_nothing() -> None:
    done = program("""
import os, signal
from nnsym.cli.vnnlib import _Answer
read, write = os.pipe()
os.dup2(write, 1)
os.close(read)
with _Answer(0.01).watched():
    signal.pause()
""")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_runtime_of_models_writes_nothing(tmp_path: Path) -> None:
    """ONNX Runtime 1.32 keeps a journal of its runs below the home folder, for its maker, unless it is asked not to."""
    folders = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(tmp_path))
    done = program("import nnsym, nnsym.demo; nnsym.load(nnsym.demo.NETWORK)", **folders)
    assert (done.returncode, done.stderr, list(tmp_path.rglob("*"))) == (0, "", [])


#: A finder that interrupts this process while a module is imported, and says that the import went on.
INTERRUPTS = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.{signal})
            for _ in range(1000): pass  # signals are heard between instructions
            sys.stdout.write("went on\\n")
            sys.stdout.flush()
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(("script", "name"), [("nnsym", "typer"), ("vnnlib", "nnsym.errors")])
def test_an_interrupt_while_a_command_starts_is_one_line(script: str, name: str) -> None:
    ends = INTERRUPTS.format(name=name, signal="SIGINT")
    done = program(f"{ends}\nfrom nnsym.cli.start import {script}\n{script}()")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "nnsym: interrupted\n")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_within_an_import_is_heard_behind_it(name: str) -> None:
    """Libraries in C crash where they are interrupted: protobuf's did."""
    ends = INTERRUPTS.format(name="colorsys", signal=name)
    done = program(f"""{ends}
from nnsym.cli import main
def work():
    import colorsys
    sys.stdout.write("over\\n")
    sys.stdout.flush()
    signal.pause()
main.app = work
main.command()
""")
    number = getattr(signal, name)
    said = "interrupted" if name == "SIGINT" else f"ended by {name}"
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "went on\nover\n", f"nnsym: {said}\n")


def test_the_checker_is_interrupted_in_one_line() -> None:
    ends = INTERRUPTS.format(name="nnsym.check.checker", signal="SIGINT")
    done = program(
        f"{ends}\nimport runpy\nsys.argv = ['check', 'none']\nrunpy.run_module('nnsym.check', run_name='__main__')"
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize(
    ("way", "code", "said"),
    [
        ("os.dup2(os.open('/dev/full', os.O_WRONLY), 1)", 2, "cannot write: No space left on device\n"),
        ("read, write = os.pipe(); os.dup2(write, 1); os.close(read)", 10, ""),
        ("os.close(1)", 10, ""),
    ],
    ids=["full", "unread", "closed"],
)
def test_the_checkers_answer_is_its_exit_code_whoever_reads(way: str, code: int, said: str) -> None:
    done = program(f"import os, sys\n{way}\nos.execv(sys.executable, [sys.executable, '-m', 'nnsym.check', '/none'])")
    assert (done.stderr, done.returncode) == (said, code)


def test_the_checker_speaks_in_the_letters_that_the_terminal_has() -> None:
    check = "from nnsym.check.command import _said; raise SystemExit(_said('accepted: n\u00e9t', 0))"
    done = program(check, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, "accepted: n\\xe9t\n", "")


#: Commands that take a while, what they say, and an option for a file that they write at the end.
ANSWERS = [
    (["verify", "p.txt", "--method", "ibp"], "VERIFIED", ["--save", "--witness", "--certificate"]),
    (["compare", "p.txt", "--methods", "ibp", "--record", "runs.jsonl"], "verified", ["--csv", "--json-file"]),
]


@pytest.mark.parametrize(("words", "said", "option"), [(w, s, o) for w, s, options in ANSWERS for o in options])
def test_an_answer_is_said_before_a_full_disk_refuses_its_file(
    words: list[str], said: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    x = nn.Variable(1, name="x")
    nn.save(nn.forall(x, where=nn.box(x, 0, 1), then=x[0] <= 2, name="p"), "p.txt")
    done = CliRunner().invoke(main.app, [*words, option, "/dev/full"])
    assert said in done.stdout
    assert isinstance(done.exception, InputError)
    assert "/dev/full: cannot write: No space left" in str(done.exception)
