"""Tables choose columns and never cut; text is text everywhere; pictures show themselves."""

from __future__ import annotations

import builtins
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

import nnsym as nn
from nnsym.report.grid import Column, Grid, plain_grid, render
from nnsym.report.pictures.style import dashes, ink
from nnsym.report.table import COLUMNS


def close() -> nn.Property:
    f = nn.zoo.random_mlp(1, widths=(2, 6, 6, 2))
    x = nn.Variable(2, name="x")
    return nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] <= f(x)[1] + 5, name="close")


@pytest.fixture(scope="module")
def table():
    return nn.compare(close(), ["ibp", "crown", "triangle", "bigm"])


@pytest.mark.parametrize("width", [40, 60, 80, 120, 300])
def test_columns_are_left_out_and_cells_never_cut(table, width):
    text = table.to_text(width=width)
    lines = text.splitlines()
    assert all(len(line) <= width for line in lines)
    assert all(line == line.rstrip() for line in lines)
    assert "…" not in text
    for row in table.rows:
        (line,) = [line for line in lines if line.split()[:1] == [row.method]]
        assert row.result.status in line
    shown = sum(column.heading in lines[1] for column in COLUMNS)
    assert f"{sum(c.heading in table.to_text(wide=True) for c in COLUMNS) - shown} more column" in text or width == 300


def test_wide_shows_all_that_is_known(table):
    text = table.to_text(wide=True, width=40)
    for word in ("root LP", "nonz", "hand s", "goal"):
        assert word in text
        assert word not in table.to_text(width=60)


def test_numbers_that_change_the_meaning_go_last():
    relaxed = nn.compare(close().relaxed("1/8"), ["ibp"])
    assert "0.125" in relaxed.to_text(width=34)


def test_sentences_break_at_blanks_and_names_do_not():
    grid = plain_grid(["name", "what it is"], [["a-name-of-some-length", "several words " * 8]], wraps=("what it is",))
    lines = render(grid, 60).splitlines()
    assert all(len(line) <= 60 for line in lines)
    assert " ".join(" ".join(lines).split()).count("several words") == 8
    columns = (Column("a"), Column("number", rank=1, right=True))
    assert "1 more column" in render(Grid(columns, (("x", "1234567890123"),)), 13)


def test_headings_have_a_meaning(table):
    assert all(column.meaning for column in COLUMNS)
    assert 'title="distance of the row&#x27;s certified margin from the best one of this table"' in table._repr_html_()


def test_text_is_text_where_a_notebook_runs(table, tmp_path: Path, monkeypatch, capsys, caplog):
    """As libraries detect it: ``get_ipython`` among the builtins."""
    p = close()
    f, x = nn.zoo.random_mlp(1, widths=(2, 6, 3)), nn.Variable(2)
    reach = nn.reach(f(x), "ibp", where=nn.box(x, 0, 1))
    things = [table, nn.bounds(p), nn.margin_table(f, [0, 0], 0, 0.1, "ibp"), reach]
    outside = [str(thing) for thing in things]
    shell = type("ZMQInteractiveShell", (), {"config": {}})()
    monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
    for thing, text in zip(things, outside, strict=True):
        assert f"{thing}" == text == str(thing)
        assert repr(thing) == text
        with caplog.at_level(logging.INFO):
            logging.getLogger("test").info("%s", thing)
        assert text in caplog.text
        (tmp_path / "table.txt").write_text(f"{thing}")
        assert (tmp_path / "table.txt").read_text() == text
    assert len(outside[2].splitlines()) > 2
    assert capsys.readouterr().out == ""


def test_a_run_record_has_no_gap_to_rows_that_were_not_known(tmp_path: Path):
    nn.compare(close(), ["ibp", "crown"], record=tmp_path / "runs.jsonl")
    records = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert len(records) == 2
    for record in records:
        assert "gap" not in record
        assert record["text"].startswith("forall x")


def test_pictures_show_themselves_and_say_what_they_show(table, tmp_path: Path):
    pytest.importorskip("matplotlib")
    picture = table.plot()
    data, size = picture._repr_png_()
    assert data.startswith(b"\x89PNG")
    assert size["width"] == 900
    assert picture.svg().startswith("<svg")
    words = [text.get_text() for text in picture.findobj(lambda a: hasattr(a, "get_text"))]
    exact = table.rows[-1].result.upper
    assert f"exact margin {exact:.5g}" in words
    assert f"{table.rows[0].margin:.4g}" in words
    assert any(word.startswith("forall x[2]") for word in words)
    with pytest.raises(nn.InputError, match=r"no notebook.*savefig"):
        picture.show()
    with pytest.raises(nn.InputError, match="cannot write the picture"):
        table.plot(tmp_path / "no" / "where.png")
    empty = replace(table, rows=())
    with pytest.raises(nn.InputError, match="no row has a result"):
        empty.plot()


def test_minor_ticks_of_seconds_have_no_labels(table):
    """They were printed over each other."""
    pytest.importorskip("matplotlib")
    _, right = table.plot().axes
    assert {text.get_text() for text in right.get_xticklabels(minor=True)} <= {""}


def test_colours_belong_to_methods():
    assert ink("bigm") == ink("bigm+tj") == ink("bigm.relax") != ink("triangle")
    assert ink("alpha:5") == ink("alpha:50") != ink("crown")
    assert ink("of-somebody-else") == ink("of-somebody-else")
    assert len(set(map(str, dashes(["bigm", "triangle", "bigm+tj"])))) == 2


@pytest.mark.parametrize(("l", "u"), [(0.5, 1), pytest.param(-1, -0.5, marks=pytest.mark.slow), (-1, 1)])
def test_a_stable_neuron_has_a_set(l, u):  # noqa: E741
    pytest.importorskip("matplotlib")
    figure = nn.draw(["triangle", "bigm"], l=l, u=u)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert not any("no point" in word for word in words)
    assert "the same set: triangle, bigm" in words
    if l * u > 0:
        assert "triangle  (area 0)" in words
