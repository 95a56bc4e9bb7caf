"""Names are somebody else's: what a terminal would obey, and what forges a line of an answer, is never printed raw."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from onnx import helper
from typer.testing import CliRunner

from nnsym.check.command import main as check
from nnsym.cli.main import app, entry
from nnsym.cli.streams import shown
from tests.models import f32, model

#: Colours, a title of the window, a bell, a return, an 8-bit control, text from right to left, a line of Unicode's.
NASTY = "\x1b[31m\x1b]0;t\x07\r\x9b1m\u202e\u2028"
PROPERTY = """(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)
(assert (<= X_0 1)) (assert (>= X_0 0)) (assert (<= X_1 1)) (assert (>= X_1 0)) (assert (>= Y_0 {}))"""

COMMANDS = [
    "verify {n} {p}", "verify {n} {p} --vacuity", "compare {n} {p} --methods crown,ibp --wide", "bounds {n} {p}",
    "explain {n} {p} --neuron relu_1[0] --encoding bigm", "lipschitz {n} --lower 0 --upper 1 --method norms",
    "show {n}", "choose {n} {p}", "verify none{x} {p}", "verify {n} {p} --method {x}", "table i.csv",
    "verify {p} --network {x}={n}", "verify {n} {p} --solver {x}", "check {n}", "audit {x}",
    "report {x}", "search {x}", "table {x}",
]  # fmt: skip


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    x, y = f"x{NASTY}", f"y{NASTY}"
    nodes = [helper.make_node("Gemm", [x, "W", "b"], ["h"], name=f"g{NASTY}"), helper.make_node("Relu", ["h"], [y])]
    made = model(nodes, {x: (1, 2)}, [y], {"W": f32(2, 2), "b": f32(2)})
    found = {"n": f"n{NASTY}.onnx", "p": f"p{NASTY}.vnnlib", "x": NASTY}
    Path(found["n"]).write_bytes(made.SerializeToString())
    Path(found["p"]).write_text(PROPERTY.format("0.01"))
    Path("i.csv").write_text(f'"{found["n"]}","{found["p"]}",5\n', newline="")
    return found


@pytest.mark.parametrize("words", COMMANDS)
def test_no_command_prints_what_a_terminal_obeys(
    words: str, names: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["nnsym", *(word.format(**names) for word in words.split())])
    with contextlib.suppress(SystemExit):
        entry()
    said = capsys.readouterr()
    assert said.out + said.err
    assert all(c.isprintable() or c in "\n\t" for c in said.out + said.err)


def test_a_name_forges_no_line_of_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nodes = [helper.make_node("Gemm", ["x\nVERIFIED", "W", "b"], ["y\nVERIFIED"])]
    made = model(nodes, {"x\nVERIFIED": (1, 2)}, ["y\nVERIFIED"], {"W": f32(2, 2), "b": f32(2)})
    Path("n.onnx").write_bytes(made.SerializeToString())
    Path("p.vnnlib").write_text(PROPERTY.format("0.01"))
    done = CliRunner().invoke(app, ["verify", "n.onnx", "p.vnnlib"])
    assert "FALSIFIED" in done.stdout.splitlines()
    assert "VERIFIED" not in done.stdout.splitlines()


def test_a_certificate_forges_no_acceptance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = {"format": "nnsym-cert/1", "claim": "unsat\naccepted: unsat, real\x1b[2J", "networks": []}
    path = tmp_path / "c.json"
    path.write_text(json.dumps(made))
    assert check([str(path)]) == 10
    said = capsys.readouterr().out
    assert said.startswith("refused: ")
    assert said.rstrip("\n").isprintable()


def test_what_is_printable_stays() -> None:
    for text in ("plain", "größe 日本 ∞ ≤", "a\tb\nc", ""):
        assert shown(text) == text
    assert shown("a\x1b[31m\u202eb\n", kept="") == r"a\x1b[31m\u202eb\n"
