"""``nnsym-vnnlib`` as callers see it: a process, its standard output to the byte, its status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from nnsym.cli.supports import CAPABILITIES
from tests.models import model

QUERY = """(vnnlib-version <2.0>)
(declare-network f (declare-input X float32 [2]) (declare-output Y float32 [2]))
(assert (>= X[0] -1.0))
(assert (<= X[0] 1.0))
(assert (== X[1] 0.5))
(assert (>= Y[0] {}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ReLU, a query that has a point, and one that has none."""
    place = tmp_path_factory.mktemp("command")
    onnx.save(model([helper.make_node("Relu", ["x"], ["y"])], {"x": (2,)}), place / "relu.onnx")
    (place / "sat.vnnlib").write_text(QUERY.format("0.75"), encoding="utf-8")
    (place / "unsat.vnnlib").write_text(QUERY.format("1.5"), encoding="utf-8")
    return place


def run(folder: Path, *words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "nnsym.cli.vnnlib", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_point(folder: Path) -> None:
    code, out, _ = run(folder, "verify", "--network", "f=relu.onnx", "sat.vnnlib", "--timeout", "30.0")
    lines = out.splitlines()
    assert (code, lines[0], lines[1], lines[4]) == (0, "sat", "X float32 [2]", "Y float32 [2]")
    assert 0.75 <= float(lines[2]) <= 1.0
    assert out.endswith("\n")


@pytest.mark.slow
def test_a_point_serialised(folder: Path) -> None:
    words = ("sat.vnnlib", "--network", "f=relu.onnx", "--serialise-assignments", "out/deep")
    code, out, _ = run(folder, "verify", *words)
    assert (code, out) == (0, "sat\n")
    tensors = {n: onnx.load_tensor(folder / "out" / "deep" / f"{n}.pb") for n in "XY"}
    x, y = (numpy_helper.to_array(t) for t in tensors.values())
    assert (x.dtype, x.shape, y.dtype) == (np.float32, (2,), np.float32)
    assert (np.maximum(x, 0) == y).all()
    assert x[1] == 0.5


@pytest.mark.slow
def test_no_point(folder: Path) -> None:
    code, out, err = run(folder, "verify", "unsat.vnnlib", "--network", "f=relu.onnx", "--timeout", "30")
    assert (code, out) == (0, "unsat\n")
    assert err.count("\n") == 1
    assert "real function" in err
    code, out, err = run(folder, "verify", "unsat.vnnlib", "--network", "f=relu.onnx", "--strict-types")
    assert (code, out) == (2, "")
    assert "float32" in err


def test_no_time(folder: Path) -> None:
    assert run(folder, "verify", "sat.vnnlib", "--network", "f=relu.onnx", "--timeout", "0")[:2] == (0, "timed-out\n")


BAD = {
    "no model": ("verify", "sat.vnnlib"),
    "an unknown network": ("verify", "sat.vnnlib", "--network", "f=relu.onnx", "--network", "g=relu.onnx"),
    "a name twice": ("verify", "sat.vnnlib", "--network", "f=relu.onnx", "--network", "f=relu.onnx"),
    "no file": ("verify", "none.vnnlib", "--network", "f=relu.onnx"),
    "no seconds": ("verify", "sat.vnnlib", "--network", "f=relu.onnx", "--timeout", "soon"),
    "no seed": ("verify", "sat.vnnlib", "--network", "f=relu.onnx", "--seed", "-1"),
    "no method": ("verify", "sat.vnnlib", "--network", "f=relu.onnx", "--method", "nope"),
    "no folder": ("verify", "sat.vnnlib", "--network", "f=relu.onnx", "--assignments", "relu.onnx"),
    "no flag": ("supports",),
    "two flags": ("supports", "--vnnlib-versions", "--onnx-operators"),
    "an unknown flag": ("supports", "--everything"),
    "no command": (),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BAD)
def test_what_is_not_taken_is_one_line_and_status_2(case: str, folder: Path) -> None:
    code, out, err = run(folder, *BAD[case])
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_name_and_version_without_the_rest(folder: Path) -> None:
    assert run(folder, "--name") == (0, "nnsym\n", "")
    code, out, _ = run(folder, "--version")
    assert code == 0
    assert out.strip().replace(".", "").isdigit()


def test_every_capability_is_answered_without_heavy_imports(folder: Path) -> None:
    script = (
        "import sys, io, contextlib\n"
        "from nnsym.cli.supports import CAPABILITIES\n"
        "from nnsym.cli.vnnlib import entry\n"
        "for flags in CAPABILITIES:\n"
        "    for word, flag in (('supports', flags[0]), ('capabilities', flags[-1])):\n"
        "        assert entry([word, flag]) == 0\n"
        "print([m for m in ('torch', 'onnx', 'onnxruntime') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "[]"
    assert len(CAPABILITIES) == 11
    for word in ("POLY", "MNET", "H", "MIO", "MNC", "float32", "Where", "TreeEnsembleRegressor", "Constant"):
        assert lines.count(word) == 2, word
