"""VNN-LIB 2.0: the meaning of files drawn from the grammar, tied inputs, models checked, and located errors."""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.check import check_query
from nnsym.ir.evaluate import evaluate
from nnsym.ir.node import Affine, Input, Node, Product
from nnsym.ir.query import Query
from nnsym.read.vnnlib.load import load_vnnlib
from tests.models import f32, model
from tests.vnnlib2_files import ONE, OTHER, TWO, File, completed, element, files, holds, points

HEAD = "(vnnlib-version <2.0>)\n"
F = "(declare-network f (declare-input x real [1,2]) (declare-output y real [1,2]))\n"
G = "(declare-network g (equal-to f) (declare-input a real [1,2]) (declare-output b real [1,2]))\n"
BOX = "".join(f"(assert (>= x[0,{i}] -1.0))\n(assert (<= x[0,{i}] 1.0))\n" for i in range(2))


def read(text: str, network: Any = ONE, **networks: Any) -> Query:
    query = load_vnnlib((HEAD + text).encode(), network, networks=networks)
    check_query(query)
    return query


def point_of(query: Query, at: Mapping[str, Fraction]) -> dict[Input, Any]:
    """The query's inputs where the declared variables have the given values."""
    found: dict[Input, Any] = {x: np.full(x.size, None) for x in query.inputs}
    for d in query.declared:
        if d.kind == "input":
            for k, index in enumerate(np.ndindex(d.shape)):
                source = _source(d.node, k)
                if source is not None:
                    found[source[0]][source[1]] = at[element(d.name, index)]
    assert all(v is not None for values in found.values() for v in values)
    return found


def _source(node: Node, k: int) -> tuple[Input, int] | None:
    """The input's element that stands there; None for a term."""
    if isinstance(node, Input):
        return node, k
    assert isinstance(node, Affine)
    entries = []
    for linear, parent in zip(node.maps, node.parents, strict=True):
        data, indices, indptr = linear.csr()
        row = slice(indptr[k], indptr[k + 1])
        entries += [(parent, int(i)) for c, i in zip(data[row], indices[row], strict=True) if c == 1]
        entries += [(node, -1) for c in data[row] if c not in (0, 1)]
    if len(entries) != 1 or node.bias[k] or entries[0][0] is node:
        return None
    parent, place = entries[0]
    return _source(parent, place) if isinstance(parent, (Input, Affine)) and _declares(parent) else None


def _declares(node: Node) -> bool:
    """True for an input, or copies of inputs."""
    return isinstance(node, Input) or all(isinstance(p, Input) for p in node.parents)


def tied(file: File, query: Query, at: dict[str, Fraction]) -> dict[str, Fraction]:
    """The point with tied variables given the value of the first of them, and terms given theirs."""
    values: dict[tuple[Input, int], Fraction] = {}
    declared = [d for d in query.declared if d.kind == "input"]
    for d in declared:
        for k, index in enumerate(np.ndindex(d.shape)):
            name = element(d.name, index)
            source = _source(d.node, k)
            at = at if source is None else at | {name: values.setdefault(source, at[name])}
    computed = evaluate([d.node for d in declared], point_of(query, at))
    for d in declared:
        for k, index in enumerate(np.ndindex(d.shape)):
            if _source(d.node, k) is None:
                at = at | {element(d.name, index): computed[d.node][k]}
    return completed(file, at)


def agrees(file: File, query: Query, at: dict[str, Fraction]) -> bool:
    expected = holds(file.text, at)
    values = query.values(point_of(query, at), exact=True)
    assert query.violated(values) == expected
    assert query.margin(values) <= 0 if expected else query.margin(values) >= 0
    return expected


@settings(max_examples=60, deadline=None)
@given(files(), st.integers(0, 2**16))
def test_files_from_the_grammar_mean_what_their_text_says(file: File, seed: int) -> None:
    query = load_vnnlib(file.text.encode(), networks=file.given)
    check_query(query)
    names = [d.name for d in query.declared]
    assert names == [name for *_, name, _ in file.tensors]
    for at in points(file, np.random.default_rng(seed), 12):
        agrees(file, query, tied(file, query, at))


def test_networks_applied_to_tied_inputs_are_one_application() -> None:
    ties = "".join(f"(assert (== a[0,{i}] x[0,{i}]))\n" for i in range(2))
    query = read(F + G + BOX + ties + "(assert (> y[0,0] b[0,0]))\n")
    (x,) = query.inputs
    assert [a.arguments for a in query.applications] == [(x,), (x,)]
    first, second = query.applications
    assert first.output("out0") is second.output("out0")
    assert not any(part.coefficient.any() for part in query.rows.parts.values())


def test_an_input_tied_in_part_keeps_its_own_elements() -> None:
    query = read(F + G + BOX + "(assert (== x[0,1] a[0,1]))\n(assert (> y[0,0] b[0,0]))\n(assert (<= a[0,1] 0.5))\n")
    x, a = query.inputs
    assert (x.size, a.size) == (2, 1)
    assert query.boxes[x].upper.tolist() == [1, 0.5]


def test_ties_under_or_are_conditions() -> None:
    query = read(F + G + BOX + "(assert (or (== x[0,1] a[0,1]) (> y[0,0] b[0,0])))\n")
    assert [x.size for x in query.inputs] == [2, 2]


def test_products_are_nodes_and_preconditions_where_no_network_enters() -> None:
    query = read(F + BOX + "(assert (<= (* x[0,0] x[0,0] x[0,1]) 0.5))\n(assert (<= (* x[0,0] y[0,1]) 0.5))\n")
    assert sum(isinstance(n, Product) for n in query.nodes) == 2  # one for each degree
    result = nn.verify(query, "smt", timeout=30)
    assert result.status == "falsified"


