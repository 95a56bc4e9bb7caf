"""Vacuity as a question of its own, in Python and on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import nnsym as nn
from nnsym.cli.main import entry
from nnsym.errors import InputError

f = nn.zoo.lecture()


@pytest.mark.parametrize("method", [None, "bigm", "smt"])
def test_whether_an_input_meets_the_precondition(method: str | None) -> None:
    x = nn.Variable(2)
    empty = nn.forall(x, where=nn.box(x, 0, 1) & (f(x)[0] >= 9), then=f(x)[0] >= 0)
    found = nn.vacuous(empty, method)
    assert found
    assert found.warnings == ("no input satisfies the precondition",)
    met = nn.forall(x, where=nn.box(x, 0, 1) & (f(x)[0] >= 1), then=f(x)[0] >= 0)
    assert not nn.vacuous(met, method)
    assert nn.vacuous(met, method).warnings == ()
    witness = nn.vacuous(met, method).result.witness
    assert witness is not None
    assert f.evaluate(witness.inputs["x"].astype(float))[0] >= 1
    some = nn.exists(x, where=nn.box(x, 0, 1) & (x[0] >= 2), then=f(x)[0] >= 0)
    assert nn.vacuous(some, method)


def test_what_is_not_known_has_no_truth_value() -> None:
    x = nn.Variable(2)
    p = nn.forall(x, where=nn.box(x, 0, 1) & (f(x)[0] >= 1), then=f(x)[0] >= 0)
    found = nn.vacuous(p, "crown")
    assert found.vacuous is None
    with pytest.raises(InputError, match="not known whether an input satisfies"):
        bool(found)


X = nn.Variable(2, name="x")
SINGLE = nn.zoo.random_mlp(0, widths=(2, 3, 1))


@pytest.mark.parametrize("conclusion", [True, nn.argmax(SINGLE(X)) == 0, nn.all([]), nn.all(f(X)[:0] <= 1)])
@pytest.mark.parametrize("method", [None, "crown", "attack", "bigm", "smt"])
def test_a_conclusion_that_is_constant_says_nothing_of_the_precondition(conclusion: object, method: str | None) -> None:
    some, half = nn.box(X, 0, 1), nn.box(X, 0, 1) & (X[0] + X[1] <= 1)
    for where in (some, half):
        held = nn.verify(nn.forall(X, where=where, then=conclusion), method)
        assert (held.verified, held.vacuous, held.lower, held.trust) == (True, False, np.inf, held.lower_trust)
        never = nn.exists(X, where=where, then=~nn.all([conclusion]))
        said = nn.verify(never, method, slack=2)
        assert (said.falsified, said.vacuous, said.upper) == (True, False, -np.inf)
        assert not nn.vacuous(never)
    empty = nn.verify(nn.forall(X, where=some & (X[0] + X[1] >= 3), then=conclusion), method)
    assert (empty.verified, empty.vacuous) == (True, True)
    nothing = nn.verify(nn.forall(X, where=False, then=conclusion), method)
    assert (nothing.verified, nothing.vacuous) == (True, True)


def test_a_conclusion_without_a_network_is_pointed_out() -> None:
    x = nn.Variable(2)
    p = nn.forall(x, where=nn.box(x, 0, 1) & (f(x)[0] >= 1), then=nn.relu(x)[0] >= 0)
    assert nn.vacuous(p).warnings == ("the conclusion does not depend on a network",)
    hidden = nn.forall(x, where=nn.box(x, 0, 1), then=f.hidden("relu_1")(x).pre[0] >= 0)
    assert nn.vacuous(hidden).about_network


FILE = """
import nnsym as nn
x = nn.Variable(2)
f = nn.zoo.lecture()
some = nn.exists(x, where=nn.box(x, 0, 1), then=f(x)[0] >= 2)
none = nn.exists(x, where=nn.box(x, 0, 1), then=f(x)[0] >= 3)
tight = nn.forall(x, where=nn.box(x, 0, 1), then=f(x)[0] <= 1.75)
empty = nn.forall(x, where=nn.box(x, 0, 1) & (x[0] + x[1] >= 3), then=f(x)[0] >= 9)
"""


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["nnsym", *arguments])
    with pytest.raises(SystemExit) as exit_:
        entry()
    return int(exit_.value.code or 0)


def test_the_command_line_knows_quantifiers_slack_and_vacuity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "p.py"
    file.write_text(FILE)
    for name, options, code, words in (
        ("some", [], 0, ["VERIFIED", "witness: margin 0", "witness replayed"]),
        ("none", [], 10, ["FALSIFIED", "rules a witness out", "margin   in [-"]),
        ("tight", [], 10, ["FALSIFIED", "counterexample: margin"]),
        ("tight", ["--slack", "0.25", "--method", "smt"], 0, ["VERIFIED", "slack of 0.25", "slack    0.25"]),
        ("empty", ["--vacuity"], 0, ["VACUOUS", "vacuity  vacuous: no input satisfies"]),
    ):
        assert call(monkeypatch, "verify", f"{file}:{name}", *options) == code, name
        out = capsys.readouterr().out
        assert all(word in out for word in words), out
    assert call(monkeypatch, "verify", f"{file}:some", "--json", "--vacuity") == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["reading"], data["vacuity"]["vacuous"], data["vacuity"]["warnings"]) == ("exists", False, [])
    assert call(monkeypatch, "bounds", f"{file}:none") == 0
    assert "margin <= " in capsys.readouterr().out
    assert call(monkeypatch, "bounds", f"{file}:none", "--json") == 0
    assert json.loads(capsys.readouterr().out)["upper"] < 0
    assert call(monkeypatch, "verify", f"{file}:tight", "--slack", "-1") == 2
    assert "is negative" in capsys.readouterr().err
