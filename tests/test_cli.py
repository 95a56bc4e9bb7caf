"""The command line as a user meets it: exit codes, one JSON object, messages that name the culprit."""

from __future__ import annotations

import gzip
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnsym.cli.main import entry
from nnsym.lang.writing.dump import HEAD

PROPERTY = """
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
(assert (>= X_0 -1))
(assert (<= X_0 1))
(assert (>= X_1 0.1))
(assert (<= X_1 1))
(assert (<= Y_0 {threshold}))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with net.onnx (y0 = relu(x0 + x1) + relu(x0 - x1), min 0.0 inside; y1 = x1) and properties."""
    weights = [np.array([[1, 1], [1, -1]], np.float32), np.array([[1, 1], [0, 1]], np.float32)]
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "W0"], ["h"], transB=1),
            helper.make_node("Relu", ["h"], ["a"]),
            helper.make_node("Gemm", ["a", "W1"], ["y"], transB=1),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(w, f"W{k}") for k, w in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "holds.vnnlib").write_text(PROPERTY.format(threshold="-0.5"))
    (tmp_path / "fails.vnnlib").write_text(PROPERTY.format(threshold="0.25"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["nnsym", *arguments])
    with pytest.raises(SystemExit) as exit_:
        entry()
    return int(exit_.value.code or 0)


KEYS = {*["status", "reason", "trust", "vacuous", "lower", "upper", "counterexample", "method", "encoding"]} | {
    *["solver", "bounds", "seconds", "sizes", "trail", "versions"]
}


@pytest.mark.parametrize(
    "options",
    [
        ["--encoding", "bigm", "--solver", "highs", "--bounds", "crown"],
        ["--encoding", "bigm", "--solver", "highs", "--bounds", "ibp"],
        ["--encoding", "smt"],
        ["--method", "bigm", "--optimise"],
        [],
    ],
)
@pytest.mark.parametrize(("spec", "code", "status"), [("holds", 0, "verified"), ("fails", 10, "falsified")])
def test_verify_json(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    options: list[str], spec: str, code: int, status: str,
) -> None:  # fmt: skip
    assert call(monkeypatch, "verify", "net.onnx", f"{spec}.vnnlib", "--timeout", "60", "--json", *options) == code
    out = capsys.readouterr().out
    data = json.loads(out)
    assert out.count("\n") == 1
    assert set(data) >= KEYS
    assert data["status"] == status
    if status == "falsified":
        found = data["counterexample"]
        assert found["inputs"]["x"]["dtype"] == "float32"
        assert found["inputs"]["x"]["shape"] == [1, 2]
        assert found["outputs"]["y"]["data"][0] <= 0.25
        assert found["replayed_by"] == "onnxruntime"
        assert found["margin"] <= 0
        # float32(0.1) lies above 0.1 and float32 below it is outside the exact box
        assert found["inputs"]["x"]["data"][1] >= 0.1
    else:
        assert data["counterexample"] is None
        assert 0 <= data["lower"] <= 0.5 + 1e-6


def test_verify_unknown_exits_30(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "close.vnnlib").write_text(PROPERTY.format(threshold="-0.0001"))
    assert call(monkeypatch, "verify", "net.onnx", "close.vnnlib", "--method", "crown") in (0, 30)
    (folder / "sat.vnnlib").write_text(PROPERTY.format(threshold="0.3"))
    capsys.readouterr()
    assert call(monkeypatch, "verify", "net.onnx", "sat.vnnlib", "--method", "ibp") == 30
    assert "UNKNOWN" in capsys.readouterr().out


def test_empty_region_is_verified_vacuous_and_loud(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty.vnnlib").write_text(PROPERTY.format(threshold="0") + "(assert (<= X_1 0.05))")
    for options in (["--encoding", "bigm"], ["--method", "ibp"], ["--encoding", "smt"], []):
        assert call(monkeypatch, "verify", "net.onnx", "empty.vnnlib", *options) == 0
        assert "VACUOUS" in capsys.readouterr().out
    assert call(monkeypatch, "verify", "net.onnx", "empty.vnnlib", "--json") == 0
    assert json.loads(capsys.readouterr().out)["vacuous"] is True


BAD = [
    (["verify", "missing.onnx", "holds.vnnlib"], ["missing.onnx", "no such file"]),
    (["verify", "net.onnx", "missing.vnnlib"], ["missing.vnnlib", "no such file"]),
    (["check", "missing.json"], ["missing.json", "no such file"]),
    (["show", "props.py:p"], ["is a property", "NET.onnx"]),
    (["verify", "empty.onnx", "holds.vnnlib"], ["empty.onnx", "empty"]),
    (["verify", "garbage.onnx", "holds.vnnlib"], ["garbage.onnx"]),
    (["verify", "cut.onnx", "holds.vnnlib"], ["cut.onnx"]),
    (["verify", "cut.onnx.gz", "holds.vnnlib"], ["cut.onnx.gz"]),
    (["verify", "pickle.onnx", "holds.vnnlib"], ["pickle"]),
    (["verify", "nan.onnx", "holds.vnnlib"], ["W0", "NaN"]),
    (["verify", "alien.onnx", "holds.vnnlib"], ["Hannah"]),
    (["verify", "net.onnx", "garbage.vnnlib"], ["garbage.vnnlib", "line 1", "hello"]),
    (["verify", "net.onnx", "cut.vnnlib"], ["cut.vnnlib", "line"]),
    (["verify", "net.onnx", "wide.vnnlib"], ["wide.vnnlib", "3 variables Y", "2 outputs"]),
    (["verify", "net.onnx", "open.vnnlib", "--encoding", "bigm"], ["'x'", "element 1"]),
    (["verify", "net.onnx", "open.vnnlib", "--method", "crown"], ["'x'", "element 1"]),
    (["verify", "net.onnx", "holds.vnnlib", "--encoding", "nope"], ["nope", "bigm", "triangle", "smt"]),
    (["verify", "net.onnx", "holds.vnnlib", "--method", "nope"], ["nope", "ibp", "crown", "bigm"]),
    (["verify", "net.onnx", "holds.vnnlib", "--solver", "nope"], ["nope", "highs", "z3"]),
    (["verify", "net.onnx", "holds.vnnlib", "--bounds", "nope"], ["nope", "ibp", "crown"]),
    (["verify", "net.onnx", "holds.vnnlib", "--encoding", "smt", "--solver", "highs"], ["smt", "highs", "z3"]),
    (["verify", "net.onnx", "holds.vnnlib", "--timeout", "0"], ["timeout"]),
    (["verify", "net.onnx"], ["not a property", "PROP.vnnlib"]),
    (["verify", "holds.vnnlib"], ["needs its network"]),
    (["verify", "nothing.py:p"], ["nothing.py"]),
    (["compare", "net.onnx", "holds.vnnlib", "--methods", "ibp,nope"], ["nope"]),
    (
        ["compare", "net.onnx", "holds.vnnlib", "--methods", "ibp", "--json-file", "no/where.json"],
        ["no", "does not exist"],
    ),
    (["export", "net.onnx", "holds.vnnlib", "-o", "no/where.lp"], ["no", "does not exist"]),
    (["export", "net.onnx", "holds.vnnlib", "-o", "model.xyz"], [".xyz", ".lp", ".mps", ".smt2"]),
    (["export", "net.onnx", "holds.vnnlib", "--encoding", "smt", "-o", "model.lp"], ["smt", ".smt2"]),
    (["bounds", "net.onnx", "holds.vnnlib", "--method", "nope"], ["nope", "ibp"]),
    (["bounds", "net.onnx", "open.vnnlib"], ["'x'", "element 1"]),
    (["show", "garbage.onnx"], ["garbage.onnx"]),
    (["compare", "net.onnx", "holds.vnnlib", "--plot", "bars.xyz"], ["bars.xyz", ".xyz", ".svg"]),
    (["bounds", "net.onnx", "holds.vnnlib", "--plot", "bars.xyz"], ["bars.xyz", ".xyz", ".svg"]),
    (["lipschitz", "net.onnx", "--lower", "0,1,2", "--upper", "1"], ["nnsym: lower has shape (3,)", "one for each"]),
    (["verify", "saved.txt"], ["saved.txt, line 2", "--network f=FILE.onnx"]),
    (["verify", "net.onnx", "holds.vnnlib", "fails.vnnlib"], ["3 files", "NET.onnx PROP.vnnlib"]),
    (["verify", "net.onnx", "gap.vnnlib"], ["gap.vnnlib", "but not Y_1. They"]),
]


@pytest.mark.parametrize(("arguments", "named"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    named: list[str],
) -> None:
    spoil(folder)
    assert call(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    for word in named:
        assert word in captured.err
    assert not list(folder.glob("model.*"))


def spoil(folder: Path) -> None:
    good = (folder / "net.onnx").read_bytes()
    text = (folder / "holds.vnnlib").read_text()
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "garbage.onnx").write_bytes(b"this is not a model")
    (folder / "cut.onnx").write_bytes(good[: len(good) // 2])
    (folder / "cut.onnx.gz").write_bytes(gzip.compress(good)[:60])
    (folder / "pickle.onnx").write_bytes(pickle.dumps({"weights": [1.0]}))
    model = onnx.load_from_string(good)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((2, 2), np.nan, np.float32), "W0"))
    (folder / "nan.onnx").write_bytes(model.SerializeToString())
    model = onnx.load_from_string(good)
    model.graph.node[1].op_type, model.graph.node[1].domain = "Hannah", "of.nobody"
    (folder / "alien.onnx").write_bytes(model.SerializeToString())
    (folder / "garbage.vnnlib").write_text("hello there")
    (folder / "cut.vnnlib").write_text(text[: text.rindex("-0.5")])
    (folder / "wide.vnnlib").write_text("(declare-const Y_2 Real)" + text)
    open_ = text.replace("(assert (<= X_1 1))", "").replace("(<= Y_0 -0.5)", "(>= Y_0 5)")
    (folder / "open.vnnlib").write_text(open_)
    (folder / "gap.vnnlib").write_text(text.replace("Y_1", "Y_7"))
    (folder / "saved.txt").write_text(f"{HEAD}\nf = network('f', '{'0' * 64}')\nx = variable('x', (2,))\n")


def test_compare_writes_table_json_csv_and_record(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--methods",
        "ibp,crown,triangle,bigm,smt",
        "--solvers",
        "z3,highs",
        "--repeat",
        "2",
        "--bounds",
        "ibp,crown",
    ]
    files = ["--json-file", "table.json", "--csv", "table.csv", "--record", "runs.jsonl", "--wide"]
    assert call(monkeypatch, "compare", "net.onnx", "holds.vnnlib", *arguments, *files) == 0
    shown = capsys.readouterr().out
    assert "root LP" in shown
    rows = json.loads((folder / "table.json").read_text())["rows"]
    assert len(rows) == 2 + 3 * 2 * 2
    unsupported = [r for r in rows if r["verdict"] == "unsupported"]
    assert {(r["method"], r["solver"]) for r in unsupported} == {("smt", "highs")}
    assert "z3" in unsupported[0]["reason"]
    exact = next(r for r in rows if (r["method"], r["solver"], r["bounds"]) == ("bigm", "highs", "crown"))
    outer = next(r for r in rows if (r["method"], r["solver"], r["bounds"]) == ("triangle", "highs", "crown"))
    assert exact["verdict"] == "verified"
    assert exact["repeats"] == 2
    assert exact["root_lp"] == pytest.approx(outer["lower"], abs=1e-6)
    assert outer["lower"] <= exact["lower"] + 1e-9
    assert exact["lower"] == pytest.approx(0.5, abs=1e-6)
    assert exact["peak_memory"] > 0
    record = [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]
    assert len(record) == len(rows)
    assert record[0]["property_hash"] == record[-1]["property_hash"]
    assert record[0]["versions"]["nnsym"]
    assert len((folder / "table.csv").read_text().splitlines()) == len(rows) + 1


@pytest.mark.parametrize("suffix", [".lp", ".mps", ".smt2"])
def test_export_says_what_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    assert call(monkeypatch, "export", "net.onnx", "holds.vnnlib", "-o", f"model{suffix}") == 0
    text = (folder / f"model{suffix}").read_text()
    for word in ("nnsym", "sha256", "bounds    crown", "meaning", "Y_0 <= -0.5"):
        assert word in text


def test_bounds_and_show(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "bounds", "net.onnx", "holds.vnnlib", "--method", "ibp", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data) == {"layers", "spec", "lower", "seconds"}
    assert data["layers"][0] == {"name": "affine_1", "size": 2, "unstable": 2, "mean_width": pytest.approx(2.9)}
    assert data["lower"] == pytest.approx(0.5)
    assert call(monkeypatch, "show", "net.onnx") == 0
    assert "relu_1 : 2 = relu(affine_1)" in capsys.readouterr().out
    assert call(monkeypatch, "show", "net.onnx", "--svg") == 0
    assert capsys.readouterr().out.lstrip().startswith("<svg")
    assert call(monkeypatch, "show", "net.onnx", "--svg", "net.svg") == 0
    assert (folder / "net.svg").read_text().lstrip().startswith("<svg")
    assert call(monkeypatch, "show", "net.onnx", "again.svg") == 0
    assert (folder / "again.svg").read_text() == (folder / "net.svg").read_text()


def test_versions_without_a_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["nnsym", "--version"])
    with pytest.raises(SystemExit) as end:
        entry()
    said = dict(line.split(" ", 1) for line in capsys.readouterr().out.splitlines())
    assert end.value.code in (0, None)
    assert next(iter(said)) == "nnsym"
    assert {"python", "numpy", "torch", "highspy", "z3-solver"} <= set(said)


def test_help_is_light() -> None:
    """``nnsym --help`` and ``import nnsym`` load neither torch nor onnx nor a solver."""
    code = (
        "import sys; sys.argv = ['nnsym', '--help']\n"
        "import nnsym\n"
        "from nnsym.cli.main import entry\n"
        "try: entry()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'scipy', 'z3', 'highspy', 'pyomo', 'gurobipy', 'pandas'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "verify" in done.stdout


@pytest.mark.parametrize(("words", "code"), [(("methods",), 0), (("show", "none.onnx"), 2), (("nonsense",), 2)])
def test_the_console_script_keeps_exit_codes_and_text(words: tuple[str, ...], code: int, tmp_path: Path) -> None:
    """It leaves without unloading modules, so what was written to pipes must be there."""
    done = subprocess.run(
        [sys.executable, "-m", "nnsym.cli.main", *words], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code
    assert "bigm" in done.stdout if code == 0 else words[-1] in done.stderr
    assert "Traceback" not in done.stderr
