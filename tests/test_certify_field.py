"""Rows of the field: every verdict by bounds, by an LP or by search carries an accepted certificate."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

import nnsym as nn
from nnsym.certify import boxes
from nnsym.certify.emit import certified_unsat
from nnsym.check.checker import Checker
from nnsym.check.errors import Refused
from nnsym.check.files import read_json
from nnsym.results.clock import NEVER
from nnsym.results.result import Trust

#: Folder, network, property, method.
ROWS = [
    ("acasxu", "ACASXU_run2a_1_9_batch_2000", "prop_1", "bab"),
    ("acasxu", "ACASXU_run2a_1_1_batch_2000", "prop_2", "bab"),
    ("acasxu", "ACASXU_run2a_2_1_batch_2000", "prop_3", "bab"),
    ("acasxu", "ACASXU_run2a_1_6_batch_2000", "prop_3", "crown"),
    ("rl_benchmarks", "cartpole", "cartpole_case_unsafe_0", "crown"),
    ("rl_benchmarks", "cartpole", "cartpole_case_safe_48", "triangle"),
    ("rl_benchmarks", "lunarlander", "lunarlander_case_safe_12", "bab"),
    ("mnist_fc", "mnist-net_256x2", "prop_0_0.03", "crown"),
    ("mnist_fc", "mnist-net_256x2", "prop_4_0.03", "bab"),
    ("mnist_fc", "mnist-net_256x4", "prop_2_0.03", "bab"),
    ("mnist_fc", "mnist-net_256x4", "prop_3_0.05", "bab"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "network", "stated", "method"), ROWS, ids=lambda v: str(v))
def test_a_row_that_is_verified_is_certified(
    benchmarks: Path, folder: str, network: str, stated: str, method: str
) -> None:
    there = benchmarks / folder
    query = nn.load_vnnlib(there / "vnnlib" / f"{stated}.vnnlib.gz", there / "onnx" / f"{network}.onnx.gz")
    result = nn.verify(query, method, timeout=300, certificate=True)
    assert result.verified
    assert result.trust is Trust.CHECKED, result.uncertified
    assert result.certificate is not None
    files = {a.network.hash: bytes(a.network.model or b"") for a in query.applications}
    assert Checker(read_json(result.certificate.data), files).run().leaves == result.certificate.leaves


@pytest.mark.parametrize(
    ("stated", "most"),
    [
        ("prop_3_0.05", 800),  # 976 where every side of a range was claimed
        pytest.param("prop_0_0.05", 5_000, marks=pytest.mark.slow),  # 18,884
        pytest.param("prop_4_0.05", 25_000, marks=pytest.mark.slow),  # none within 300 s
    ],
)
def test_hidden_ranges_are_claimed_in_few_leaves(benchmarks: Path, stated: str, most: int) -> None:
    """A leaf took 140 to 230 bytes where each slope was written."""
    there = benchmarks / "mnist_fc"
    query = nn.load_vnnlib(there / "vnnlib" / f"{stated}.vnnlib.gz", there / "onnx" / "mnist-net_256x4.onnx.gz")
    made = certified_unsat(query, NEVER)
    assert made.leaves <= most
    tree = json.loads(made.data)["tree"]
    assert any(token[0] == "g" for token in tree)
    assert len(json.dumps(tree, separators=(",", ":"))) <= 130 * made.leaves


def test_a_network_of_the_field_with_a_bit_changed_is_another_claim(benchmarks: Path) -> None:
    there = benchmarks / "rl_benchmarks"
    query = nn.load_vnnlib(there / "vnnlib" / "cartpole_case_unsafe_0.vnnlib.gz", there / "onnx" / "cartpole.onnx.gz")
    result = nn.verify(query, certificate=True)
    assert result.certificate is not None
    model = bytes(query.applications[0].network.model or b"")
    other = model[:-40] + bytes([model[-40] ^ 64]) + model[-39:]
    with pytest.raises(Refused, match="hash"):
        Checker(read_json(result.certificate.data), {hashlib.sha256(other).hexdigest(): other}).run()


def test_sums_with_slopes_close_boxes_in_few_bytes(
    benchmarks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of property 2 of 4_2: 903 leaves where an ascent ends at its goal, 60 bytes each with every slope."""
    monkeypatch.setattr(boxes, "_EASY", 64)
    text = gzip.decompress((benchmarks / "acasxu" / "vnnlib" / "prop_2.vnnlib.gz").read_bytes()).decode()
    for k in (1, 2):
        text = text.replace(f"<= X_{k} 0.5", f"<= X_{k} 0.25").replace(f">= X_{k} -0.5", f">= X_{k} 0.0")
    stated = tmp_path / "part.vnnlib"
    stated.write_text(text, encoding="utf-8")
    network = benchmarks / "acasxu" / "onnx" / "ACASXU_run2a_4_2_batch_2000.onnx.gz"
    made = certified_unsat(nn.load_vnnlib(stated, network), NEVER)
    tree = json.loads(made.data)["tree"]
    assert made.leaves <= 885
    assert len(json.dumps(tree, separators=(",", ":"))) <= 50 * made.leaves
    sums = [[m for _, m in token[1]] for token in tree if token[0] == "l" and len(token) > 2]
    assert sums
    assert all(max(m) == 1 and all(round(100 * v) == pytest.approx(100 * v) for v in m) for m in sums)
