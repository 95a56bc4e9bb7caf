"""Packages that only a part of nnsym needs: whoever needs one says so before the work, and how to get it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import nnsym
from nnsym.cli.main import app
from nnsym.errors import UnsupportedError
from nnsym.results.extras import EXTRAS, require

ROOT = Path(nnsym.__file__).parent
IMPORT = re.compile(rf"^ +(import|from) ({'|'.join(EXTRAS.keys() - {'torch'})})\b", re.MULTILINE)
ASKS = ("require", "find_spec", "picture")


def asked(tree: ast.AST) -> list[int]:
    """The lines where a package is asked for."""
    return [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") in ASKS]


def unasked(file: ast.Module) -> Iterator[ast.stmt]:
    """Imports of extras before the function has asked; one that never does relies on another of its file."""
    for function in (node for node in ast.walk(file) if isinstance(node, ast.FunctionDef)):
        first = min(asked(function), default=0 if asked(file) else sys.maxsize)
        for node in ast.walk(function):
            names = {a.name for a in node.names} if isinstance(node, ast.Import) else {getattr(node, "module", None)}
            wanted = {(name or "").partition(".")[0] for name in names} & EXTRAS.keys() - {"torch"}
            if wanted and node.lineno < first:
                yield node


def test_nothing_imports_an_extra_that_it_has_not_asked_for() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in ROOT.rglob("*.py")
        if IMPORT.search(text := file.read_text())
        for node in unasked(ast.parse(text))
    ]
    assert found == []


def test_the_message_says_what_for_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, extra in EXTRAS.items():
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(UnsupportedError) as found:
            require(name)
        assert str(found.value) == f"{extra.package} is not installed (for {extra.use}). {extra.remedy}"


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("matplotlib", ["compare", "no.py:p", "--plot", "x.svg"]),
        ("matplotlib", ["bounds", "no.py:p", "--plot", "x.svg"]),
        ("matplotlib", ["table", "no.jsonl", "--plot", "x.svg"]),
        ("matplotlib", ["search", "no.jsonl", "--plot", "x.svg"]),
        ("pyarrow", ["table", "no.jsonl", "--parquet", "x.parquet"]),
        ("distributed", ["table", "no.jsonl", "--scheduler", "tcp://127.0.0.1:1"]),
    ],
)
def test_commands_ask_before_the_work(
    package: str, command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    assert f"{package} is not installed" in str(CliRunner().invoke(app, command).exception)


def test_without_torch_the_command_line_says_so() -> None:
    script = (
        "import sys; sys.modules['torch'] = None; from nnsym.cli.main import entry\n"
        "sys.argv = ['nnsym', *sys.argv[1:]]; entry()"
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=120)

    bounds = run("bounds", f"{Path(__file__).parents[1]}/docs/examples/digits.py:close", "--method", "alpha")
    assert (bounds.returncode, bounds.stdout) == (2, "")
    assert bounds.stderr.startswith("nnsym: torch is not installed (for bounds, attacks, modules). pip install torch")
    assert run("doctor").returncode == 0
