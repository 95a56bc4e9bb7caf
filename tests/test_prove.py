"""Rules are proved, wrong ones refuted: every shipped encoding, and mutants of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnsym_encodings.bigm
import nnsym_encodings.smt
import nnsym_encodings.triangle
from nnsym.encode import monomials, stairs
from nnsym.encode.registry import find_encoding
from nnsym.encoding import Encoding, Exactness
from nnsym.ir import outward
from nnsym.ir.smooth_functions import Tanh
from nnsym.separation.box import BoxNeurons
from nnsym.testing.check_encoding import ConformanceError, check_encoding
from nnsym.testing.prove import Answer, Theorem, prove_encoding, theorems
from nnsym.testing.prove.cuts import prove_cut
from nnsym.testing.prove.search import prove
from nnsym_encodings import ENCODINGS, TANGENTS
from tests.mutants import mutant

pytestmark = pytest.mark.slow


def only(encoding: Encoding, rule: str) -> Encoding:
    """The encoding with those rules only whose function has that name."""
    return replace(encoding, rules=tuple(r for r in encoding.rules if r.rule.__name__ == rule))


SHIPPED = theorems([e for e in ENCODINGS if e.bits is None], powers=(2, 3, 4, -1, -2))


@pytest.mark.parametrize("theorem", SHIPPED, ids=[f"{t.encoding.name}-{t.subject.name}" for t in SHIPPED])
def test_every_shipped_rule_is_proved(theorem: Theorem, capsys: pytest.CaptureFixture[str]) -> None:
    proof = theorem.prove(seconds=200)
    with capsys.disabled():
        print(f"\n{proof}", end="")
    assert proof.answer is Answer.PROVED, str(proof)


def test_the_list_of_theorems_covers_every_rule_of_every_encoding() -> None:
    proved = {t.rule.rule for t in SHIPPED}
    assert {r.rule for e in ENCODINGS for r in e.rules} <= proved


def test_neurons_of_affine_maps_with_any_weights() -> None:
    proofs = prove_encoding(only(find_encoding("balas"), "hinge"), fan_in=2)
    assert proofs.answer is Answer.PROVED
    assert "relu, fan-in 2" in {p.subject for p in proofs}


@pytest.mark.parametrize("name", ["bigm+anderson", "triangle+tj"])
def test_cuts_of_one_neuron(name: str) -> None:
    proofs = prove_encoding(replace(find_encoding(name), rules=()), fan_in=2)
    assert [p.answer for p in proofs] == [Answer.PROVED] * 2, str(proofs)


def _without_slip(self: BoxNeurons, c: Any) -> Any:
    d = self.rise[:, None] * self.W - c
    peak = outward.dot_up(d, np.where(d > 0, self.upper, self.lower))
    return outward.sum_up(peak, np.nextafter(self.rise * self.b, np.inf))


WRONG_BOXES = {
    "passive: the other end": ("passive", lambda self, c: outward.dot_up(-c, np.where(c < 0, self.lower, self.upper))),
    "passive: a product left out": (
        "passive",
        lambda self, c: outward.dot_up(-c[:, :1], np.where(c < 0, self.upper, self.lower)[:, :1]),
    ),
    "active: rounding of differences": ("active", _without_slip),
}


@pytest.mark.parametrize("wrong", WRONG_BOXES)
@pytest.mark.parametrize("name", ["bigm+anderson", "triangle+tj"])
def test_wrong_right_hand_sides_of_cuts_are_not_proved(name: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoxNeurons, *WRONG_BOXES[wrong])
    encoding = find_encoding(name)
    fan_in = 2 if "left out" in wrong else 1
    proof = prove_cut(encoding, encoding.cuts[0], fan_in, seconds=20)
    harmless = "rounding" in wrong and "anderson" in name  # its coefficients are w or 0: no difference rounds
    assert (proof.answer is Answer.PROVED) == harmless, str(proof)


TRIANGLE, BIGM, SMT = nnsym_encodings.triangle, nnsym_encodings.bigm, nnsym_encodings.smt

MUTANTS = {
    "chord: at_l rounded down": (TRIANGLE, "at_l = product_up(", "at_l = product_down(", "TRIANGLE", "hinge"),
    "chord: at_u rounded down": (
        TRIANGLE,
        "product_up(o.u, sum_up(product_up(width, o.b), -slope))",
        "product_up(o.u, sum_down(product_up(width, o.b), -slope))",
        "TRIANGLE",
        "hinge",
    ),
    "chord: no intercept": (
        TRIANGLE, "upper=top, says=\"(u-l)", "upper=0.0, says=\"(u-l)", "TRIANGLE", "hinge",
    ),
    "chord: sign of the slope": (
        TRIANGLE, "(-slope, o.h)], upper=top", "(slope, o.h)], upper=top", "TRIANGLE", "hinge",
    ),
    "maximum: threshold row rounded down": (
        TRIANGLE, "group_sum_up(where, product_up(-w, l), top)", "group_sum_up(where, product_down(-w, l), top)",
        "TRIANGLE", "maximum",
    ),
    "product: lower row rounded up": (
        TRIANGLE, "lower=product_down(-p, q), says=\"y >= q x + p v", "lower=product_up(-p, q), says=\"y >= q x + p v",
        "TRIANGLE", "product",
    ),
    "product: ends of the upper rows": (
        TRIANGLE, "for p, q in ((lx[k], uv[k]), (ux[k], lv[k])):", "for p, q in ((lx[k], lv[k]), (ux[k], uv[k])):",
        "TRIANGLE", "product",
    ),
    "square: chord below": (
        TRIANGLE, "sum_up(end, -slope), sum", "sum_down(end, -slope), sum", "TRIANGLE", "product",
    ),
    "bigm: rise rounded down": (BIGM, "rise = sum_up(", "rise = sum_down(", "BIGM", "hinge"),
    "bigm: M rounded down": (BIGM, "product_up(rise, o.u)", "-product_up(rise, -o.u)", "BIGM", "hinge"),
    "bigm: M of the wrong bound": (BIGM, "product_up(rise, o.u)", "product_up(rise, -o.l)", "BIGM", "hinge"),
    "bigm: an upper row without M": (BIGM, "(m_right, z)], upper=m_right", "(m_right, z)], upper=0.0", "BIGM", "hinge"),
    "bigm: lower lines left out": (BIGM, "    lower_lines(ctx, node, o)\n", "", "BIGM", "hinge"),
    "bigm: no member needs to be chosen": (
        BIGM, "[(1.0, z)], lower=1.0, upper=1.0", "[(1.0, z)], lower=0.0, upper=1.0", "BIGM", "maximum",
    ),
    "bigm: deviations rounded down": (BIGM, "np.ceil(table", "np.floor(table", "BIGM", "pieces"),
    "smt: both branches on one line": (
        SMT, "node, p, 0, [(o.sign, o.y), (-o.a, o.h)]", "node, p, 0, [(o.sign, o.y), (-o.b, o.h)]", "SMT", "hinge",
    ),
    "smt: lemma rounded down": (SMT, "product_up(o.l, sum_down", "product_up(o.l, sum_up", "SMT", "hinge"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_refuted_with_numbers(name: str) -> None:
    module, before, after, encoding, rule = MUTANTS[name]
    wrong = only(mutant(module, before, after)[encoding], rule)
    refuted = [p for p in prove_encoding(wrong) if p.answer is Answer.REFUTED]
    assert refuted, name
    assert all(p.counterexample is not None and p.counterexample.numbers for p in refuted)


WRONG_STAIRS = {
    "floor: no lower row": ('    ctx.rows(node, terms, lower=0.0, says="h >= q y")\n', "", "floor"),
    "floor: the upper row a unit lower": ("upper=fn.unit, tag", "upper=0.0, tag", "floor"),
    "floor: no integer": (", kind=Kind.INTEGER)\n    return ids, k, h[k]", ")\n    return ids, k, h[k]", "floor"),
    "floor: its bounds from the middle": ("low[k], high[k], kind", "low[k], high[k] - 1, kind", "floor"),
    "round: a tie too wide": ("lower=-0.5, upper=0.5, says", "lower=-0.5, upper=0.75, says", "nearest_rows"),
    "round: odd ones take ties": ("lower=-0.5, upper=0.5, strict=True", "lower=-0.5, upper=0.5", "nearest_cases"),
    "round: even for odd": (
        "[(1.0, y), (-2.0, j)], lower=value",
        "[(1.0, y), (-2.0, j)], lower=1 - value",
        "nearest_cases",
    ),
}


@pytest.mark.parametrize("name", WRONG_STAIRS)
def test_wrong_rules_of_what_rounds_are_refuted(name: str) -> None:
    before, after, rule = WRONG_STAIRS[name]
    names = mutant(stairs, before, after)
    smt = rule == "nearest_cases"
    wrong = [r for r in names["STAIRS_CASES" if smt else "STAIRS_ROWS"] if r.rule.__name__ == rule]
    proofs = prove_encoding(replace(find_encoding("smt" if smt else "bigm"), rules=tuple(wrong)), seconds=20)
    assert proofs.answer is Answer.REFUTED, str(proofs)


WRONG_CURVES = {
    "lines swapped": (
        TRIANGLE,
        "below, low, above, high = node",
        "above, high, below, low = node",
        "any other function",
    ),
    "an upper line as a lower one": (TRIANGLE, "upper=high, says", "lower=high, says", "any other function"),
    "a factor less": (monomials, "range(2, n + (", "range(3, n + (", "power 3"),
    "another side of a column": (monomials, "*(side[index] for", "*(-side[index] for", "power 3"),
    "the node itself": (monomials, "one, last, ids[index], says", "one, last, h[index], says", "power -2"),
}


@pytest.mark.parametrize("name", WRONG_CURVES)
def test_wrong_rules_of_curves_are_refuted(name: str) -> None:
    module, before, after, subject = WRONG_CURVES[name]
    names = mutant(module, before, after)
    wrong = names["TRIANGLE"] if module is TRIANGLE else replace(find_encoding("bigm"), rules=(names["MONOMIAL"],))
    (theorem,) = [t for t in theorems([wrong], powers=(3, -2)) if t.subject.name == subject]
    assert theorem.prove(seconds=30).answer is Answer.REFUTED


def test_exact_claimed_of_an_outer_rule() -> None:
    triangle = find_encoding("triangle")
    claimed = replace(triangle, rules=tuple(replace(r, exactness=Exactness.EXACT) for r in triangle.rules[:1]))
    found = [p for p in prove_encoding(claimed) if p.answer is Answer.REFUTED]
    assert {p.subject for p in found} == {"any hinge", "relu"}
    assert all("allow another value" in str(p) for p in found)


def test_a_counterexample_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    wrong = only(mutant(*MUTANTS["chord: no intercept"][:3])["TRIANGLE"], "hinge")
    proof = next(p for p in prove_encoding(wrong) if p.subject == "relu")
    assert proof.counterexample is not None
    n = proof.counterexample.numbers
    assert n["l(h)"] < n["h"] < n["u(h)"]
    assert n["y"] == max(n["h"], 0)
    proof.counterexample.draw(wrong, tmp_path / "wrong.svg")
    assert "cuts off" in (tmp_path / "wrong.svg").read_text()


def test_what_is_not_covered_is_unknown_and_says_why() -> None:
    triangle = find_encoding("triangle")
    (proof,) = prove_encoding(replace(triangle, rules=(replace(triangle.rules[2], fn=Tanh),)))
    assert proof.answer is Answer.UNKNOWN
    assert "not covered" in proof.reason
    (cut,) = prove_encoding(replace(triangle, rules=(), cuts=(TANGENTS,)))
    assert "reads 'query' of its scene" in cut.reason


def test_the_kit_proves_on_request() -> None:
    wrong = only(mutant(*MUTANTS["chord: at_u rounded down"][:3])["TRIANGLE"], "hinge")
    with pytest.raises(ConformanceError, match="refuted on any hinge: left"):
        check_encoding(wrong, kinds=("dense",), seeds=range(1), bounds=("ibp",), prove=True)
    right = only(find_encoding("triangle"), "hinge")
    assert check_encoding(right, kinds=("dense",), seeds=range(1), bounds=("ibp",), prove=True).proved > 0


def test_a_rule_that_rounds_to_floats_itself_is_not_called_proved() -> None:
    def rule(ctx: Any, node: Any, args: Any) -> Any:
        lower, upper = ctx.interval(node.parents[0])
        return ctx.columns(node, "post", ctx.every(node), [float(v) for v in lower], upper)

    triangle = find_encoding("triangle")
    odd = replace(triangle, rules=(replace(triangle.rules[0], rule=rule),))
    proofs = prove_encoding(odd)
    assert proofs.answer is Answer.UNKNOWN
    assert all("turned into a float" in p.reason for p in proofs)


def test_nothing_to_prove_is_not_proved() -> None:
    proof = prove(("nothing", "at all", "sound"), lambda world: None, lambda made: [], seconds=5)
    assert proof.answer is Answer.UNKNOWN
