"""The 140 model tests of the onnx package: what is read is right, and most are read."""

from __future__ import annotations

import pytest

from tests.onnx_suite import agrees, cases, read

#: One of each kind of lowering, for every run of the tests.
SAMPLE = (
    "test_AvgPool2d_stride", "test_BatchNorm1d_3d_input_eval", "test_GLU", "test_Linear", "test_LogSoftmax",
    "test_Softmin", "test_Softsign", "test_operator_add_broadcast",
    "test_operator_add_size1_right_broadcast", "test_operator_addmm", "test_operator_convtranspose",
    "test_operator_pow",
    "test_operator_symbolic_override", "test_sequence_model1", "test_softmax_functional_dim3",
)  # fmt: skip
_REFUSED = ("test_operator_pow", "test_sequence_model1")


@pytest.mark.parametrize("case", [c for c in cases() if c.name in SAMPLE], ids=lambda c: c.name)
def test_a_sample_is_read_and_right(case):
    network = read(case)
    if case.name in _REFUSED:
        assert isinstance(network, str)
    else:
        assert not isinstance(network, str), network
        assert agrees(network, case)


@pytest.mark.slow
def test_at_least_110_are_read_and_none_is_wrong():
    networks = {case: read(case) for case in cases()}
    assert len(networks) >= 140
    kept = {case: n for case, n in networks.items() if not isinstance(n, str)}
    assert [case.name for case, n in kept.items() if not agrees(n, case)] == []
    assert not [said for said in networks.values() if isinstance(said, str) and "the imported network gives" in said]
    assert len(kept) >= 110
