"""Small things that a new user stumbled over once: help, names, words in messages, sums of seconds."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import nnsym as nn
from nnsym import demo
from nnsym.cli.main import app

run = CliRunner()
ROOT = Path(__file__).resolve().parents[1]


def test_every_public_function_has_help_and_named_parameters():
    for name in dir(nn):
        thing = getattr(nn, name)
        if not inspect.isfunction(thing):
            continue
        assert inspect.getdoc(thing), name
        kinds = {p.kind for p in inspect.signature(thing).parameters.values()}
        assert kinds != {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}, name
    named = inspect.signature(nn.bounds).parameters
    assert {"prop", "method", "device"} <= set(named)
    assert not any(p.kind is p.VAR_KEYWORD for p in named.values())


def test_the_limit_of_a_comparison_is_said_to_be_that_of_a_run():
    told = " ".join(run.invoke(app, ["compare", "--help"], env={"COLUMNS": "200"}).output.split())
    assert "Wall seconds of each run of each row" in told
    assert "Wall seconds for everything" not in told


def test_without_bounds_and_without_a_method_smt_is_asked():
    f, x = nn.zoo.random_mlp(1, widths=(2, 4, 2)), nn.Variable(2, name="x")
    p = nn.forall(x, then=nn.abs(f(x)[0] - f(x)[0]) <= 1)
    r = nn.verify(p)
    assert r.verified
    with pytest.raises(nn.MissingBoundsError, match=r"\[-inf, inf\] and the encoding 'bigm'.*nn\.box.*\(smt\)"):
        nn.verify(nn.forall(x, then=f(x)[0] <= 1e9), "bigm")


def test_messages_about_products_name_the_term_and_the_solvers_that_take_them():
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.apply("silu", x)[0] * x[1] <= 2)
    with pytest.raises(nn.UnsupportedError) as caught:
        nn.verify(p, "bigm", solver="highs")
    said = str(caught.value)
    assert "`apply('silu', x)[0] * x[1] <= 2`" in said
    assert "Solvers that fit 'bigm'" in said
    assert "the element at" not in said


def test_a_drawing_goes_where_it_is_told(tmp_path: Path):
    done = run.invoke(app, ["show", str(demo.NETWORK), "--svg", str(tmp_path / "net.svg")])
    assert done.exit_code == 0
    assert (tmp_path / "net.svg").read_text().startswith("<svg")


def test_the_seconds_of_an_answer_have_a_place(tmp_path: Path):
    (tmp_path / "p.py").write_text(
        "import nnsym as nn\nx = nn.Variable(1)\np = nn.forall(x, where=nn.box(x, 0, 1), then=x[0] <= 2)\n"
    )
    told = json.loads(run.invoke(app, ["verify", f"{tmp_path / 'p.py'}:p", "--json"]).stdout)["seconds"]
    assert {"start", "load", "total"} < set(told)  # imports count
    assert sum(spent for name, spent in told.items() if name != "total") <= told["total"]


def test_the_docs_say_what_was_looked_for():
    docs = ROOT / "docs"
    pages = {str(path.relative_to(docs)): path.read_text(encoding="utf-8") for path in docs.rglob("*.md")}
    led = pages["reading.md"].partition("## Words that are looked for")[2].partition("\n## ")[0]
    for word in ("DeepPoly", "branch and bound", "MIPVerify", "OMLT", "randomized smoothing", "certified training"):
        assert word in led, word
    assert "glpsol --freemps" in pages["howto/pyomo.md"]
    for column in ("gap", "open", "goal", "hand s"):
        assert column in pages["reports.md"]
    assert "to_pyomo(columns=" not in pages["performance.md"]
    assert "Gelu" in pages["operators.md"]
