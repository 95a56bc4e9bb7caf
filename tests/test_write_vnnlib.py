"""VNN-LIB files written by nnsym: read back they mean the same, at exact points; what is lost only adds violations."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vnnlib
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.errors import UnsupportedError
from nnsym.ir.domain import Ball
from nnsym.ir.evaluate import evaluate
from nnsym.ir.exact import to_fractions
from nnsym.ir.query import Query
from nnsym.testing.random_nets import KINDS, random_network, random_query
from nnsym.write.vnnlib import VnnlibFile
from nnsym.write.vnnlib_declare import element_name, layout
from tests.random_properties import nested_query
from tests.test_read_vnnlib2 import element, point_of
from tests.vnnlib2_files import File, files

Point = dict[Any, Any]


def read_back(query: Query, file: VnnlibFile) -> Query:
    """The file as nnsym reads it; 2.0 also has to please the standard's own parser."""
    if "(vnnlib-version" not in file.text:
        return nn.load_vnnlib(file.text.encode(), query.applications[0].network)
    vnnlib.parse_query_string(file.text)
    networks = {n.name: n.network for n in layout(query).networks if not n.relation.startswith("equal-to")}
    return nn.load_vnnlib(file.text.encode(), networks=networks)


def points(query: Query, rng: np.random.Generator, count: int) -> list[Point]:
    """Random points on a grid over the boxes and just beyond, centres of balls, and corners."""
    found = []
    for k in range(count):
        at: Point = {}
        for x, box in query.boxes.items():
            low, high = ([Fraction(v) for v in np.clip(side, -9, 9).tolist()] for side in (box.lower, box.upper))
            share = rng.integers(0, 2 if k % 4 == 0 else 5, x.size) * (4 if k % 4 == 0 else 1)
            if k % 7 == 3:
                share[rng.integers(x.size)] += 5
            at[x] = np.array([a + Fraction(int(s), 4) * (b - a) for a, b, s in zip(low, high, share, strict=True)])
            at[x] = np.array(
                [Fraction(round(v)) if i else v for v, i in zip(at[x], x.integer, strict=True)], dtype=object
            )
        found.append(at)
    return found


def violated(query: Query, back: Query, at: Point) -> tuple[bool, bool]:
    """What both say at a point of the first."""
    mine = query.violated(query.values(at, exact=True))
    if not back.declared:
        (x,) = back.inputs
        return mine, back.violated(back.values({x: np.concatenate(list(at.values()))}, exact=True))
    tensors = layout(query).tensors
    values = evaluate([t.node for t in tensors], {x: to_fractions(v) for x, v in at.items()})
    named = {element_name(t, k): v for t in tensors for k, v in enumerate(values[t.node])}
    point = point_of(back, named)
    inputs = [d for d in back.declared if d.kind == "input"]
    kept = evaluate([d.node for d in inputs], point)
    reached = all(  # inputs that the file ties together are one input of the query that is read back
        kept[d.node][k] == named[element(d.name, index)] for d in inputs for k, index in enumerate(np.ndindex(d.shape))
    )
    return mine, reached and back.violated(back.values(point, exact=True))


def same(query: Query, *, version: str = "2.0", seed: int = 0, count: int = 24) -> tuple[VnnlibFile, int]:
    """The file, and at how many points it is satisfied; the query says the same everywhere unless there are losses."""
    file = nn.to_vnnlib(query, version=version)
    back = read_back(query, file)
    hits = 0
    for at in points(query, np.random.default_rng(seed), count):
        mine, theirs = violated(query, back, at)
        assert theirs >= mine if file.losses else theirs == mine
        hits += theirs
    return file, hits


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 2**16))
def test_random_properties_keep_their_meaning(kind: str, seed: int) -> None:
    network = random_network(kind, seed)
    same(random_query(network, seed), seed=seed)
    same(nested_query(network, seed), seed=seed)


@settings(max_examples=40, deadline=None)
@given(files(), st.integers(0, 2**16))
def test_files_from_the_grammar_round_trip(file: File, seed: int) -> None:
    same(nn.load_vnnlib(file.text.encode(), networks=file.given), seed=seed, count=8)


