"""Which file imports which, and where: held by the syntax trees of all files."""

from __future__ import annotations

from pathlib import Path

import pytest
from imports_of import House, modules_of

ROOT = Path(__file__).resolve().parents[1]
#: What starts before anybody knows whether more is needed; the last is what an easy run of ``nnsym verify`` loads.
STARTS = ("nnsym", "nnsym.cli.main", "nnsym.cli.vnnlib", "nnsym.cli.verify")
#: Arrays of symbolic numbers are made of numbers and their powers, and a number alone is rounded as an array of it.
KNOWN = frozenset(f"nnsym.testing.prove.{name}" for name in ("number", "powers", "arrays"))


@pytest.fixture(scope="module")
def house() -> House:
    return House(modules_of(ROOT / "nnsym", ROOT / "encodings" / "nnsym_encodings"))


def test_imports_inside_functions_have_a_reason_that_is_true(house: House) -> None:
    found = house.unfounded(*STARTS)
    remedy = "Import at the top, or write '# heavy: LIBRARY', '# circle: why' or '# start: why' on the line"
    assert not found, "\n".join([*found, remedy])


def test_no_files_import_each_other(house: House) -> None:
    assert house.circles("top") == set()
    assert house.circles("top", "function") == {KNOWN}


def test_few_files_know_each_other_even_by_annotations(house: House) -> None:
    """A value whose methods show, write or judge it names what does so, which names its class: no more than now."""
    known = house.circles("top", "function", "types")
    assert len(known) <= 7
    assert max(map(len, known)) <= 6


def made(folder: Path, **files: str) -> House:
    package = folder / "p"
    package.mkdir()
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    return House(modules_of(package))


@pytest.mark.parametrize(
    ("line", "unfounded"),
    [
        ("from p.heavy import f  # heavy: torch", 0),
        ("from p.heavy import f  # heavy: scipy", 1),
        ("from p.heavy import f", 1),
        ("from p import heavy  # circle: it is not", 1),
        ("from .back import f  # circle: it imports this", 0),
        ("from p.back import f  # heavy: torch", 1),
        ("import p.light  # start: it is not needed before", 0),
        ("import p.top  # start: it is loaded anyway", 1),
        ("import torch", 0),
    ],
)
def test_reasons_are_checked(tmp_path: Path, line: str, unfounded: int) -> None:
    house = made(
        tmp_path,
        __init__="",
        top="",
        light="",
        heavy="import torch",
        back="import p.a",
        a=f"import p.top\n\ndef f():\n    {line}\n",
    )
    assert len(house.unfounded("p.a")) == unfounded


def test_circles_are_found_whatever_way_they_are_closed(tmp_path: Path) -> None:
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.c import C\n"
    house = made(tmp_path, __init__="", a="import p.b", b="def f():\n    from p import a", c="from . import d", d=types)
    assert house.circles("top") == set()
    assert house.circles("top", "function") == {frozenset({"p.a", "p.b"})}
    assert house.circles("top", "types") == {frozenset({"p.c", "p.d"})}
