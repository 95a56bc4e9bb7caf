"""What docs/architecture.md says of rooms, layers and files is what the tree and its import contract say; options."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from nnsym.ir.functions.activations import activations
from nnsym_encodings import CUTS, ENCODINGS

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = PAGE.split("## Rooms")[1].split("\n## ")[0]
ROWS = re.findall(r"^\| (\d+) \| (.*?) \| (.*) \|$", ROOMS, re.M)
QUESTIONS = ("nnsym.ask.", "nnsym.sweep.")
NUMBERS = {"twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16}


def named(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_layers_are_those_of_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["type"] == "layers")
    assert [named(cell) for _, cell, _ in ROWS] == [set(re.findall(r"\w+", layer)) for layer in layers]
    assert [int(number) for number, _, _ in ROWS] == [*range(1, len(layers) + 1)]
    (word,) = re.findall(r"in (\w+) layers", ROOMS)
    assert NUMBERS[word] == len(layers)


def test_every_room_and_every_file_on_top_is_named() -> None:
    on_top = {p.stem for p in (ROOT / "nnsym").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    rooms = set[str]().union(*(named(cell) for _, cell, _ in ROWS))
    assert on_top - rooms == {"__init__", "__main__"}
    assert rooms <= on_top


def test_every_room_inside_a_room_is_named_beside_it() -> None:
    told = {room: row for _, cell, row in ROWS for room in named(cell)}
    inside = [p.parent for p in (ROOT / "nnsym").glob("*/*/__init__.py")]
    missing = [p.name for p in inside if p.name not in named(told[p.parent.name])]
    assert inside
    assert not missing


@pytest.mark.parametrize("page", ["architecture", "glossary"])
def test_every_file_that_is_named_is_there(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    for path in re.findall(r"`([\w/]+\.py)`", text):
        assert any((folder / path).is_file() for folder in (ROOT, ROOT / "nnsym")), path


def test_every_room_says_what_it_is_for() -> None:
    for file in (ROOT / "nnsym").rglob("__init__.py"):
        first = file.read_text(encoding="utf-8").partition("\n")[0].strip('"')
        assert len(first) > 25, f"{file}: '{first}' says nothing"


def test_the_index_of_decisions_counts_them() -> None:
    index = (ROOT / "docs" / "decisions" / "index.md").read_text(encoding="utf-8")
    counted = {page: int(count) for page, count in re.findall(r"\((\w+\.md)\) \|.*\| (\d+) \|$", index, re.M)}
    pages = {p.name: p.read_text(encoding="utf-8") for p in (ROOT / "docs" / "decisions").glob("*.md")}
    del pages["index.md"]
    assert counted == {name: text.count("\n## ") for name, text in pages.items()}


#: Keywords with another type or default in questions of another kind: of files, norms, tables, halving.
OTHERWISE = {"version", "p", "certificate", "timeout", "bounds", "encoding", "precision", "progress", "high"}


def test_a_keyword_of_questions_has_one_type_and_one_default() -> None:
    told: dict[str, set[str]] = {}
    listed = ast.parse((ROOT / "nnsym" / "__init__.pyi").read_text(encoding="utf-8"))
    for line in (n for n in listed.body if isinstance(n, ast.ImportFrom) and str(n.module).startswith(QUESTIONS)):
        file = (ROOT / str(line.module).replace(".", "/")).with_suffix(".py")
        wanted = {name.name for name in line.names}
        for f in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(f, ast.FunctionDef) and f.name in wanted:
                for option, default in zip(f.args.kwonlyargs, f.args.kw_defaults, strict=True):
                    said = f"{ast.unparse(option.annotation or option)} = {default and ast.unparse(default)}"
                    told.setdefault(option.arg, set()).add(said)
    assert {"timeout", "seed", "memory", "device"} <= told.keys()
    assert {option for option, said in told.items() if len(said) > 1} == OTHERWISE


def test_everything_that_ships_stands_in_the_table_of_proofs() -> None:
    page = (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")
    table = page.split("## What ships, and what of it is proved")[1].split("\n## ")[0]
    told = {kind: set[str]() for kind in ("encodings", "cuts", "activations", "lines")}
    for row in re.findall(r"^\| (\w+?)s? ((?:of )?`.*?) \|", table, re.M):
        told[f"{row[0]}s"] |= named(row[1])
    assert told["encodings"] == {e.name for e in ENCODINGS}
    assert told["cuts"] == {c.text for c in CUTS}
    assert told["activations"] == set(activations()[0])
    assert told["lines"] >= {"product", "max", "difference"}