@pytest.mark.parametrize("folder", ["acasxu", "rl_benchmarks", "test", "mnist_fc"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_benchmarks_keep_their_meaning(benchmarks: Path, folder: str, version: str) -> None:
    lines = [line.split(",") for line in (benchmarks / folder / "instances.csv").read_text().splitlines()]
    lines = [line for line in lines if line[0].strip().endswith((".onnx", ".gz"))]
    for onnx, spec, *_ in lines[:: max(1, len(lines) // 2)][:2]:
        query = nn.load_vnnlib(
            benchmarks / folder / spec.strip(), nn.load(benchmarks / folder / onnx.strip(), check=False)
        )
        small = query.inputs[0].size < 30
        file = nn.to_vnnlib(query, version=version)
        back = read_back(query, file)
        assert not file.losses
        for box, other in zip(query.boxes.values(), back.boxes.values(), strict=True):
            assert (box.lower == other.lower).all()
            assert (box.upper == other.upper).all()
        for at in points(query, np.random.default_rng(1), 3 if small else 1):
            mine, theirs = (
                {x: v.astype(float) for x, v in p.items()}
                for p in (at, dict(zip(back.inputs, at.values(), strict=True)))
            )
            assert query.violated(query.values(mine)) == back.violated(back.values(theirs))


F, G = random_network("dense", 1), random_network("dense", 2)


def test_equivalence_takes_the_form_of_its_negation() -> None:
    x = nn.Variable(2, name="x")
    file, _ = same(nn.forall(x, where=nn.box(x, 0, 1), then=nn.norm(F(x) - G(x), np.inf) <= "0.5").query)
    assert "(or (< y[0] (- y__2[0] 0.5)) (> y[0] (+ y__2[0] 0.5))" in file.text
    assert "(assert (== x[0] x__2[0]))" in file.text
    assert "(isomorphic-to dense_1)" in file.text
    assert (file.logic, file.losses) == ("NH-MINET-SIO-SNC-LIN-REAL", ())


def test_monotonicity_is_two_equal_networks() -> None:
    x, z = nn.Variable(2, name="x"), nn.Variable(2, name="z")
    where = nn.box(x, 0, 1) & nn.box(z, 0, 1) & (x[0] <= z[0]) & (x[1] == z[1])
    file, _ = same(nn.forall([x, z], where=where, then=F(x)[0] <= F(z)[0]).query, count=60)
    assert "(equal-to dense_1)" in file.text
    assert "(assert (== x[1] z[1]))" in file.text
    assert file.logic == "NH-MENET-SIO-SNC-LIN-REAL"


def test_units_are_those_of_the_network() -> None:
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, [100, 2], [300, 4]), then=F((x - [200, 3]) * [1 / 128, 1 / 4])[0] <= 0)
    file, _ = same(p.query)
    assert "(assert (<= dense_1_x[0] 0.78125))" in file.text
    assert not file.losses


def test_composition_and_hidden_neurons() -> None:
    x = nn.Variable(2, name="x")
    inner = F(x)[:2] * 0.5 + x
    p = nn.forall(x, where=nn.box(x, 0, 1), then=(G(inner)[0] >= 0) & (F.hidden("relu_1")(x).post[1] <= 0.3))
    file, _ = same(p.query)
    assert '(declare-hidden relu_1 real [4] "relu_1")' in file.text
    assert file.logic == "H-MINET-SIO-MNC-LIN-REAL"  # an argument reads the input and an output of one network


def test_maxima_absolute_values_and_products_go_into_cases() -> None:
    x = nn.Variable(2, name="x")
    y = F(x)
    for then in (
        nn.max(y) - nn.min(y) <= 1,
        nn.norm(y, 1) >= nn.relu(y[0] - nn.max(x)),
        nn.argmax(y) != 1,
        y[0] * x[0] - y[1] * y[1] <= "0.25",
    ):
        file, _ = same(nn.forall(x, where=nn.box(x, -1, 1), then=then).query)
        assert not file.losses
    assert file.logic == "NH-SNET-SIO-MNC-POLY-REAL"
    with pytest.raises(UnsupportedError, match="in a product"):
        nn.to_vnnlib(nn.forall(x, where=nn.box(x, -1, 1), then=nn.max(y) * x[0] <= 0))


def test_thirds_are_scaled_or_rounded_outward() -> None:
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, 0, Fraction(1, 3)), then=F(x)[0] - F(x)[1] / 3 <= 0)
    file, _ = same(p.query)
    assert [loss.what for loss in file.losses] == ["the bound 1/3 of x[0]", "the bound 1/3 of x[1]"]
    limit = re.search(r"\(<= x\[0\] (\S+?)\)", file.text)
    assert limit is not None
    assert 0 < Fraction(limit[1]) - Fraction(1, 3) < Fraction(1, 10**39)
    assert "loss      the bound 1/3 of x[0]: " in file.text


