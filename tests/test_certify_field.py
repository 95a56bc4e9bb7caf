"""Rows of the field: every verdict by bounds, by an LP or by search carries an accepted certificate."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import nnsym as nn
from nnsym.check.checker import Checker
from nnsym.check.errors import Refused
from nnsym.check.files import read_json
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


def test_a_network_of_the_field_with_a_bit_changed_is_another_claim(benchmarks: Path) -> None:
    there = benchmarks / "rl_benchmarks"
    query = nn.load_vnnlib(there / "vnnlib" / "cartpole_case_unsafe_0.vnnlib.gz", there / "onnx" / "cartpole.onnx.gz")
    result = nn.verify(query, certificate=True)
    assert result.certificate is not None
    model = bytes(query.applications[0].network.model or b"")
    other = model[:-40] + bytes([model[-40] ^ 64]) + model[-39:]
    with pytest.raises(Refused, match="hash"):
        Checker(read_json(result.certificate.data), {hashlib.sha256(other).hexdigest(): other}).run()
