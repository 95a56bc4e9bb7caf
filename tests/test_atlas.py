"""The atlas of encodings, small: two methods that decide and two that bound, on the first questions."""

from __future__ import annotations

import csv
import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnsym.bounds.methods import SOURCES
from nnsym.encode.registry import cuts, encodings

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "encodings" / "atlas"


@pytest.fixture(scope="module")
def atlas() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "atlas.py"), run_name="atlas")


@pytest.mark.slow
def test_a_small_atlas_is_asked_once_and_fills_its_page(atlas: dict[str, Any], tmp_path: Path) -> None:
    record = tmp_path / "atlas.jsonl"
    words = ["--first", "3", "--methods", "ibp,crown,bigm,bab", "--seconds", "20"]
    words += ["--record", str(record), "--output", str(tmp_path)]
    assert atlas["main"](words) == 0
    before, page = record.read_bytes(), (tmp_path / "atlas.md").read_text()
    assert atlas["main"](words) == 0
    assert (record.read_bytes(), (tmp_path / "atlas.md").read_text()) == (before, page)
    assert "3 questions about 1 networks, 4 methods, 20 seconds" in page
    assert "No two of them contradict each other" in page
    assert "| `bigm+highs on crown` | 3 of 3 |" in page
    assert page.count("<!-- end -->") == 4
    with (tmp_path / "atlas" / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    ways = {row["kind"]: row["way"] for row in rows if row["method"].startswith("bigm")}
    assert ways["loose"] == "verified"
    assert ways["false"] == "falsified"
    assert all(int(row["binary"]) >= 0 for row in rows if row["method"].startswith("bigm"))
    assert (tmp_path / "atlas.svg").stat().st_size > 1000


def test_profiles_are_shares_of_questions_within_a_factor_of_the_fastest(atlas: dict[str, Any]) -> None:
    from nnsym.sweep.entry import Entry, Way

    def row(index: int, method: str, seconds: float, way: Way = Way.VERIFIED) -> Any:
        entry = Entry(family="atlas", index=index, eps=None, method=method, way=way, seconds=seconds)
        return atlas["Row"]("dense-8x2", "loose", entry, None)

    rows = [row(0, "a", 1.0), row(0, "b", 2.0), row(1, "a", 8.0), row(1, "b", 2.0), row(2, "a", 1.0, Way.UNKNOWN)]
    found = atlas["profile"](rows, ["a", "b", "c"])
    assert found["a"] == ([1.0, 4.0], [1 / 3, 2 / 3])
    assert found["b"] == ([1.0, 2.0], [1 / 3, 2 / 3])
    assert found["c"] == ([], [])
    assert atlas["contradictions"](rows) == []
    assert atlas["contradictions"]([*rows, row(1, "c", 1.0, Way.FALSIFIED)]) == [1]


def test_what_ships_is_what_the_questions_are_about(atlas: dict[str, Any]) -> None:
    with np.load(FOLDER / "questions.npz") as file:
        questions = {name: file[name] for name in file.files}
    assert set(questions["net"]) == {path.stem for path in FOLDER.glob("*.onnx")}
    assert {"dense", "conv", "residual", "maxpool", "clip"} == {net.partition("-")[0] for net in questions["net"]}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000
    for k in range(0, len(questions["net"]), 3):
        net = str(questions["net"][k])
        assert atlas["network"](net).evaluate(questions["image"][k][None]).argmax() == questions["label"][k]
        assert questions["eps"][k] < questions["eps"][k + 1] < questions["eps"][k + 2]
    with (FOLDER / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["net"] for row in rows} == set(questions["net"])
    assert {row["way"] for row in rows} == {"verified", "falsified", "unknown"}


def test_no_relaxation_is_above_the_margin_or_decides_otherwise() -> None:
    ways: dict[str, set[str]] = {}
    for name in ("rows.csv", "relaxations.csv"):
        with (FOLDER / name).open() as file:
            for row in csv.DictReader(file):
                assert not row["exact"] or float(row["lower"]) <= float(row["exact"]) + 1e-4, row
                ways.setdefault(row["question"], set()).add(row["way"])
    assert len(ways) == 84
    assert not any({"verified", "falsified"} <= some for some in ways.values())


@pytest.mark.slow
def test_other_relaxations_have_a_table_of_their_own(atlas: dict[str, Any], tmp_path: Path) -> None:
    words = ["--relaxations", "--first", "2", "--methods", "fastlin,triangle+tj"]
    assert atlas["main"]([*words, "--record", str(tmp_path / "r.jsonl"), "--output", str(tmp_path)]) == 0
    page = (tmp_path / "atlas.md").read_text()
    assert re.search(r"\| `fastlin` \| 1 of 2 \|  \| 0\.\d{3} \|", page)
    assert "84 questions about 14 networks" in page


def test_what_is_not_asked_is_named() -> None:
    page = (ROOT / "docs" / "encodings" / "atlas.md").read_text(encoding="utf-8")
    said = set(re.findall(r"\+?[\w-]+", " ".join(re.findall(r"`([^`\n]+)`", page))))
    assert {*SOURCES, *encodings(), *(f"+{name}" for name in cuts())} <= said