def test_balls_and_whole_numbers() -> None:
    network = random_network("dense", 3, inputs=3)
    base = random_query(network, 3)
    (x,) = base.inputs
    middle = (base.boxes[x].lower + base.boxes[x].upper) / 2
    for p in (1, 2):
        query = Query(
            "balls",
            base.boxes,
            base.rows,
            base.formula,
            base.applications,
            balls={x: (Ball(middle, Fraction(1, 4), p),)},
        )
        file, _ = same(query, count=60)
        assert not file.losses
    flat = nn.to_vnnlib(query, version="1.0")
    assert [loss.what for loss in flat.losses][:1] == ["the ball of the norm 2 for x"]
    k = nn.Variable(2, name="k", integer=True)
    same(nn.forall(k, where=nn.box(k, 0, 3), then=F(k)[0] <= 0).query)
    file, _ = same(nn.forall(k, where=nn.box(k, 0, 300), then=F(k)[0] <= 0).query)
    assert file.losses[0].what == "k[0] is a whole number"


def test_version_1_closes_what_is_strict_and_refuses_what_it_cannot_say() -> None:
    x = nn.Variable(2, name="x")
    file, _ = same(nn.forall(x, where=nn.box(x, 0, 1), then=F(x)[0] <= 0).query, version="1.0")
    assert [loss.what for loss in file.losses] == ["strict comparisons"]
    assert "(assert (>= Y_0 0.0))" in file.text
    for then, reason in (
        (F(x)[0] <= G(x)[0], "several networks"),
        (F.hidden("relu_1")(x).post[0] >= F(x)[0], "hidden neurons"),
        (F(x)[0] * x[0] <= 1, "products"),
    ):
        with pytest.raises(UnsupportedError, match=reason):
            nn.to_vnnlib(nn.forall(x, where=nn.box(x, 0, 1), then=then), version="1.0")


def test_what_no_version_can_say() -> None:
    x, d = nn.Variable(2, name="x"), nn.Variable(2, name="d")
    free = nn.forall([x, d], where=nn.box(x, 0, 1) & nn.box(d, 0, 1), then=F(x)[0] <= nn.max(d))
    with pytest.raises(UnsupportedError, match="'d\\[0\\]' is not an input of a network"):
        nn.to_vnnlib(free)
    with pytest.raises(UnsupportedError, match="no network is applied"):
        nn.to_vnnlib(nn.forall(x, where=nn.box(x, 0, 1), then=x[0] <= 1))
    wide = nn.Variable(30, name="w")
    net = random_network("dense", 5, inputs=30)
    l1 = nn.forall(wide, where=nn.box(wide, 0, 1) & (nn.norm(wide - 0.5, 1) <= 1), then=net(wide)[0] <= 0)
    file, _ = same(l1.query)
    assert [loss.what for loss in file.losses] == ["a sum of maxima or absolute values"]
    with pytest.raises(UnsupportedError, match="1073741824 cases"):
        nn.to_vnnlib(nn.forall(wide, where=nn.box(wide, 0, 1) & (nn.norm(wide, 1) >= 1), then=net(wide)[0] <= 0))


def test_export_writes_the_file(tmp_path: Path) -> None:
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, 0, 1), then=F(x)[0] <= 0)
    path = nn.export(p, tmp_path / "phi.vnnlib")
    assert path.read_text() == nn.to_vnnlib(p).text
    assert f"network   dense-1: sha256 {F.hash}" in path.read_text()
    assert "declare-const X_0" in nn.export(p, tmp_path / "one.vnnlib", version="1.0").read_text()
