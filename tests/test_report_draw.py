"""Pictures are checked by the numbers they show: regions contain the graph, areas are those of the formulas."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.encode.registry import find_encoding
from nnsym.errors import InputError, UnsupportedError
from nnsym.report.pictures.region import area, directions, polygon
from nnsym.report.pictures.style import ink
from nnsym.testing.check_encoding import ConformanceError, check_encoding

pytest.importorskip("matplotlib", reason="pictures need the extra 'report'")


def areas(figure) -> dict[str, float]:
    """The legend's regions and their areas."""
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    return {t.split("  ")[0]: float(t.split("area ")[1].rstrip(")")) for t in texts if "area" in t}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16), st.integers(3, 9))
def test_a_polygon_is_the_intersection_of_its_half_planes(seed, count):
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(count, 2))
    limit = -rng.random(count)  # the origin is inside
    corners = polygon(normal, limit, (-3, 3, -3, 3))
    assert (corners @ normal.T >= limit - 1e-9).all()
    inside = rng.uniform(-3, 3, size=(4000, 2))
    share = (inside @ normal.T >= limit).all(axis=1).mean()
    assert area(corners) / 36 == pytest.approx(share, abs=0.04)


def test_directions_hold_the_axes():
    d = directions(64)
    assert {(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)} <= set(map(tuple, (d + 0.0).tolist()))
    assert np.allclose(np.hypot(*d.T), 1)


def test_the_triangle_has_its_area_and_relaxed_big_m_is_the_triangle(tmp_path: Path):
    figure = nn.draw(["triangle", "bigm"], op="relu", l=-1, u=2, path=tmp_path / "relu.svg")
    assert areas(figure) == {"triangle": 1.0, "bigm": 1.0}
    assert (tmp_path / "relu.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    "op", ["relu", "tanh", *(pytest.param(k, marks=pytest.mark.slow) for k in ("leaky_relu", "abs", "sigmoid"))]
)
def test_the_graph_lies_in_every_region(op):
    (axes,) = nn.draw("triangle", op=op, l=-1.5, u=1.0).axes
    outline, graph = (np.stack(line.get_data(), axis=1) for line in axes.lines)
    edges, turn = np.diff(outline, axis=0), graph[:, None] - outline[:-1]
    side = edges[:, 0] * turn[..., 1] - edges[:, 1] * turn[..., 0]
    assert (side >= -1e-6).all() or (side <= 1e-6).all()


@pytest.mark.slow
def test_reached_sets_shrink_from_intervals_to_the_exact_hull(tmp_path: Path):
    figure = nn.draw_reach(nn.zoo.random_mlp(1, widths=(2, 6, 6, 2)), (-1, 1), samples=200, path=tmp_path / "reach.png")
    size = list(areas(figure).values())
    assert size == sorted(size, reverse=True)
    assert size[0] > 2 * size[-1] > 0
    assert (tmp_path / "reach.png").stat().st_size > 10_000


def test_what_cannot_be_drawn_says_why(tmp_path: Path):
    with pytest.raises(InputError, match=r"leave no interval.*l < u"):
        nn.draw("triangle", l=1, u=1)
    with pytest.raises(InputError, match=r"unknown op 'relo'.*relu, leaky_relu"):
        nn.draw("triangle", op="relo")
    with pytest.raises(UnsupportedError, match=r"'smt.*no objective.*triangle"):
        nn.draw("smt")
    with pytest.raises(InputError, match=r"axes \(0, 7\)"):
        nn.draw_reach(nn.zoo.lecture(), (0, 1), axes=(0, 7))
    with pytest.raises(InputError, match="cannot write the picture"):
        nn.draw("triangle", path=tmp_path / "no" / "where.png")


def test_a_flipped_sign_is_caught_and_drawn(tmp_path: Path):
    right = find_encoding("triangle")

    def flipped(ctx, node, args):
        """The upper row over -h instead of h."""
        before = len(ctx.builder._rows)
        ids = right.rules[0].rule(ctx, node, args)
        ctx.builder._rows[before:] = [
            replace(rows, data=rows.data * np.tile([1.0, -1.0], len(rows))) if "(u-l)" in rows.origin else rows
            for rows in ctx.builder._rows[before:]
        ]
        return ids

    wrong = replace(right, name="wrong", rules=(replace(right.rules[0], rule=flipped), *right.rules[1:]))
    picture = tmp_path / "wrong.svg"
    with pytest.raises(ConformanceError, match=r"violates a row by .*drawn in .*wrong\.svg"):
        check_encoding(wrong, kinds=("dense",), seeds=range(3), bounds=("ibp",), picture=picture)
    assert "wrong cuts off (" in picture.read_text()


def test_a_cross_marks_the_point_farthest_outside_and_nothing_is_marked_of_a_right_encoding(tmp_path: Path):
    right = find_encoding("triangle")

    def low(ctx, node, args):
        """y <= 1/2, and the triangle."""
        ids = right.rules[0].rule(ctx, node, args)
        ctx.rows(node, [(1.0, ids)], upper=0.5, says="y <= 1/2")
        return ids

    wrong = replace(right, rules=(replace(right.rules[0], rule=low),))  # of the same name: both are drawn
    texts = [t.get_text() for t in nn.draw([wrong, "triangle"], l=-1, u=2).legends[0].get_texts()]
    assert texts[0] == "triangle  (area 1)"
    assert texts[1].startswith("triangle  (area 0.")
    assert texts[2:] == ["relu(h)", "triangle cuts off (2, 2)"]
    assert not any("cuts off" in t.get_text() for t in nn.draw(["bigm", "triangle"]).legends[0].get_texts())


def test_methods_of_one_name_are_drawn_apart():
    f = nn.zoo.random_mlp(1, widths=(2, 4, 2))
    methods = [nn.lp("triangle", bounds=b) for b in ("ibp", "crown")]
    figure = nn.draw_reach(f, (-1, 1), methods=methods, samples=10)
    assert set(areas(figure)) == {"triangle on ibp", "triangle on crown"}


def test_pictures_of_the_pages_are_drawn_as_pictures_are_now() -> None:
    """Every method that a legend of docs/encodings names has its colour there."""
    shown = 0
    for path in sorted((Path(__file__).parents[1] / "docs" / "encodings").glob("*.svg")):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"<!-- (\S+)  \(area ", text):
            assert ink(name) in text, (path.name, name)
            shown += 1
    assert shown > 20
