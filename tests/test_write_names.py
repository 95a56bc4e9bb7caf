"""Names of any kind in exported files: four formats, read back by other tools to the right optimum."""

from __future__ import annotations

import re
from pathlib import Path

import gurobipy
import numpy as np
import pytest
import z3
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.errors import UnsupportedError
from nnsym.results.optimum import Optimum
from nnsym.solvers.glpk import locate
from nnsym.write.names import LONGEST, comments, identifier, one_line, unique
from tests.readers import glpsol, highs
from tests.stored import stored_mlp

_NASTY = (
    *("x", "inflow", "Influent", "infinity", "INF", "nano", "NaN", "nan_1", "e", "e1", "E5", "1x", "1e5", "free", "st"),
    *("s.t.", "end", "bounds", "Binary", "binaries", "general", "obj", "sos1", "subject to", "max", "RHS", "MARKER"),
    *("flow\nm3/h", "a\rb", "a\tb", "a\0b", "\x1b[31m", "a\u2028b", "a\x85b", "\ud800", "|", "\\", "\\ end"),
    *("; x", "* y", '"', "'", "a|b\\c", "$x", ">= 3", "x:", "[b]x[/b]", "x[0]", "流量", "ß", "x" * 300, "v_inf", "."),
)
names = st.one_of(st.sampled_from(_NASTY), st.text(min_size=1, max_size=12)).filter(lambda s: bool(s.strip()))


def gurobi(path: Path) -> float:
    with gurobipy.Env(params={"OutputFlag": 0}) as env, gurobipy.read(str(path), env) as model:
        model.optimize()
        return float(model.ObjVal)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("names")


def _optimum(one: str, two: str) -> Optimum:
    """``min relu(a) + a + 2 b`` over ``[-1, 1]^2`` is -3; a lost bound, row or column changes it."""
    a, b = nn.Variable(1, name=one), nn.Variable((), name=two)
    return nn.minimize(nn.relu(a)[0] + a[0] + 2 * b, "ibp", where=nn.box(a, -1, 1) & nn.box(b, -1, 1))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=names, two=names)
@example(one="flow\nm3/h", two="flow m3/h")
@example(one="a\0b", two="a_b")
@example(one="inf", two="NaN")
def test_linear_files_are_read_back(folder: Path, one: str, two: str) -> None:
    assume(one != two)
    optimum = _optimum(one, two)
    for suffix in (".lp", ".mps"):
        path = nn.export(optimum, folder / f"m{suffix}")
        for reader in (highs, gurobi, glpsol) if locate() is not None else (highs, gurobi):
            assert reader(path) == pytest.approx(-3, abs=1e-6), (suffix, reader.__name__)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=names, two=names)
@example(one="a\0b", two="a\0c")
@example(one="a|b", two="a!b")
@example(one="\ud800", two="\\")
def test_smt_files_are_read_back(folder: Path, one: str, two: str) -> None:
    assume(one != two)
    a, b = nn.Variable(1, name=one), nn.Variable((), name=two)
    region = nn.box(a, -1, 1) & nn.box(b, -1, 1)
    for limit, answer in ((-3, z3.sat), (-3.25, z3.unsat)):
        p = nn.forall([a, b], where=region, then=nn.relu(a)[0] + a[0] + 2 * b > limit)
        path = nn.export(p, folder / "m.smt2", bounds="ibp")
        solver = z3.Solver()
        solver.from_file(str(path))
        assert solver.check() == answer


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=names, two=names)
@example(one="flow\nm3/h", two="flow m3/h")
@example(one="real", two="float32")
def test_vnnlib_files_are_read_back(folder: Path, one: str, two: str) -> None:
    g = stored_mlp([([[1.0, 2.0], [1.0, 0.0]], [0, 0]), ([[1.0, 1.0]], [0])], "f")
    f = nn.Network(two, g.inputs, g.outputs, g.tensors, g.dtype, g.model)
    (folder / "f.onnx").write_bytes(f.model or b"")
    x = nn.Variable((1, 2), name=one)
    for version in ("1.0", "2.0"):
        p = nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0, 0] <= 3.5)
        path = nn.export(p, folder / "p.vnnlib", version=version)
        assert nn.verify(nn.load_vnnlib(path, folder / "f.onnx"), "smt").status == "falsified"


def test_a_hidden_tensor_whose_name_no_string_holds_is_refused() -> None:
    f = stored_mlp([([[1.0]], [0]), ([[1.0]], [0])], "f")
    named = dict(f.tensors)
    named['a"b'] = named.pop("relu1")
    for name in ("fc1", "gemm1", "act1"):
        named.pop(name, None)
    g = nn.Network(f.name, f.inputs, f.outputs, named, f.dtype, f.model)
    x = nn.Variable((1, 1), name="x")
    with pytest.raises(UnsupportedError, match="Rename the tensor in the model"):
        nn.to_vnnlib(nn.forall(x, where=nn.box(x, -1, 1), then=g.hidden('a"b')(x).post <= 1))


def test_names_of_all_formats_are_unique_words() -> None:
    words = unique(identifier(name) for name in _NASTY)
    assert len(set(words)) == len(words)
    for word in words:
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", word)
        assert len(word) <= LONGEST + 8
        assert not word.lower().startswith(("inf", "nan", "e"))


def test_comments_never_end_early() -> None:
    for text in _NASTY:
        for line in comments("\\", [f"x {text} y"]):
            assert line.startswith("\\ ")
            assert len(line.splitlines()) == 1
            assert len(line) < 560
    assert one_line("flow\nm3\0") == "flow m3_"
    assert np.array_equal(comments(";", ["a\n\nb", ""]), ["; a", ";", "; b", ";"])
