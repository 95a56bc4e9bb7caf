"""Options out of their range, on the command line and in Python; output that nobody reads or a full disk refuses."""

from __future__ import annotations

import itertools
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nnsym as nn
from nnsym.cli.main import entry
from nnsym.errors import InputError
from tests.stored import stored_mlp

pytestmark = pytest.mark.slow

_SPEC = (
    "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(assert (>= X_0 0))(assert (<= X_0 1))"
    "(assert (>= X_1 0))(assert (<= X_1 1))(assert (>= Y_0 3))"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("options")
    (home / "n.onnx").write_bytes(stored_mlp([([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0])], "n").model or b"")
    (home / "p.vnnlib").write_text(_SPEC)
    return home


_REALS = ("nan", "inf", "-inf", "0", "-1", "1e400", "-1e400")
_WHOLE = ("-1", "99999999999999999999", "-99999999999999999999")
_CASES = [
    *(("verify", option, v) for option, v in itertools.product(("--timeout", "--memory"), _REALS)),
    *(("compare", option, v) for option, v in itertools.product(("--timeout", "--memory"), _REALS)),
    *((command, "--seed", v) for command, v in itertools.product(("verify", "compare"), _WHOLE)),
    *(("compare", "--repeat", v) for v in ("0", *_WHOLE)),
    *(("verify", "--slack", v) for v in ("nan", "inf", "-1", "1e400", "1e999999999", "1/0", "x", "٣")),
    *(("bounds", "--device", v) for v in ("gpu", "", "cuda:x", "cuda:99999")),
    ("bounds", "--dtype", "float16"),
]


@pytest.mark.parametrize(("command", "option", "value"), _CASES)
def test_the_command_line_names_the_option_and_its_range(
    command: str,
    option: str,
    value: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["nnsym", command, "n.onnx", "p.vnnlib", f"{option}={value}"])
    with pytest.raises(SystemExit) as ended:
        entry()
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert len(said.splitlines()) == 1
    assert option.strip("-") in said


@pytest.mark.parametrize("timeout", [math.nan, math.inf, 0, -1, 1e7, "5", None, 10**400, True])
def test_python_refuses_the_same_budgets(timeout: object) -> None:
    x = nn.Variable(1, name="x")
    where, term = nn.box(x, 0, 1), nn.relu(x)[0]
    p = nn.forall(x, where=where, then=term <= 2)
    for ask in (
        lambda: nn.verify(p, timeout=timeout),
        lambda: nn.compare(p, ["ibp"], timeout=timeout),
        lambda: nn.minimize(term, where=where, timeout=timeout),
        lambda: nn.reach(term, where=where, timeout=timeout),
        lambda: nn.largest(lambda _: p, low=0, high=1, timeout=timeout),
        lambda: nn.vacuous(p, timeout=timeout),
    ):
        with pytest.raises(InputError, match=r"timeout is .* more than 0, at most 1e6"):
            ask()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("memory", v) for v in (0, -1, math.nan, math.inf, 2.5, 2**60, None)),
        *(("threads", v) for v in (0, -3, 1.5, 2**40)),
        *(("seed", v) for v in (-1, 2**40, 0.5, "1")),
        *(("slack", v) for v in (math.nan, math.inf, -1, "1e400", 10**400)),
        *(("device", v) for v in ("gpu", 3)),
    ],
)
def test_python_names_the_argument(name: str, value: object) -> None:
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, 0, 1), then=nn.relu(x)[0] <= 2)
    with pytest.raises(InputError, match=name):
        nn.verify(p, **{name: value})


_READERS = {">&-": 0, "> /dev/full": 2, "| head -0": 0, "2>&-": 0, ">&- 2>&- <&-": 0}


@pytest.mark.parametrize("reader", _READERS)
def test_output_that_goes_nowhere(reader: str, folder: Path) -> None:
    """The exit code is the answer's where nobody reads it, 2 where the disk is full; never a traceback."""
    bash = shutil.which("bash")  # for its pipefail
    if bash is None or not Path("/dev/full").exists():
        pytest.skip("no bash, or no /dev/full")
    command = f"{sys.executable} -m nnsym.cli.main verify n.onnx p.vnnlib --method ibp {reader}"
    done = subprocess.run(
        [bash, "-c", f"set -o pipefail; {command}"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == _READERS[reader], done.stderr
    assert "Traceback" not in done.stderr
    assert ("No space left" in done.stderr) is (reader == "> /dev/full")


def test_a_terminal_that_knows_few_characters(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nnsym.cli.main", "compare", "n.onnx", "p.vnnlib", "--methods", "ibp"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin", "PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert r"margin \u2265" in done.stdout
