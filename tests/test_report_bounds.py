"""Bounds as users see them: tables, linear functions that hold exactly, traces, pictures, the command line."""

from __future__ import annotations

import importlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import nnsym as nn
from nnsym.bounds.methods import compute, margin
from nnsym.cli.main import app
from nnsym.ir.exact import to_fractions
from nnsym.ir.names import node_names
from nnsym.testing.random_nets import KINDS, random_network, random_query

TENT = nn.sequential([([[1.0], [1.0]], [0.0, -1.0]), ([[1.0, -2.0]], [0.0])], activation="relu", name="tent")


def tent() -> nn.Property:
    x = nn.Variable(1, name="x")
    return nn.forall(x, where=nn.box(x, 0, 2), then=TENT(x)[0] <= 1, name="below one")


@settings(max_examples=20, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**16))
def test_linear_functions_enclose_every_node_at_every_corner(kind: str, seed: int) -> None:
    query = random_query(random_network(kind, seed), seed)
    found, rng = nn.bounds(query), np.random.default_rng(seed)
    lower = np.concatenate([to_fractions(query.boxes[x].lower) for x in query.inputs])
    upper = np.concatenate([to_fractions(query.boxes[x].upper) for x in query.inputs])
    points = list(itertools.product(*zip(lower, upper, strict=True)))[:8]
    points += [tuple(lower + (upper - lower) * to_fractions(rng.integers(0, 9, len(lower)) / 8)) for _ in range(4)]
    at, starts = np.array(points, dtype=object), np.cumsum([0, *(x.size for x in query.inputs)])
    split = {x: at[:, s : s + x.size] for x, s in zip(query.inputs, starts, strict=False)}
    values = query.values(split, exact=True)
    spec = query.rows.value(values)
    for name, exact in [(n, values[node]) for node, n in node_names(query.nodes).items()] + [("spec", spec)]:
        L, b_L, U, b_U = found.linear(name)
        assert L.shape == U.shape == (exact.shape[1], at.shape[1])
        finite = np.isfinite(b_L), np.isfinite(b_U)
        below = at @ to_fractions(L[finite[0]]).T + to_fractions(b_L[finite[0]])
        above = at @ to_fractions(U[finite[1]]).T + to_fractions(b_U[finite[1]])
        assert (below <= exact[:, finite[0]]).all()
        assert (exact[:, finite[1]] <= above).all()


def test_the_rows_of_crown_are_the_minimum_of_its_functions() -> None:
    query = random_query(random_network("dense", 3), 3)
    found = nn.bounds(query, method="crown")
    L, b_L, _, _ = found.linear("spec")
    low, high = query.boxes[query.inputs[0]].outer
    least = np.where(L > 0, L * low, L * high).sum(1) + b_L
    assert (found["spec"].lower >= least - 1e-9).all()
    assert np.isclose(found["spec"].lower, least, atol=1e-9).any()


def test_small_functions_are_written_out() -> None:
    found = nn.bounds(tent())
    assert str(found.linear("relu_1")) == "x[0] <= relu_1[0] <= x[0]\nx[0] - 1 <= relu_1[1] <= 0.5 x[0]"
    assert "64 elements" in str(nn.bounds(wide()).linear("affine_1"))
    with pytest.raises(nn.InputError, match=r"no node 'relu_9'.*relu_1"):
        found.linear("relu_9")


def wide() -> nn.Property:
    rng = np.random.default_rng(0)
    sizes = [(64, 10), (64, 64), (3, 64)]
    f = nn.sequential([(rng.normal(size=s) / np.sqrt(s[1]), rng.normal(size=s[0])) for s in sizes], name="wide")
    x = nn.Variable(10, name="x")
    return nn.forall(x, where=nn.box(x, -0.2, 0.2), then=f(x)[0] >= f(x)[1] - 1, name="wide")


def test_tables_name_layers_in_text_and_html() -> None:
    found = nn.bounds(tent(), method="crown")
    assert found.lower == margin(found.query, compute(found.query, "crown"))
    assert [(x.name, x.size, x.unstable) for x in found.layers] == [("affine_1", 2, 1), ("affine_2", 1, 0)]
    assert "affine_1     2     1" in repr(found)
    assert f"margin >= {found.lower:.6g}  (crown)" in repr(found)
    left, right = "<td style='text-align:left'>", "<td style='text-align:right'>"
    assert f"{left}affine_1</td>{right}2</td>{right}1</td>" in found._repr_html_()
    node = next(n for n, name in node_names(found.query.nodes).items() if name == "relu_1")
    assert found[node] is found["relu_1"]


def test_the_trace_rises_to_the_bound_that_is_kept() -> None:
    found = nn.bounds(wide(), method="alpha:12")
    assert len(found.trace) == 13
    assert (np.diff(found.trace) >= 0).all()
    assert found.trace[-1] > found.trace[0] + 1e-4
    assert found.lower == pytest.approx(max(found.trace[-1], nn.bounds(wide(), method="crown").lower), abs=1e-6)
    assert nn.bounds(wide(), method="crown").trace == ()


def test_pictures(tmp_path: Path) -> None:
    shown = [nn.bounds(wide(), method=m) for m in ("ibp", "zonotope", "crown", "alpha:5")]
    text = tmp_path / "b.svg"
    figure = shown[0].plot(text, *shown[1:])
    assert text.read_text().startswith("<?xml")
    left, right = figure.axes
    points = left.lines[0].get_ydata()
    assert list(points[:-1]) == [pytest.approx(x.mean_width) for x in shown[0].layers]
    assert sum(bar.get_height() for bar in right.patches[:2]) == sum(x.unstable for x in shown[0].layers)
    assert len(shown[3].plot_trace(tmp_path / "t.png").axes[0].lines[0].get_xdata()) == 6
    with pytest.raises(nn.InputError, match="alpha"):
        shown[0].plot_trace()


def test_the_command_line_draws_and_compares(tmp_path: Path) -> None:
    source = tmp_path / "p.py"
    source.write_text(
        "import nnsym as nn\nx = nn.Variable(2, name='x')\n"
        "p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.relu(x[0] + x[1]) + nn.relu(x[0] - x[1]) <= 3)\n"
    )
    run = CliRunner()
    picture = tmp_path / "w.svg"
    done = run.invoke(app, ["bounds", f"{source}:p", "--method", "ibp,zonotope", "--plot", str(picture)])
    assert done.exit_code == 0, done.output
    assert picture.stat().st_size > 1000
    assert done.output.count("margin >=") == 2
    one = run.invoke(app, ["bounds", f"{source}:p", "--method", "forward", "--json"])
    assert set(json.loads(one.output)) == {"layers", "spec", "lower", "seconds"}
    both = run.invoke(app, ["bounds", f"{source}:p", "--method", "ibp,crown", "--json"])
    assert isinstance(both.exception, nn.InputError)


def test_the_name_is_a_function_and_a_package() -> None:
    assert callable(nn.bounds)
    assert importlib.import_module("nnsym.bounds.methods").compute is compute
    x = nn.Variable(1, name="x")
    with pytest.raises(nn.InputError, match="empty"):
        nn.bounds(nn.forall(x, where=nn.box(x, 0, 1) & (x[0] >= 2), then=x[0] >= 0))
    with pytest.raises(nn.MissingBoundsError, match="'x'"):
        nn.bounds(nn.forall(x, where=x[0] >= 0, then=x[0] <= 1))
