"""Graphs and programs of small networks are what they were when somebody last looked."""

from __future__ import annotations

import difflib

import pytest

from tests.golden import FOLDER, PROPERTIES, REFRESH, texts


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return texts()


def test_a_text_for_everything_and_nothing_else(made: dict[str, str]) -> None:
    assert {path.name for path in FOLDER.glob("*.txt")} == set(made), f"write them with: {REFRESH}"


@pytest.mark.parametrize("name", [make.__name__ for make in PROPERTIES])
def test_texts_are_as_kept(name: str, made: dict[str, str]) -> None:
    for file, text in made.items():
        if file.startswith(f"{name}."):
            kept = (FOLDER / file).read_text(encoding="utf-8").splitlines()
            changed = "\n".join(difflib.unified_diff(kept, text.splitlines(), f"kept {file}", "now", lineterm=""))
            assert not changed, f"if the change is meant, run {REFRESH} and look at git diff:\n{changed}"
