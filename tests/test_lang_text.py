"""The full text of properties: it parses back to the same content, nothing else is taken, and LaTeX is well formed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_lang_semantics import NET, formula_nn, formulas

import nnsym as nn
from nnsym.errors import InputError, LanguageError, NnsymError, UnsupportedError
from nnsym.lang.property import Property
from nnsym.lang.statements.formulas import Formula
from nnsym.lang.writing.text import Text

f = nn.zoo.random_mlp(1, widths=(3, 4, 2))
g = nn.zoo.random_mlp(2, widths=(2, 3, 2))


def round_trip(p: Property, *networks: Any) -> Property:
    """What the text of a property parses back to; its text is the same again."""
    q = nn.parse(p.text(), networks)
    assert q.hash == p.hash
    assert q.text() == p.text()
    assert q.name == p.name
    return q


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(formulas(2), formulas(2), st.lists(st.integers(-8, 8), min_size=3, max_size=3))
def test_random_properties_parse_back(where: Any, then: Any, point: list[int]) -> None:
    x = nn.Variable(3)
    y = NET(x)
    p = nn.forall(x, where=formula_nn(where, x, y), then=formula_nn(then, x, y))
    q = round_trip(p, NET)
    here = np.array(point) / 4
    assert q(here) == p(here)
    assert q.margin(here) == p.margin(here)


def statements() -> list[Property]:
    x, z, k = (
        nn.Variable((2, 3), name="x"),
        nn.Variable(2, name="my z"),
        nn.Variable(2, name="k", integer=[True, False]),
    )
    s = nn.one_hot(3, name="s")
    y, v = f(x[0]), g(z)
    two = nn.Network("two", g.inputs, {"a": g.outputs["y"], "b": g.tensors["relu_1"]})
    many = [nn.norm(x[i] - 1, p) <= "0.1" for i in range(2) for p in (1, np.inf)]
    return [
        nn.forall([x, z], where=nn.box(x, [[0, "0.1", -np.inf]] * 2, None), then=y[0] + v[1] >= 2 * (y - v[::-1])[0]),
        nn.forall([x, k], where=nn.ball(k, 0, "1/3", p=1, within=(0, 1)), then=(x @ [1, 2, 3] <= k).any(), name="two"),
        nn.forall(x, then=nn.all(x.reshape(3, 2)[:, 0] @ np.eye(3) + x.T[..., 1] ** 2 >= -np.ones(3) / 3)),
        nn.forall(z, then=sum(two(z)[1]) + nn.concat(*two(z))[-1] >= nn.clip(z, None, Fraction(1, 7)).max()),
        nn.forall(x, then=f.active("relu_1", [0, 2])(x[0]).all() | (y.hidden("relu_1").pre == -1).any()),
        nn.forall(x, where=many, then=nn.argmin(y) != nn.argmax(y[:2])),
        nn.forall([x, z], then=(nn.topk(x, 3).has(4) >> nn.wins(y, 1)) != (nn.topk(x, 2).sum() < x.mean((0, 1)))),
        nn.forall(
            x, then=nn.all(np.array([True, False]) | (y <= np.float32(0.1))) & ~(nn.min(y, 3)[1] == nn.abs(y)[0])
        ),
        nn.forall(z, where=nn.ball(z, [0, "0.1"], "1/3", p=2, within=(0, 1)), then=nn.norm(z - 1, 2) <= 2),
        nn.exists([z, s], where=s[0] == 1, then=nn.norm(g(z), 2) > 3).relaxed("0.01"),
        nn.forall(z, then=[True, nn.relu(g(g(z))) @ g(z) <= 1e300, nn.max([z[0], 3]) <= [[1.5]][0]]),
    ]


@pytest.mark.parametrize("k", range(11))
def test_every_form_of_the_language_parses_back(k: int) -> None:
    round_trip(statements()[k], f, g, nn.Network("two", g.inputs, {"a": g.outputs["y"], "b": g.tensors["relu_1"]}))


def test_the_text_is_short_where_the_property_is() -> None:
    """Shared terms stand once (a doubling chain has linear text), and long sums stay shallow enough to parse."""
    x = nn.Variable(2, name="x")
    term = x
    for _ in range(40):
        term = nn.relu(term + term[::-1] / 2)
    p = nn.forall(x, where=nn.box(x, 0, 1), then=sum(x[0] + k for k in range(500)) >= term[0])
    q = round_trip(p)
    assert len(p.text()) < 20_000
    assert q([0.5, 0.25]) == p([0.5, 0.25])


def test_the_text_reads_like_the_program() -> None:
    x = nn.Variable(3, name="x")
    y = f(x)
    p = nn.forall(x, where=nn.box(x, [0, "0.1", 0], 1), then=(nn.argmax(y) != 0) | (y[1] > 2), name="phi")
    assert p.text() == (
        "# nnsym property\n"
        f"random_mlp_1 = network('random_mlp_1', '{f.hash}')\n"
        "x = variable('x', (3,))\n"
        "y = random_mlp_1(x)\n"
        "forall(\n"
        "    [x],\n"
        "    where=box(x, ['0', '0.1', '0'], 1),\n"
        "    then=(argmax(y) != 0) | (y[1] > 2),\n"
        "    name='phi',\n"
        ")\n"
    )


def test_hashes_tell_contents_apart_and_not_names() -> None:
    def phi(name: str, limit: object) -> str:
        x = nn.Variable(2, name=name)
        return nn.forall(x, where=nn.box(x, 0, 1), then=x[0] <= limit, name=f"about {name}").hash

    assert phi("x", 0.5) == phi("z", Fraction(1, 2)) == phi("z", "0.5")
    assert len({phi("x", v) for v in (0.1, "0.1", "1/10", 0.5, np.float32(0.1))}) == 4
    x = nn.Variable(2)
    regions = [nn.box(x, 0, 0.1), nn.box(x, 0, "0.1"), nn.ball(x, 0.1, 1, p=2), nn.ball(x, "0.1", 1, p=2)]
    assert len({nn.forall(x, where=region, then=x[0] <= 1).hash for region in regions}) == 4
    assert nn.forall(x, then=x[0] < 1).hash != nn.forall(x, then=x[0] <= 1).hash


def test_networks_are_compared_by_their_hash() -> None:
    x = nn.Variable(2, name="x")
    text = nn.dumps(nn.forall(x, then=g(x)[0] <= 1))
    other = nn.zoo.random_mlp(9, widths=(2, 3, 2))
    assert nn.parse(text, {"whatever": g}).hash == nn.parse(text, [g]).hash
    with pytest.raises(InputError, match=r"line 2: .*'random_mlp_2' is not given.*networks="):
        nn.parse(text)
    with pytest.raises(InputError, match=rf"has the hash {other.hash[:12]}..., the text is about {g.hash[:12]}"):
        nn.parse(text, {"random_mlp_2": other})


# fmt: off
HOSTILE = [
    ("__import__('os').system('true')", "'.system' of|'__import__' is not defined"),
    ("x.__class__", "'.__class__' of Variable is no part"),
    ("x.rows", "'.rows' of Variable is no part"),
    ("(lambda: 1)()", "'Lambda' is no part of the language"),
    ("[v for v in x]", "'ListComp' is no part"),
    ("9 ** 9", "an operation on two numbers"),
    ("f'{x}'", "'JoinedStr' is no part"),
    ("0 < x[0] < 1", "a chained comparison. Split it"),
    ("x[0] < 1 and x[1] < 1", "'BoolOp' is no part"),
    ("x if x else 1", "'IfExp' is no part"),
    ("(x[0] < 1) << 2", "'BinOp' is no part"),
    ("z <= 1", "'z' is not defined. Known names: x"),
    ("box(**{})", "'**' is no part|'Dict' is no part"),
    ("x(1)", "Variable cannot be called"),
    ("x[5] <= 1", "cannot be indexed"),
    ("relu(x, 1, 2)", "TypeError"),
    ("x[0] <= 1", "does not end with a property"),
    ("topk(x, 7).has(0)", "nn.topk of 7 among 2 elements"),
]
# fmt: on


@pytest.mark.parametrize(("source", "reason"), HOSTILE, ids=[h[0] for h in HOSTILE])
def test_nothing_but_the_language_is_taken(source: str, reason: str) -> None:
    with pytest.raises(NnsymError) as caught:
        nn.parse(f"x = variable('x', (2,))\n{source}\n")
    assert any(part in str(caught.value) for part in reason.split("|")), str(caught.value)
    assert "line 2" in str(caught.value) or "text" in str(caught.value)


@pytest.mark.parametrize("source", ["import os", "def f(): pass", "x = y = 1", "x += 1", "del x", "while 1: pass"])
def test_no_other_statements(source: str) -> None:
    with pytest.raises(InputError, match=r"line 1: .*no part of a property's text|not defined"):
        nn.parse(source)


def test_broken_text_names_its_line_and_deep_text_is_refused() -> None:
    with pytest.raises(InputError, match="line 2: not the text of a property"):
        nn.parse("x = 1\nx = (\n")
    with pytest.raises(InputError, match=r"not the text of a property|RecursionError"):
        nn.parse("x = variable('x', (1,))\nforall([x], then=" + "-" * 50_000 + "x[0] <= 1)")


def test_a_property_without_a_syntax_tree_says_so() -> None:
    x = nn.Variable(2)
    p = nn.forall(x, then=x[0] <= 1)
    with pytest.raises(UnsupportedError, match="no text form"):
        nn.dumps(replace(p, then=Formula(p.then.tree, Text("x[0] <= 1"))))


def test_quantifiers_choices_and_slack_parse_back() -> None:
    x, s = nn.Variable(3), nn.one_hot((2, 3))
    p = nn.exists([x, s], where=nn.box(x, 0, 1) & (s[0, 1] == 1), then=nn.all(f(x)[0] >= x - s[1]), name="some")
    q = round_trip(p, f)
    assert q.variables[1].input.groups()[1].tolist() == [3, 4, 5]
    round_trip(p.relaxed(Fraction(1, 3)), f)
    assert p.relaxed(Fraction(1, 3)).hash != p.hash
    assert str(p).startswith("exists x[3], s[2, 3] one-hot\n")
    assert r"\exists x" in p._repr_latex_()
    assert r"\wedge" in p._repr_latex_()


def test_what_the_language_refuses_is_refused_at_the_line_of_the_text() -> None:
    with pytest.raises(LanguageError, match=r"^line 4: `then=x <= 1,`: 'then' is an array of 2 comparisons"):
        nn.parse("x = variable('x', (2,))\nforall(\n[x],\nthen=x <= 1,\n)")


@pytest.mark.parametrize("k", range(11))
def test_latex_is_well_formed(k: int) -> None:
    mathtext = pytest.importorskip("matplotlib.mathtext")
    latex = statements()[k]._repr_latex_()
    assert latex.startswith("$\\displaystyle ")
    mathtext.MathTextParser("path").parse(latex.replace("\\displaystyle", ""))


def test_latex_is_the_formula() -> None:
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, 0, 1) & (x[0] + 1 <= 2 * x[1]), then=(abs(x[0]) < 1) | ~(nn.max(x) == 3))
    assert p._repr_latex_() == (
        r"$\displaystyle \forall x \in \mathbb{R}^{2}:\quad 0 \leq x \leq 1 \wedge {x}_{0} + 1 \leq 2 \cdot {x}_{1} "
        r"\;\Rightarrow\; \left|{x}_{0}\right| < 1 \vee \neg \left(\max\left(x\right) = 3\right)$"
    )
    assert not hasattr(p, "_repr_html_")  # a notebook would show it instead


def test_a_formula_that_is_no_line_any_more_is_shown_as_text():
    f, a = nn.zoo.random_mlp(2, widths=(2, 4, 2)), np.array([[1, 0.5], [0, 1]])
    x = state = nn.Variable(2, name="x")
    short = nn.forall(x, where=nn.box(x, -1, 1), then=nn.all(a @ state <= 3))
    for _ in range(5):
        state = a @ state + f(state)
    long = nn.forall(x, where=nn.box(x, -1, 1), then=nn.all(state <= 3))
    assert short._repr_latex_().startswith("$")
    assert long._repr_latex_() is None
    assert long.statement()["latex"] == ""
    assert "let   t_4" in repr(long)
