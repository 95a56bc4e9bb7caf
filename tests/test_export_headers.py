"""What the header of an exported file says is never more than the file proves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nnsym as nn
from nnsym.encode.registry import find_encoding
from nnsym.encoding import Encoding

x = nn.Variable(2, name="x")
f = nn.zoo.random_mlp(3, widths=(2, 4, 2))
REGION = nn.box(x, -1, 1)
HOLDS = nn.forall(x, where=REGION, then=f(x)[0] <= 50, name="p")
SOME = nn.exists(x, where=REGION, then=f(x)[0] >= -50, name="q")


def said(prop: object, encoding: str | Encoding | None, folder: Path, suffix: str = ".smt2") -> str:
    text = nn.export(prop, folder / f"file{suffix}", encoding=encoding).read_text()
    comments = [line.lstrip(";*\\ ") for line in text.splitlines() if line[:1] in ";*\\"]
    return " ".join(comments)


@pytest.mark.parametrize("prop", [HOLDS, SOME], ids=["forall", "exists"])
def test_satisfiability_of_an_outer_encoding_decides_nothing(prop: nn.Property, tmp_path: Path) -> None:
    outer = said(prop, "smt-short12", tmp_path)
    assert "sat: nothing is decided, the point is a candidate" in outer
    assert "violates it" not in outer
    assert "its witness" not in outer
    assert "nothing is decided" not in said(prop, "smt", tmp_path)


@pytest.mark.parametrize("suffix", [".lp", ".mps", ".smt2"])
@pytest.mark.parametrize("encoding", ["triangle", find_encoding("bigm").relax()], ids=["triangle", "relaxed"])
def test_a_relaxation_states_a_lower_bound(encoding: str | Encoding, suffix: str, tmp_path: Path) -> None:
    assert "a lower bound of the property's margin" in said(HOLDS, encoding, tmp_path, suffix)
    assert "otherwise nothing is decided" in said(HOLDS, encoding, tmp_path, suffix)
    assert "lower bound" not in said(HOLDS, "bigm", tmp_path, suffix)


def test_closed_jumps_are_a_relaxation_too(tmp_path: Path) -> None:
    jumps = nn.forall(x, where=REGION, then=nn.sign(x)[0] <= 2, name="jump")
    assert "a lower bound of the property's margin" in said(jumps, "bigm", tmp_path, ".lp")
    assert "sat: the point violates it" in said(jumps, "smt", tmp_path)


@pytest.mark.parametrize("suffix", [".lp", ".mps"])
@pytest.mark.parametrize("quantify", [nn.forall, nn.exists])
def test_a_strict_condition_that_is_closed_decides_one_way_only(
    quantify: Callable[..., nn.Property], suffix: str, tmp_path: Path
) -> None:
    """No input satisfies x[0] > x[0], but its closure has all of them, and a minimum below 0."""
    never = quantify(x, where=REGION & nn.wins(nn.concat(x[0], x[0]), 0), then=x[0] * 0 + f(x)[0] >= 0)
    told = said(never, "bigm", tmp_path, suffix)
    assert "a lower bound of" in told
    assert "otherwise nothing is decided: strict comparisons of the condition are closed here" in told
    assert "closed here" not in said(never, "smt", tmp_path)
    least = nn.minimize(x[0], where=REGION & (x[0] > x[1]))
    assert "the minimum of t is a lower bound of the minimum of the term" in said(least, "bigm", tmp_path, suffix)


def test_a_minimum_of_0_decides_nothing_where_some_limits_are_strict(tmp_path: Path) -> None:
    """It may be that of y >= 0, which holds then, or that of y > 0, which does not."""
    mixed = nn.forall(x, where=REGION, then=(x[0] >= -1) & (x[1] > -2))
    told = said(mixed, "bigm", tmp_path, ".lp")
    assert "holds if the minimum is > 0 or the program is infeasible, is violated if it is < 0" in told
    assert nn.verify(mixed).verified  # its minimum is 0
    assert "is violated otherwise" in said(HOLDS, "bigm", tmp_path, ".lp")


@pytest.mark.parametrize(("encoding", "suffix"), [("smt", ".smt2"), ("bigm", ".lp"), ("bigm", ".mps")])
def test_slack_and_assumed_bounds_are_named_where_the_meaning_is(encoding: str, suffix: str, tmp_path: Path) -> None:
    relaxed = HOLDS.query.relaxed("1/1000")
    assert "with its slack of 0.001 here, not as it was stated" in said(relaxed, encoding, tmp_path, suffix)
    asserted = nn.assume(HOLDS, {"relu_1": (0, np.inf)})
    told = said(asserted, encoding, tmp_path, suffix)
    assert "holds only if the assumed bounds do, which nothing here checks: relu_1" in told


def test_losses_of_vnnlib_say_what_a_point_is_worth(tmp_path: Path) -> None:
    near = nn.forall(x, where=REGION & (nn.norm(x, p=2) <= 1), then=f(x)[0] <= 50, name="ball")
    text = nn.to_vnnlib(near, version="1.0").text
    assert "so unsat carries over, and a point that satisfies the assertions is a candidate" in text
    assert "; meaning   unsat: the violation has no solution" in text
    relaxed = nn.to_vnnlib(HOLDS.query.relaxed("1/1000")).text
    assert "the property, with the slack of 0.001 that was asked for, is violated" in relaxed
    assert "satisfied exactly where the property holds" in nn.to_vnnlib(SOME).text
