"""The checker stays small, and imports nothing but the standard library and, in its fast engine, NumPy."""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[1] / "nnsym" / "check"
FILES = sorted(ROOM.glob("*.py"))

#: What decides once the graph and the case stand: the rule, its functions, the tree.
KERNEL = {"errors", "functions", "rule", "tree"}
#: Networks and properties from their files to the graph and the case.
READERS = {"model", "graph", "moves", "windows", "operators", "vnnlib", "problem"}
FAST = {"limbs", "lines", "fast"}
COMMAND = {"__init__", "__main__", "command", "checker", "files", "limits"}


def lines_of(path: Path) -> int:
    """Lines of code: neither blank, nor comments, nor docstrings."""
    source = path.read_text(encoding="utf-8")
    blank = {
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
    }  # fmt: skip
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in blank:
            found.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            found -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(found)


def test_every_file_is_counted() -> None:
    assert {p.stem for p in FILES} == KERNEL | READERS | FAST | COMMAND


@pytest.mark.parametrize(("part", "most"), [(KERNEL, 700), (READERS, 1197), (FAST, 639), (COMMAND, 305)])
def test_lines_are_counted(part: set[str], most: int) -> None:
    assert sum(lines_of(ROOM / f"{name}.py") for name in part) <= most


def test_files_are_short() -> None:
    assert max(len(p.read_text().splitlines()) for p in FILES) <= 400


@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_nothing_foreign_is_imported(path: Path) -> None:
    allowed = sys.stdlib_module_names | ({"numpy"} if path.stem in FAST else set())
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= allowed
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1 or (node.level == 0 and str(node.module).split(".")[0] in allowed)
        assert not (isinstance(node, ast.Name) and node.id in ("__import__", "eval", "exec", "pickle"))
