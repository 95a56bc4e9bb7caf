"""The command line on VNN-LIB 2.0 files: networks by name, by list, alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_cli import call, folder

__all__ = ["folder"]

TWO = """(vnnlib-version <2.0>)
(declare-network f (declare-input x float32 [1,2]) (declare-output y float32 [1,2]))
(declare-network g (isomorphic-to f) (declare-input a float32 [1,2]) (declare-output b float32 [1,2]))
(assert (>= x[0,0] 0.0))
(assert (<= x[0,0] 1.0))
(assert (>= x[0,1] 0.0))
(assert (<= x[0,1] 1.0))
(assert (== a[0,0] x[0,0]))
(assert (== a[0,1] x[0,1]))
(assert (or (> y[0,0] (+ b[0,0] 0.5)) (< y[0,0] (- b[0,0] 0.5))))
"""
LIST = "[('f', 'net.onnx'), ('g', 'net.onnx')]"


@pytest.mark.usefixtures("folder")
def test_networks_by_name_and_by_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "two.vnnlib").write_text(TWO, encoding="utf-8")
    named = ["--network", "f=net.onnx", "--network", "g=net.onnx"]
    for words in (["two.vnnlib", *named], [LIST, "two.vnnlib"]):
        assert call(monkeypatch, "verify", *words, "--method", "crown") == 0
    assert call(monkeypatch, "bounds", "two.vnnlib", *named) == 0
    one = "\n".join(line for line in TWO.splitlines() if "declare-network g" not in line and "a[" not in line)
    (tmp_path / "one.vnnlib").write_text(one.replace("b[0,0]", "y[0,1]"), encoding="utf-8")
    assert call(monkeypatch, "verify", "net.onnx", "one.vnnlib") == 10


BAD = [
    (["two.vnnlib"], "--network NAME=FILE.onnx"),
    (["two.vnnlib", "--network", "net.onnx"], "expected NAME=FILE.onnx"),
    (["two.vnnlib", "--network", "f=net.onnx"], "no model is given for the network 'g'"),
    (["[('f', ", "two.vnnlib"], "not a list of networks"),
    (["props.py:p", "--network", "f=net.onnx"], "names its own networks"),
]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("words", "message"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: list[str],
    message: str,
) -> None:
    (tmp_path / "two.vnnlib").write_text(TWO, encoding="utf-8")
    assert call(monkeypatch, "verify", *words) == 2
    assert message in capsys.readouterr().err
