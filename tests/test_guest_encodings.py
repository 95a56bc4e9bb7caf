"""``check_encoding`` refuses constants rounded to the wrong side, and rules that emit what nobody declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnsym_encodings.bigm as bigm
import nnsym_encodings.triangle as triangle
from nnsym.builder import row_block
from nnsym.encode.registry import find_encoding
from nnsym.encode.rules import open_hinges
from nnsym.encoding import Cut, Encoding, Exactness, NodeRule
from nnsym.ir.node import Pointwise
from nnsym.ir.outward import product_down, product_up, sum_down, sum_up
from nnsym.ir.univariate import Hinge
from nnsym.program import Feature, Kind, Role, Tag
from nnsym.testing.check_encoding import ConformanceError, check_encoding


def upside_down(module: Any, line: str, wrong: str) -> Encoding:
    """The encoding of a module with one line of its source changed."""
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert source.count(line) == 1
    made: dict[str, Any] = {"__name__": "guest"}
    exec(compile(source.replace(line, wrong), "guest", "exec"), made)
    found: Encoding = made["BIGM" if module is bigm else "TRIANGLE"]
    return replace(found, name="guest")


@pytest.mark.parametrize(
    ("module", "line", "wrong"),
    [
        (triangle, "at_u = product_up(o.u, sum_up(product_up(width, o.b), -slope))",
         "at_u = product_up(o.u, sum_down(product_up(width, o.b), -slope))"),
        (triangle, "at_l = product_up(o.l, sum_down(product_down(width, o.a), -slope))",
         "at_l = product_down(o.l, sum_down(product_down(width, o.a), -slope))"),
        (triangle, "top = np.maximum(np.maximum(at_l, at_u), 0.0)",
         "top = np.maximum(np.maximum(at_l, at_u), 0.0) * (1 - 2.0**-52)"),
    ],
    ids=["the upper end of the chord", "its lower end", "the right-hand side"],
)  # fmt: skip
def test_a_chord_that_is_rounded_down_is_refused(module: Any, line: str, wrong: str) -> None:
    with pytest.raises(ConformanceError, match="a run of the network violates a row by"):
        check_encoding(upside_down(module, line, wrong), kinds=("dense", "leaky", "abs"), seeds=(), solver="none")


def test_a_big_m_whose_rise_is_rounded_down_is_refused() -> None:
    wrong = upside_down(bigm, "rise = sum_up(o.b, -o.a)", "rise = sum_down(o.b, -o.a)")
    with pytest.raises(ConformanceError, match="a run of the network violates a row by"):
        check_encoding(wrong, kinds=("leaky",), seeds=(), solver="none")


#: Where both big-M are too small by one part in a million.
WHERE: dict[str, Callable[[Any], Any]] = {
    "upper ends beyond 1e6": lambda o: o.u > 1e6,
    "upper ends below 1e-6": lambda o: o.u < 1e-6,
    "lower ends far larger": lambda o: -o.l > 1e6 * o.u,
    "whole lower ends": lambda o: o.l == np.round(o.l),
    "slopes beyond 1e3": lambda o: np.maximum(abs(o.a), abs(o.b)) > 1e3,
    "tiny slopes": lambda o: np.maximum(abs(o.a), abs(o.b)) < 1e-9,
    "slopes nearly the same": lambda o: o.b - o.a < 1e-9 * np.abs(o.b),
    "missing bounds": lambda o: np.isinf(o.l) | np.isinf(o.u),
}


@pytest.mark.parametrize("where", [w if "missing" in w else pytest.param(w, marks=pytest.mark.slow) for w in WHERE])
def test_a_big_m_that_is_wrong_for_numbers_of_one_kind_is_refused(where: str) -> None:
    def rule(ctx: Any, node: Any, args: Any) -> Any:
        ids, o = open_hinges(ctx, node, args[0])
        z = ctx.columns(node, Role.PHASE, o.index, 0.0, 1.0, kind=Kind.BINARY)
        share = np.where(WHERE[where](o), 1 - 1e-6, 1.0)
        l, u = np.nan_to_num(o.l, neginf=-1e3), np.nan_to_num(o.u, posinf=1e3)  # noqa: E741
        m, n = (product_up(sum_up(o.b, -o.a), side) * share for side in (u, -l))
        ctx.rows(node, [(o.sign, o.y), (-o.a, o.h), (-m, z)], upper=0.0, says="M")
        ctx.rows(node, [(o.sign, o.y), (-o.b, o.h), (n, z)], upper=n, says="N")
        return ids

    rules = (NodeRule(Pointwise, Exactness.EXACT, rule, Hinge),)
    wrong = replace(find_encoding("bigm"), name="wrong", rules=rules, needs_bounds=where != "missing bounds")
    with pytest.raises(ConformanceError, match="a run of the network violates a row by"):
        check_encoding(wrong, kinds=("dense", "leaky", "abs"), seeds=(), solver="none")


@pytest.mark.parametrize("name", ["bigm", "smt", "indicator"])
def test_what_rules_emit_has_to_be_declared(name: str) -> None:
    whole = find_encoding(name)
    for feature in whole.emits & {Feature.ROWS, Feature.BINARIES}:
        with pytest.raises(ConformanceError, match=f"emit {feature.value}, which emits= does not name"):
            check_encoding(replace(whole, emits=whole.emits - {feature}), kinds=("dense",), seeds=(0,), solver="none")


def test_what_has_no_rule_is_said_to_be_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    done = check_encoding("bigm", kinds=("dense", "tanh"), seeds=(0,), bounds=("ibp",), solver="none")
    assert done.skipped == (("tanh", "it has no rule for such a network"),)
    assert "check_encoding(bigm) skipped tanh" in capsys.readouterr().err


class Above(Cut):
    """``y >= b h`` for open ReLUs, and what a subclass makes of it."""

    change: Callable[[Any], Any] = staticmethod(lambda b: (b, 0.0))

    def separator(self, scene: Any) -> Any:
        def separate(point: np.ndarray) -> Any:
            for layer in scene.layers:
                o = layer.hinges
                slope, right = self.change(o)
                bad = np.flatnonzero(o.b * point[o.h] - o.sign * point[o.y] > scene.tolerance)
                terms = [(o.sign[bad], o.y[bad]), (-slope[bad], o.h[bad])]
                yield row_block(terms, lower=np.broadcast_to(right, len(o.y))[bad], tag=Tag.CUT, origin="y >= b h")

        return separate


#: Cuts that remove a true point: by a wide margin, by a slope one ulp too steep, by a right-hand side one too large.
WRONG = {
    "a steeper slope": lambda o: (o.b * 1.001, 0.0),
    "a slope rounded up": lambda o: (np.nextafter(o.b, np.inf), 0.0),
    "a side above": lambda o: (o.b, 2.0**-40),
    "a side above, of wide neurons": lambda o: (o.b, np.where(o.u - o.l > 50, 2.0**-40, 0.0)),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_cut_that_removes_a_run_is_refused(fault: str) -> None:
    wrong = Above(name="above", summary="y >= b h", source="nobody")
    object.__setattr__(wrong, "change", WRONG[fault])
    with pytest.raises(ConformanceError, match="y >= b h"):
        check_encoding(loose() + wrong, kinds=("dense",), seeds=range(2), bounds=("ibp",), solver="none")


def loose() -> Encoding:
    """The chord alone: cuts from below have something to do."""

    def rule(ctx: Any, node: Any, args: Any) -> Any:
        ids, o = open_hinges(ctx, node, args[0])
        triangle.chord(ctx, node, o)
        return ids

    rules = (NodeRule(Pointwise, Exactness.OUTER, rule, Hinge),)
    return replace(triangle.TRIANGLE, name="chord", rules=rules)


def test_the_right_cut_passes() -> None:
    right = Above(name="above", summary="y >= b h", source="nobody")
    object.__setattr__(right, "change", lambda o: (o.b, 0.0))
    assert check_encoding(loose() + right, kinds=("dense",), seeds=(0,), bounds=("ibp",)).runs > 10


def test_outward_sums_are_what_the_mutants_say() -> None:
    assert sum_down(0.1, 0.2) < sum_up(0.1, 0.2)
    assert product_down(0.1, 0.3) < product_up(0.1, 0.3)
