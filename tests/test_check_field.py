"""Proofs about the field's networks: the values are those of nnsym's bounds, which share no line with the checker."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from certificates import of_files

import nnsym as nn
from nnsym.check.checker import Checker
from nnsym.check.errors import Refused


def _read(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def _checker(folder: Path, network: str, prop: str, tree: Any, engine: str, **more: Any) -> Checker:
    files = _read(folder / "onnx" / f"{network}.onnx.gz"), _read(folder / "vnnlib" / f"{prop}.vnnlib.gz")
    return Checker(*of_files(*files, tree, **more), engine)


def halved(depth: int, k: int = 0) -> list[Any]:
    """All five inputs in turn, each in the middle."""
    return [["x", k % 5], *halved(depth - 1, k + 1), *halved(depth - 1, k + 1)] if depth else [["l"]]


CLASSES = [["b"], ["o", 0], *[["l"]] * 9]


@pytest.mark.parametrize(("prop", "holds"), [
    ("prop_0_0.03", True), pytest.param("prop_4_0.03", False, marks=pytest.mark.slow),
])  # fmt: skip
def test_default_slopes_are_crown(benchmarks: Path, prop: str, holds: bool) -> None:
    folder = benchmarks / "mnist_fc"
    files = [str(folder / "onnx" / "mnist-net_256x2.onnx.gz"), str(folder / "vnnlib" / f"{prop}.vnnlib.gz")]
    own = nn.verify(nn.load_vnnlib(files[1], nn.load(files[0])), "crown")
    for engine in ("fast", "reference"):
        report = _checker(folder, "mnist-net_256x2", prop, CLASSES, engine).run(failures=True)
        assert report.leaves == 9
        assert (not report.failures) == holds == (own.status.value == "verified")
        assert report.least is not None
        assert own.lower is not None
        assert float(report.least) == pytest.approx(float(own.lower), abs=1e-4)


def test_runs_in_floats_cost_a_little(benchmarks: Path) -> None:
    least = {}
    for semantics in ("real", "float32"):
        checker = _checker(
            benchmarks / "mnist_fc", "mnist-net_256x2", "prop_0_0.03", CLASSES, "fast", semantics=semantics
        )
        least[semantics] = checker.run().least
    assert 0 < least["float32"] < least["real"] < least["float32"] + 0.05


@pytest.mark.slow
def test_trees_of_input_splits(benchmarks: Path) -> None:
    """512 boxes by the fast engine, and the same by the reference on a smaller tree."""
    folder, network = benchmarks / "acasxu", "ACASXU_run2a_3_3_batch_2000"
    report = _checker(folder, network, "prop_3", halved(9), "fast").run()
    assert (report.leaves, len(report.failures)) == (512, 0)
    runs = [_checker(folder, network, "prop_3", halved(3), e).run(failures=True) for e in ("fast", "reference")]
    values = [dict(r.failures) for r in runs]
    assert values[0].keys() == values[1].keys()
    assert all(values[0][k] <= values[1][k] for k in values[0])  # its rows have 25 digits, so it says less, never more
    assert max(values[1][k] - values[0][k] for k in values[0]) < 2e-4


@pytest.mark.slow
def test_what_the_fast_engine_is_too_coarse_for_the_reference_decides(benchmarks: Path) -> None:
    """A slack of 1e-7 over boxes: below what rows of 25 digits see, and told from 1e-9 too little."""
    folder = benchmarks / "acasxu"
    network = _read(folder / "onnx" / "ACASXU_run2a_3_3_batch_2000.onnx.gz")
    box = _read(folder / "vnnlib" / "prop_3.vnnlib.gz").decode().split("; Unsafe")[0]

    def checker(threshold: str, engine: str | None) -> Checker:
        text = f"{box}\n(assert (<= Y_0 {threshold}))".encode()
        return Checker(*of_files(network, text, [["b"], *halved(2)]), engine)

    attained = checker("0.0", "reference").run(failures=True).least
    assert attained is not None
    near, beyond = (f"{float(attained) - d:.15f}" for d in (1e-7, -1e-9))
    assert checker(near, None).run().leaves == 4
    assert checker(near, "fast").run(failures=True).failures
    for engine in (None, "reference"):
        with pytest.raises(Refused, match="not positive"):
            checker(beyond, engine).run()


@pytest.mark.slow
def test_the_largest_network_by_the_reference(benchmarks: Path) -> None:
    report = _checker(benchmarks / "mnist_fc", "mnist-net_256x4", "prop_0_0.03", CLASSES, "reference").run()
    assert float(report.least or 0) == pytest.approx(0.97293, abs=5e-5)