def test_a_file_about_inputs_alone_is_violated_where_they_satisfy_it() -> None:
    assert nn.verify(read(F + BOX), "bigm", timeout=30).status == "falsified"
    empty = read(F + BOX + "(assert (<= (+ x[0,0] x[0,1]) -2.5))\n")
    assert nn.verify(empty, "bigm", timeout=30).vacuous


def test_numbers_are_decimals() -> None:
    query = read(F + BOX + "(assert (<= x[0,0] 0.1))\n(assert (<= y[0,0] 0.0))")
    (x,) = query.inputs
    assert query.boxes[x].upper[0] == Fraction(1, 10)


def test_networks_are_given_by_name_by_path_or_as_one(tmp_path: Path) -> None:
    text = F.replace("real", "float32").replace("[1,2]", "[1,3]") + "(assert (<= y[0,0] 0.0))\n"
    path, spec = tmp_path / "net.onnx", tmp_path / "q.vnnlib.gz"
    proto = model([_gemm()], {"x": (1, 3)}, constants={"w": f32(3, 3)})
    path.write_bytes(proto.SerializeToString())
    spec.write_bytes(gzip.compress((HEAD + text).encode()))
    hashes = {
        load_vnnlib(spec, networks={"f": path}).hash,
        load_vnnlib(spec, networks={"f": nn.load(path)}).hash,
        load_vnnlib(spec, str(path)).hash,
    }
    assert len(hashes) == 1


def _gemm() -> Any:
    from onnx import helper

    return helper.make_node("MatMul", ["x", "w"], ["y"], name="gemm")


REFUSED = {
    "exponent": (F + "(assert (<= x[0,0] 1e-3))", "line 3: cannot be read at 'e'", "write 0.001"),
    "index": (F + "(assert (<= x[0,2] 1.0))", "line 3: Index out of bounds for variable at 'x[0,2]'", "size 2"),
    "undeclared": (F + "(assert (<= z[0,0] 1.0))", "line 3: Undeclared variable at 'z'", "declared"),
    "integer": (F + "(assert (<= x[0,0] 1))", "line 3: Type mismatch", "write 1.0"),
    "not": (F + "(assert (not (<= x[0,0] 1.0)))", "line 3: cannot be read", "push 'not'"),
    "cut off": (F + "(assert (<= x[0,0] 1.0)", "at the end of the file", "cut off"),
    "nothing asserted": (F, "at the end of the file", "cut off"),
    "capital": (F.replace("real", "Real") + "(assert (<= (* 2.0 x[0,0]) 1.0))", "line 3: Type mismatch", "lower case"),
    "capital alone": (F.replace("real", "Real") + "(assert (<= x[0,0] x[0,1]))", "line 2: 'x' has an unknown", "real"),
    "shape": (F.replace("[1,2]", "[2]") + "(assert (<= x[0] 1.0))", "shape [2], 'in0' of the model 'one'", "Give"),
    "type": (F.replace("real", "float32") + "(assert (<= x[0,0] 1.0))", "declared float32, 'in0' of the model", "real"),
    "count": (F.replace("(declare-output", "(declare-input z real [1])(declare-output") + "(assert (<= z[0] 1.0))",
              "declares 2 inputs, the model 'one' has 1: in0", "order"),
    "hidden": (F.replace("(declare-output", '(declare-hidden h real [3] "relu9")(declare-output')
               + "(assert (<= h[0] 1.0))", "line 2: the model 'one' has no value named 'relu9'", "relu_1"),
    "mixed": (F.replace("y real", "y float64") + "(assert (<= y[0,0] 1.0))", "some variables are real", "all of them"),
    "no model": (F + G.replace("(equal-to f) ", "") + "(assert (<= x[0,0] 1.0))",
                 "no model is given for the network", "--network"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_errors_say_where_what_and_what_to_do(case: str) -> None:
    text, reason, remedy = REFUSED[case]
    with pytest.raises(InputError) as caught:
        read(text)
    assert reason in str(caught.value)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    "place", ["\0(assert (>= y[0,0] 3.0))", "(assert (>= y[0,0] 3\0.0))", '(assert (>= "\0" 3.0))']
)
def test_nothing_behind_a_nul_is_left_unread(place: str) -> None:
    """The package reads strings of C, which end there: an assertion behind it would be lost."""
    with pytest.raises(InputError, match="line 7: a NUL character"):
        read(F + BOX + place)
    assert read(F + BOX + "; a \0 in a comment\n(assert (>= y[0,0] 3.0))").rows


def test_networks_that_do_not_fit_the_declarations() -> None:
    with pytest.raises(InputError, match="declares no network 'h'"):
        read(F + BOX, h=ONE)
    with pytest.raises(InputError, match="'g' is declared equal to 'f', the models given for them differ"):
        read(F + G + BOX, f=ONE, g=OTHER)
    with pytest.raises(InputError, match="model 'two' has 2"):
        read(F + BOX, TWO)


def test_other_versions_and_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError, match=r"line 2: is VNN-LIB 3\.1"):
        load_vnnlib(b";\n(vnnlib-version <3.1>)\n", ONE)
    monkeypatch.setitem(sys.modules, "vnnlib", None)
    with pytest.raises(UnsupportedError, match=re.escape("pip install 'nnsym[vnnlib]'")):
        read(F + BOX)


def test_version_2_without_its_header() -> None:
    with pytest.raises(InputError, match=r"line 1: this is VNN-LIB 2\.0 without"):
        load_vnnlib((F + BOX).encode(), ONE)
