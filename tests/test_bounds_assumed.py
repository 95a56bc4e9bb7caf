"""Bounds on the user's word: used by every method, and on every verdict that used them."""

from __future__ import annotations

import numpy as np
import pytest

import nnsym as nn
from nnsym.ask.export import export
from nnsym.bounds.methods import compute, margin
from nnsym.ir.names import node_names
from nnsym.report.table import result_lines
from nnsym.results.result import Trust, Verdict


def below(threshold: float) -> nn.Property:
    """relu(x0 + x1) + relu(x0 - x1) <= threshold on [-1, 1]^2; the maximum is 2, at a corner."""
    f = nn.sequential([([[1.0, 1.0], [1.0, -1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
    x = nn.Variable(2, name="x")
    return nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] <= threshold, name="below")


@pytest.mark.parametrize("method", ["ibp", "crown", "triangle", "bigm", "smt", None])
def test_a_wrong_assumption_verifies_only_as_assumed(method: str | None) -> None:
    """relu_1 <= 0.7 is false at corners; on that word the sum is at most 1.4."""
    wrong = nn.assume(below(1.5), {"affine_1": (-np.inf, 0.7)})
    plain = nn.verify(below(1.5), method)
    assert plain.status is not Verdict.VERIFIED
    result = nn.verify(wrong, method)
    if method in ("bigm", None):  # these look for a counterexample first, or probe what a solver says
        assert result.status is not Verdict.VERIFIED or result.trust is Trust.ASSUMED
    else:
        assert result.status is Verdict.VERIFIED
        assert result.trust is Trust.ASSUMED
        assert "ASSUMED" in result_lines(result)[0][0]
        assert any("ASSUMED" in step.note and "affine_1" in step.note for step in result.trail)


def test_counterexamples_are_real_whatever_is_assumed() -> None:
    wrong = nn.assume(below(1.5), {"affine_1": (-np.inf, 0.7)})
    result = nn.verify(wrong, "attack")
    assert (result.status, result.trust) == (Verdict.FALSIFIED, Trust.EXACT)
    assert nn.verify(wrong).status is Verdict.FALSIFIED


def test_provenance_and_what_follows() -> None:
    plain = below(1.5)
    p = nn.assume(plain, {"affine_1": ([-3.0, -1.0], [3.0, 0.5])})
    names = {name: node for node, name in node_names(p.query.nodes).items()}
    for source in ("ibp", "crown"):
        bounds = compute(p.query, source)
        assert bounds[names["affine_1"]].source == "assumed"
        np.testing.assert_array_equal(bounds[names["affine_1"]].lower, [-2.0, -1.0])  # the looser side is not kept
        np.testing.assert_array_equal(bounds[names["affine_1"]].upper, [2.0, 0.5])
        np.testing.assert_array_equal(bounds[names["relu_1"]].upper, [2.0, 0.5])
        assert margin(p.query, bounds) >= margin(plain.query, compute(plain.query, source)) + 0.5
    loose = compute(nn.assume(below(1.5), {"affine_1": (-9, 9)}).query, "ibp")
    assert {i.source for i in loose.nodes.values()} <= {"domain", "ibp"}
    assert nn.verify(nn.assume(below(5), {"affine_1": (-9, 9)}), "ibp").trust is Trust.ASSUMED  # even where unneeded


def test_an_assumption_is_part_of_the_statement(tmp_path: pytest.TempPathFactory) -> None:
    p = below(1.5)
    one, other = (nn.assume(p, {"affine_1": (-5, upper)}) for upper in (0.5, 0.25))
    assert len({p.query.hash, one.query.hash, other.query.hash}) == 3
    both = nn.assume(one, {"affine_1": (-1, 9)})
    (box,) = both.query.assumed.values()
    assert (box.lower.tolist(), box.upper.tolist()) == ([-1.0, -1.0], [0.5, 0.5])
    assert "assuming bounds of affine_1" in str(one)
    assert "assuming bounds of affine_1" in export(one, tmp_path / "m.lp").read_text()  # type: ignore[operator]
    assert nn.assume(p.query, {"affine_1": (-5, 0.5)}).hash == one.query.hash
    table = nn.compare(one, ["ibp", "bigm"])
    assert [r.result.trust for r in table.rows if r.result is not None and r.result.status == "verified"] in (
        [Trust.ASSUMED],
        [Trust.ASSUMED] * 2,
    )


def test_impossible_and_malformed_assumptions_are_named() -> None:
    with pytest.raises(nn.InputError, match=r"affine_1: element 1 is assumed in \[3, 4\]"):
        nn.verify(nn.assume(below(1.5), {"affine_1": ([-2, 3], [2, 4])}), "crown")
    with pytest.raises(nn.InputError, match=r"no node 'conv_9'.*affine_1"):
        nn.assume(below(1.5), {"conv_9": (0, 1)})
    with pytest.raises(nn.InputError, match="3 assumed bounds for the 2 elements of relu_1"):
        nn.assume(below(1.5), {"relu_1": ([0, 0, 0], 1)})
    with pytest.raises(nn.InputError, match="above the upper one"):
        nn.assume(below(1.5), {"relu_1": (1, 0)})
