"""Defaults from the working folder: taken, said, overruled by the command line, refused where they fit nothing."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

import nnsym as nn
from nnsym.cli.defaults import find_defaults
from nnsym.cli.main import app
from nnsym.errors import InputError

run = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.py").write_text(
        "import nnsym as nn\nx = nn.Variable(1)\np = nn.forall(x, where=nn.box(x, 0, 1), then=x[0] <= 2)\n"
    )
    return tmp_path


def test_without_a_file_nothing_is_said(folder: Path):
    (folder / "pyproject.toml").write_text('[project]\nname = "a"\n')
    done = run.invoke(app, ["verify", "p.py:p", "--method", "ibp"])
    assert done.exit_code == 0
    assert done.stderr == ""
    assert find_defaults().source == ""


@pytest.mark.parametrize(
    ("name", "head", "inner"),
    [("nnsym.toml", "", "[compare]"), ("pyproject.toml", "[tool.nnsym]\n", "[tool.nnsym.compare]")],
)
def test_a_file_is_taken_said_and_overruled(folder: Path, name: str, head: str, inner: str):
    (folder / name).write_text(f'{head}timeout = 7\nseed = 3\n{inner}\nmethods = "ibp"\ndecide = true\n')
    (folder / "runs").mkdir()
    words = ["compare", "p.py:p", "--json", "--record", "runs/r.jsonl"]
    done = run.invoke(app, words)
    assert done.exit_code == 0, done.output
    table = json.loads(done.stdout)
    assert (table["timeout"], table["seed"], len(table["rows"])) == (7, 3, 1)
    assert f"defaults of {name}: timeout = 7, seed = 3, methods = ibp, decide = true" in done.stderr
    other = json.loads(run.invoke(app, [*words, "--timeout", "9", "--methods", "ibp,crown"]).stdout)
    assert (other["timeout"], len(other["rows"])) == (9, 2)
    verified = run.invoke(app, ["verify", "p.py:p", "--method", "ibp"])
    assert "methods" not in verified.stderr
    assert "timeout = 7" in verified.stderr


def test_options_are_said_as_the_file_names_them(folder: Path):
    (folder / "nnsym.toml").write_text("json = true\nvnnlib-version = 2\nmethod = 'ibp'\n")
    assert "nnsym.toml: json = true, method = ibp" in run.invoke(app, ["verify", "p.py:p"]).stderr


def test_its_own_file_goes_before_the_shared_one(folder: Path):
    (folder / "pyproject.toml").write_text("[tool.nnsym]\ntimeout = 7\n")
    (folder / "nnsym.toml").write_text("seed = 1\n")
    assert find_defaults().lines() == ["seed = 1"]
    told = run.invoke(app, ["doctor"], env={"COLUMNS": "200"})
    assert "nnsym.toml; seed = 1" in told.stdout


def test_python_functions_read_no_file(folder: Path):
    (folder / "nnsym.toml").write_text("timeout = -1\n")
    x = nn.Variable(1)
    assert nn.verify(nn.forall(x, where=nn.box(x, 0, 1), then=x[0] <= 2), "ibp").verified


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timeot = 1", r"nnsym.toml: no option is called 'timeot'. Did you mean timeout\?"),
        ("[verify]\nmethods = 1", r"no option is called 'verify.methods'. Did you mean method\?"),
        ("[veryfy]\nseed = 1", r"no command is called 'veryfy'. Did you mean verify\?"),
        ("timeout = -1", r"--timeout is -1.0. Give seconds"),
        ("seed = [1]", r"nnsym.toml: 'seed' is \[1\]. Give text, a number, true or false"),
        ("seed =", "nnsym.toml: not TOML"),
    ],
)
def test_what_fits_nothing_is_refused_in_one_line(folder: Path, text: str, said: str):
    (folder / "nnsym.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        run.invoke(app, ["verify", "p.py:p"], catch_exceptions=False)
    assert run.invoke(app, ["verify", "--help"]).exit_code == 0


def test_true_is_no_number_and_what_is_no_file_is_told(folder: Path):
    (folder / "nnsym.toml").write_text("timeout = true\n")
    done = run.invoke(app, ["verify", "p.py:p"])
    assert done.exit_code == 2
    assert "Invalid value for '--timeout'" in done.stderr
    (folder / "nnsym.toml").unlink()
    (folder / "nnsym.toml").symlink_to("gone.toml")
    with pytest.raises(InputError, match=r"nnsym\.toml: no such file"):
        find_defaults()


def test_a_table_that_is_none_is_refused(folder: Path):
    (folder / "pyproject.toml").write_text("[tool]\nnnsym = 3\n")
    with pytest.raises(InputError, match=r"\[tool.nnsym\] is no table"):
        find_defaults()


def test_verdicts_and_steps_go_to_the_log(caplog: pytest.LogCaptureFixture):
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, 0, 1), then=x[0] <= 2, name="low")
    with caplog.at_level(logging.DEBUG, logger="nnsym"):
        r = nn.verify(p, "crown")
    told = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "nnsym"]
    assert told[-1][0] == "INFO"
    assert told[-1][1].startswith("low: verified by crown")
    assert [text.split(" ")[0] for level, text in told if level == "DEBUG"] == [
        step.name.split(" ")[0] for step in r.trail
    ]
    with caplog.at_level(logging.WARNING, logger="nnsym"):
        caplog.clear()
        nn.verify(p, "crown")
    assert not caplog.records


def test_verbose_says_steps_on_stderr(folder: Path):
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "nnsym", "-v", "verify", "p.py:p"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("VERIFIED")
    assert "nnsym: p: verified by" in done.stderr
