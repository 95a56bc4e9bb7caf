"""Explanations are the program: each row shown is one of its rows, none is missing, runs satisfy them."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from stored import random_layers, stored_mlp

import nnsym as nn
from nnsym.encode.point import complete
from nnsym.encode.registry import encodings
from nnsym.encoding import Encoding, Exactness, Form, NodeRule
from nnsym.errors import InputError
from nnsym.ir.exact import to_fractions
from nnsym.ir.node import Max, Pointwise, Product
from nnsym.program import Feature, ImplicationBlock, RowBlock, Tag
from nnsym.report.explain import Explanation
from nnsym.write.notation import lines

f = nn.zoo.random_mlp(1, widths=(3, 5, 4, 2))
x = nn.Variable(3, name="x")
y = f(x)
p = nn.forall(
    x,
    where=nn.box(x, -1, 1) & (y[1] - x[0] <= 100),
    then=((y[0] <= y[1]) & (nn.max(y, x[0]).max() <= "7.1")) | (nn.abs(y)[1] >= "1/3"),
    name="phi",
)
NEURONS = [
    f"{name}[{k}]"
    for name, size in {"relu_1": 5, "relu_2": 4, "max_1": 2, "abs_1": 1, "affine_2": 2, "x": 1, "spec": 4}.items()
    for k in range(size)
]


def terms(text: str) -> tuple[dict[str, Fraction], dict[str, Fraction | None], bool]:
    """``2 a - b <= 3`` or ``1 <= 2 a - b <= 3`` read back: coefficients by name, both sides, whether it is strict."""
    found_parts = re.fullmatch(r"(?:(\S+) <=? )?(.*?) (<=|>=|<|>|=) (\S+)", text)
    assert found_parts is not None, text
    first, left, relation, right = found_parts.groups()
    found: dict[str, Fraction] = {}
    for sign, factor, name in re.findall(r"([+-]?) ?(?:(\d[\d./e+-]*) )?([A-Za-z_]\S*)", left):
        value = Fraction(float(factor) if "/" not in factor else factor) if factor else Fraction(1)
        found[name] = found.get(name, Fraction(0)) + (-value if sign == "-" else value)
    limit = side_of(right)
    low = limit if relation in (">=", ">", "=") else None if first is None else side_of(first)
    high = limit if relation in ("<=", "<", "=") else None
    return found, {"lower": low, "upper": high}, relation in ("<", ">")


def side_of(text: str) -> Fraction:
    return Fraction(text) if "/" in text else Fraction(float(text))


def shown(found: Explanation) -> list[Any]:
    return [*found.rows, *found.definitions]


def names_of(found: Explanation) -> dict[int, str]:
    names = dict(enumerate(found.encoded.program.column_names()))
    return names | {column.number: column.letter for column in found.columns}


@pytest.mark.parametrize("encoding", sorted(encodings()))
def test_rows_shown_are_the_programs_rows(encoding: str) -> None:
    """The text of every linear row is read back and compared, number for number, with the row of the program."""
    count = 0
    for neuron in NEURONS if encoding in ("bigm", "smt", "log") else NEURONS[sum(map(ord, encoding)) % 3 :: 3]:
        found = nn.explain(p, encoding, neuron=neuron)
        names = names_of(found)
        for line in shown(found):
            block = line.block
            row = block.rows if isinstance(block, ImplicationBlock) else block
            if not isinstance(row, RowBlock) or "..." in line.text:
                continue
            text = line.text.rpartition(" => ")[2]
            read, sides, strict = terms(text)
            data, low, high = row.exact or (row.data, row.lower, row.upper)
            span = slice(row.indptr[line.index], row.indptr[line.index + 1])
            values = zip(row.indices[span].tolist(), to_fractions(data[span]), strict=True)
            assert read == {names[j]: v for j, v in values}
            for side, limit in zip(sides.values(), (low[line.index], high[line.index]), strict=True):
                assert np.isinf(float(limit)) if side is None else Fraction(limit) == side
            assert row.strict == strict
            if isinstance(block, ImplicationBlock):
                guard, value = int(block.guard[line.index]), block.value[line.index]
                assert line.text.startswith(f"{'' if value else 'not '}{names[guard]} => ")
            assert line.origin == row.origin
            count += 1
    assert count > 2


@pytest.mark.parametrize("encoding", ["bigm", "smt", "triangle", "sos1", "balas", "partition2", "smt-ite"])
def test_no_row_that_reads_the_neuron_is_missing(encoding: str) -> None:
    for neuron in ("relu_1[1]", "relu_2[0]", "max_1[1]", "abs_1[1]", "spec[2]"):
        found = nn.explain(p, encoding, neuron=neuron)
        own = {c.number for c in found.columns if c.letter[0] not in "hxgv"} if "spec" not in neuron else set()
        total = list(lines(found.encoded.program, np.array(sorted(own), dtype=np.int64), str))
        listed = {line.name for line in shown(found)}
        counted = sum(n for _, n in found.used_by)
        missing = [line for line in total if line.name not in listed]
        assert len(missing) == counted
        assert all(line.writer != neuron.partition("[")[0] for line in missing)


@pytest.mark.parametrize("encoding", ["bigm", "smt", "triangle", "balas", "partition3", "sos1", "indicator"])
def test_runs_of_the_network_satisfy_what_is_shown(encoding: str) -> None:
    """The texts, evaluated with the exact values of the letters at exact runs; definitions hold with equality."""
    rng = np.random.default_rng(5)
    for neuron in ("relu_1[0]", "relu_1[3]", "relu_2[2]", "max_1[0]", "spec[1]"):
        found = nn.explain(p, encoding, neuron=neuron)
        names = names_of(found)
        for _ in range(3):
            point = {x.input: to_fractions(rng.integers(-8, 9, 3) / 8)}
            values = complete(found.encoded.program, p.query, point, exact=True)
            at = {names[j]: v for j, v in enumerate(values)}
            for line in shown(found):
                if isinstance(line.block, RowBlock) and line.tag is Tag.NETWORK and "..." not in line.text:
                    read, sides, _ = terms(line.text)
                    value = sum(v * at[name] for name, v in read.items())
                    assert sides["lower"] is None or value >= sides["lower"], line.text
                    assert sides["upper"] is None or value <= sides["upper"], line.text


def test_the_reader_knows_two_sided_rows() -> None:
    assert terms("-1/2 <= y - 2 h <= 3") == ({"y": 1, "h": -2}, {"lower": Fraction(-1, 2), "upper": 3}, False)
    assert terms("0 < y < 1") == ({"y": 1}, {"lower": 0, "upper": 1}, True)
    assert terms("y >= 1") == ({"y": 1}, {"lower": 1, "upper": None}, False)


def test_big_m_shows_l_and_u() -> None:
    found = nn.explain(p, "bigm", neuron="relu_2[1]", bounds="ibp")
    h = next(c for c in found.columns if c.letter == "h")
    facts = dict(found.facts)
    assert facts["formula"] == "y = max(0, h)"
    assert facts["phase"] == "open: l < 0 < u"
    assert facts["bounds"].startswith(f"{h.lower:g} <= h <= {h.upper:g}")
    assert [line.text for line in found.rows] == [
        "y - h >= 0",
        f"y - {h.upper:g} z <= 0",
        f"y - h + {-h.lower:g} z <= {-h.lower:g}",
    ]
    assert [line.writer for line in found.definitions] == ["affine_2"]
    readers = np.count_nonzero(f.tensor("affine_3").node.maps[0].weight[:, 1])
    assert found.used_by == (("affine_3", readers),)


def test_stable_neurons_say_what_they_share() -> None:
    z = nn.Variable(2, name="z")
    q = nn.forall(z, where=nn.box(z, [1, -2], [2, -1]), then=nn.relu(z * [2, 2]).sum() >= 0, name="stable")
    active, inactive = (nn.explain(q, "bigm", neuron=f"relu_1[{k}]") for k in (0, 1))
    assert dict(active.facts)["phase"] == "stable, active: l >= 0"
    assert dict(active.facts)["value"] == "h, without a column of its own"
    assert dict(inactive.facts)["phase"] == "stable, inactive: u <= 0"
    assert dict(inactive.facts)["value"] == "0, without a column of its own"
    assert "none: it needs no rows of its own" in str(active)


def test_rows_of_the_specification_show_their_guards_and_the_clause() -> None:
    goal = (x[0] + x[1] <= 1) & (x[2] <= 0.25) & (y[1] <= 100)
    q = nn.forall(x, where=nn.box(x, -1, 1), then=goal, name="two")
    found = nn.explain(q, "bigm", neuron="spec[2]", bounds="ibp")
    assert dict(found.facts)["atom"] == "x[0] + x[1] <= 1"
    assert [line.text for line in found.rows] == [
        "-x[0].value - x[1].value - s = -1",
        "s - t + 4 g_0 <= 4",
        "g_0 + g_1 >= 1",
    ]
    assert dict(nn.explain(q, "bigm", neuron="spec[0]").facts)["dropped"] == "bounds decide it"


def interval(ctx: Any, node: Any, args: Any) -> Any:
    """l <= y <= u, and one row that says so again."""
    lower, upper = ctx.interval(node)
    ids = ctx.columns(node, "post", ctx.every(node), lower, upper)
    ctx.rows(node, [(1.0, ids)], upper=upper, says="y <= u")
    return ids


BOX = Encoding(
    name="box",
    summary="LP, every neuron in its interval",
    source="interval arithmetic",
    form=Form.MARGIN,
    emits=frozenset({Feature.ROWS, Feature.BINARIES}),
    rules=tuple(NodeRule(kind, Exactness.OUTER, interval) for kind in (Pointwise, Max, Product)),
)


def test_an_encoding_of_a_third_party_is_explained_too() -> None:
    found = nn.explain(p, BOX, neuron="relu_1[2]")
    (line,) = found.rows
    y_ = next(c for c in found.columns if c.letter == "y")
    assert line.text == f"y <= {y_.upper:g}"
    assert line.origin == "relu_1: y <= u"


def test_it_prints_in_a_terminal_and_a_notebook() -> None:
    found = nn.explain(p, "bigm", neuron="relu_1[1]")
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(found)
    rich, html = console.export_text(), found._repr_html_()
    for part in ("relu_1[1]", "Tjeng", "y = max(0, h)", "affine_1[1].pre", "relu_1: y above its right line"):
        assert part in str(found)
        assert part in rich
        assert part in html
    assert "y - h &gt;= 0" in html


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        ("relu_9[0]", r"no node is called 'relu_9'. Close names: relu_2, relu_1"),
        ("relu_1[5]", r"'relu_1' has 5 elements. Use relu_1\[0\] to relu_1\[4\]"),
        ("relu_1", r"not an element of a node. Write relu_2\[7\]"),
        ("spec[99]", r"'spec' has \d elements"),
    ],
)
def test_wrong_neurons_name_the_right_ones(neuron: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        nn.explain(p, "bigm", neuron=neuron)


def test_the_command_line_explains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nnsym.cli.look import explain

    (tmp_path / "prop.py").write_text(
        "import nnsym as nn\nx = nn.Variable(2, name='x')\n"
        "p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.relu(x).sum() <= 2)\n"
    )
    explain([f"{tmp_path / 'prop.py'}:p"], neuron="relu_1[1]", encoding="bigm", bounds="crown")
    out = capsys.readouterr().out
    assert "y = max(0, h)" in out
    assert "y - h + z <= 1" in out


def test_layers_of_a_stored_model_are_found_by_its_names_and_keep_their_definition() -> None:
    f = stored_mlp(random_layers(3, 2, 6, 2), "ctl")
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, -1, 1), then=f(f(x)).ravel()[0] <= 1e6)
    ours = nn.explain(p, "bigm", neuron="relu_2[1]")
    assert str(nn.explain(p, "bigm", neuron="ctl_2.act1[1]")) == str(ours)
    assert [line.origin.partition(":")[0] for line in ours.definitions] == ["affine_3"]
    assert "ctl_2.act1[1].post" in str(ours)
    with pytest.raises(nn.InputError, match="2 applications have it"):
        nn.explain(p, "bigm", neuron="act1[1]")
