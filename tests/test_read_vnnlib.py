"""VNN-LIB 1.0: meaning against an independent evaluator, structure of the query, and located errors."""

from __future__ import annotations

import gzip
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.errors import InputError
from nnsym.ir.check import check_query
from nnsym.ir.formula import And, Atoms, InBox, Or, leaves
from nnsym.ir.linear import Dense
from nnsym.ir.network import Network, Tensor
from nnsym.ir.node import affine, new_input
from nnsym.ir.query import Query
from nnsym.read.vnnlib.load import load_vnnlib, parse
from nnsym.read.vnnlib.query import to_query


def linear_network(inputs: int, outputs: int, seed: int = 0) -> Network:
    weight = np.random.default_rng(seed).integers(-4, 5, (outputs, inputs)) / 4
    x = new_input("input", inputs)
    y = affine(((Dense(weight), x),), np.arange(outputs) / 8)
    return Network("net", {"input": Tensor(x, (1, inputs))}, {"output": Tensor(y, (1, outputs))})


def declared(inputs: int, outputs: int) -> str:
    names = [f"X_{k}" for k in range(inputs)] + [f"Y_{k}" for k in range(outputs)]
    return "".join(f"(declare-const {name} Real)\n" for name in names)


def read(body: str, inputs: int = 2, outputs: int = 2) -> Query:
    query = to_query(parse(declared(inputs, outputs) + body), linear_network(inputs, outputs))
    check_query(query)
    return query


# An evaluator that shares nothing with the reader: plain recursion on nested lists.


def tree(text: str) -> list[Any]:
    words = re.findall(r"[()]|[^\s()]+", re.sub(r";.*", "", text))
    stack: list[list[Any]] = [[]]
    for word in words:
        if word == "(":
            stack.append([])
        elif word == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word)
    return stack[0]


def meaning(part: Any, at: dict[str, Fraction]) -> Any:
    if isinstance(part, str):
        return at[part] if part in at else Fraction(Decimal(part))
    head, *rest = part
    v = [meaning(p, at) for p in rest]
    match head:
        case "and":
            return all(v)
        case "or":
            return any(v)
        case "not":
            return not v[0]
        case "=>":
            return v[1] if v[0] else True
        case "<=" | ">=" | "<" | ">" | "=":
            return {"<=": v[0] <= v[1], ">=": v[0] >= v[1], "<": v[0] < v[1], ">": v[0] > v[1], "=": v[0] == v[1]}[head]
        case "+":
            return sum(v)
        case "-":
            return -v[0] if len(v) == 1 else v[0] - sum(v[1:])
        case "*":
            return v[0] * v[1] if len(v) == 2 else v[0]
    raise AssertionError(head)


def agrees(text: str, query: Query, point: list[Fraction]) -> bool:
    """Both say the same at a point; returns what they say."""
    (x,) = query.inputs
    values = query.values({x: np.array(point, dtype=object)}, exact=True)
    (application,) = query.applications
    at = {f"X_{k}": v for k, v in enumerate(point)}
    y = application.network(np.array(point, dtype=object)).ravel()
    at |= {f"Y_{k}": v for k, v in enumerate(y)}
    expected = all(meaning(part[1], at) for part in tree(text) if part[0] == "assert")
    assert query.violated(values) == expected
    margin = query.margin(values)
    assert margin <= 0 if expected else margin >= 0
    return expected


def points(query: Query, rng: np.random.Generator, count: int) -> list[list[Fraction]]:
    """In the box, on its corners, and just outside."""
    (x,) = query.inputs
    low, high = ([Fraction(v) for v in side] for side in (query.boxes[x].lower, query.boxes[x].upper))
    found = []
    for _ in range(count):
        share = [Fraction(int(k), 4) for k in rng.integers(0, 5, len(low))]
        found.append([a + s * (b - a) for a, b, s in zip(low, high, share, strict=True)])
    outside = list(found[0])
    outside[0] = high[0] + Fraction(1, 10**9)
    return [*found, low, high, outside]


@pytest.mark.parametrize("folder", ["acasxu", "rl_benchmarks", "test", "mnist_fc", "oval21"])
def test_benchmarks_mean_what_their_text_says(benchmarks: Path, folder: str) -> None:
    paths = sorted((benchmarks / folder).rglob("*.vnnlib*"))
    assert paths
    rng = np.random.default_rng(1)
    seen = set()
    for path in paths:
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
        spec = parse(text)
        if spec.inputs > 100 and seen:
            continue  # exact evaluation of large files: one of each folder
        query = load_vnnlib(path, linear_network(spec.inputs, spec.outputs, seed=len(seen)))
        check_query(query)
        some = points(query, rng, 2 if spec.inputs > 100 else 8)
        seen |= {agrees(text, query, p) for p in (some[::2] if spec.inputs > 100 else some)}
    assert False in seen


def test_boxes_inside_or(benchmarks: Path) -> None:
    query = load_vnnlib(benchmarks / "acasxu" / "vnnlib" / "prop_6.vnnlib.gz", linear_network(5, 5))
    (x,) = query.inputs
    assert query.boxes[x].lower[1] == Fraction("-0.499999896")
    assert query.boxes[x].upper[1] == Fraction("0.499999896")
    assert isinstance(query.formula, And)
    boxes, conclusion = query.formula.parts
    assert isinstance(boxes, Or)
    assert all(isinstance(part, InBox) for part in boxes.parts)
    assert [part.lower[1] for part in boxes.parts] == [Fraction("0.11140846"), Fraction("-0.499999896")]  # type: ignore[attr-defined]
    assert isinstance(conclusion, Atoms)
    assert not conclusion.every
    assert query.labels == ("Y_1 <= Y_0", "Y_2 <= Y_0", "Y_3 <= Y_0", "Y_4 <= Y_0")
    inside = [Fraction("0.2"), Fraction("0"), Fraction("-0.4995"), Fraction(0), Fraction(0)]
    assert query.inside({x: np.array(inside, dtype=object)})  # in the hull
    assert not query.violated(query.values({x: np.array(inside, dtype=object)}, exact=True))  # between the boxes


BOUNDS = "(assert (>= X_0 -1))(assert (<= X_0 1))(assert (>= X_1 -1))(assert (<= X_1 1))"

terms = st.recursive(
    st.sampled_from(["X_0", "X_1", "Y_0", "Y_1", "0.5", "-1", "1e-1", ".25", "2."]),
    lambda inner: st.one_of(
        st.builds("(+ {} {})".format, inner, inner),
        st.builds("(- {} {} {})".format, inner, inner, inner),
        st.builds("(- {})".format, inner),
        st.builds("(* {} {})".format, st.sampled_from(["2", "-0.5", "(- 1)"]), inner),
        st.builds("(* {} 3)".format, inner),
    ),
    max_leaves=5,
)
atoms = st.builds("({} {} {})".format, st.sampled_from(["<=", ">=", "<", ">", "="]), terms, terms)
single = st.builds("({} {} {})".format, st.sampled_from(["<=", ">=", "<", ">"]), st.sampled_from(["X_0", "X_1"]),
                   st.sampled_from(["-0.5", "0", "0.25", "1"]))  # fmt: skip
conditions = st.recursive(
    atoms | single,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(and {' '.join(parts)})"),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(or {' '.join(parts)})"),
        inner.map("(not {})".format),
        st.builds("(=> {} {})".format, inner, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(st.lists(conditions, min_size=1, max_size=3), st.integers(0, 99))
def test_any_condition_means_what_it_says(conjuncts: list[str], seed: int) -> None:
    text = BOUNDS + "(assert (or (<= Y_0 100) (>= Y_1 0)))" + "".join(f"\n(assert {c}) ; note" for c in conjuncts)
    try:
        query = read(text)
    except InputError as error:
        assert "no assertion is about an output" in str(error)  # noqa: PT017 - the rest of the example is in order
        return
    rng = np.random.default_rng(seed)
    (x,) = query.inputs
    for _ in range(6):
        point = [Fraction(int(k), 4) for k in rng.integers(-5, 6, 2)]
        agrees(text, query, point)
        exact = query.values({x: np.array(point, dtype=object)}, exact=True)
        if not query.inside(exact):
            assert not query.violated(exact)


def test_numbers_are_exact_decimals() -> None:
    bounds = "(assert (<= X_0 0.1))(assert (>= X_0 1e-3))(assert (>= X_1 (- 0.5)))(assert (<= X_1 25E-2))"
    query = read(bounds + "(assert (<= Y_0 0.3))")
    (x,) = query.inputs
    assert query.boxes[x].upper.tolist() == [Fraction(1, 10), 0.25]
    assert query.boxes[x].lower.tolist() == [Fraction(1, 1000), -0.5]
    assert query.rows.constant.tolist() == [Fraction(-3, 10)]
    floats = read("(assert (<= X_0 0.5))(assert (<= X_1 0.25))(assert (<= Y_0 3))")
    assert next(iter(floats.boxes.values())).upper.dtype == np.float64


def test_hard_and_soft_and_strict() -> None:
    query = read(
        BOUNDS + "(assert (<= (+ X_0 X_1) 0.5))(assert (< X_0 1))(assert (< X_1 2))(assert (> Y_0 (+ Y_1 X_0)))"
    )
    found = {
        query.labels[leaf.rows[0]]: (leaf.soft, leaf.strict)
        for leaf in leaves(query.formula)
        if isinstance(leaf, Atoms)
    }
    assert found == {
        "X_0 + X_1 <= 0.5": (False, False),
        "X_0 < 1": (False, True),  # the box cannot say it; X_1 < 2 the box implies
        "Y_1 + X_0 < Y_0": (True, True),
    }
    assert query.strict


def test_missing_and_contradictory_bounds_are_not_errors() -> None:
    query = read("(assert (<= X_0 1))(assert (<= Y_0 0))")
    (x,) = query.inputs
    assert query.boxes[x].lower.tolist() == [-np.inf, -np.inf]
    assert query.boxes[x].upper.tolist() == [1.0, np.inf]
    empty = read("(assert (<= X_0 0))(assert (>= X_0 1))(assert (<= X_1 0))(assert (>= X_1 0))(assert (<= Y_0 0))")
    assert empty.empty_box


def test_several_inputs_and_outputs_are_numbered_in_order() -> None:
    a, b = new_input("a", 2), new_input("b", 1)
    y, z = affine(((Dense([[1.0, 0.0]]), a),)), affine(((Dense([[1.0], [2.0]]), b),))
    network = Network("two", {"a": Tensor(a, (2,)), "b": Tensor(b, (1,))}, {"y": Tensor(y, (1,)), "z": Tensor(z, (2,))})
    body = "".join(f"(assert (<= X_{k} {k}))(assert (>= X_{k} -{k}))" for k in range(3))
    body += "(assert (or (<= X_2 0) (<= X_1 0)))(assert (<= Y_2 (+ Y_0 Y_1)))"
    query = to_query(parse(declared(3, 3) + body), network)
    check_query(query)
    first, second = query.inputs
    assert query.boxes[first].upper.tolist() == [0, 1]
    assert query.boxes[second].upper.tolist() == [2]
    assert [leaf.input for leaf in leaves(query.formula) if isinstance(leaf, InBox)] == [second, first]
    values = query.values({first: np.array([5.0, 0.0]), second: np.array([3.0])})
    assert query.rows.value(values).tolist() == [6.0 - 5.0 - 3.0]


def test_reading_files(tmp_path: Path) -> None:
    text = declared(2, 2) + BOUNDS + "(assert (<= Y_0 0))"
    network = linear_network(2, 2)
    plain, packed = tmp_path / "a.vnnlib", tmp_path / "a.vnnlib.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    queries = [load_vnnlib(source, network) for source in (plain, str(packed), text.encode(), packed.read_bytes())]
    assert len({q.hash for q in queries}) == 1
    assert [q.name for q in queries[:2]] == ["a", "a"]
    assert "-1 <= X_0 <= 1" in queries[0].text
    assert "Y_0 <= 0" in queries[0].text
    packed.write_bytes(packed.read_bytes()[:-20])
    for source, problem in (
        (packed, "gzip"),
        (tmp_path / "none.vnnlib", "no such file"),
        (b"\xff\xfe\x00", "not text"),
    ):
        with pytest.raises(InputError, match=problem):
            load_vnnlib(source, network)
    with pytest.raises(InputError, match="network"):
        load_vnnlib(plain, None)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("(assert (<= X_0 1)", "line 5.*not closed|line 5.*expected"),
        ("(assert (<= X_0 1)))", r"line 5: expected '\('"),
        ("(assert (<= X_0", "not closed.*end of the file"),
        ("(assert", "not closed"),
        ("\n(assert (<= X_7 1))", "line 6: undeclared variable at 'X_7'"),
        ("(assert (<= Y_0 (* X_0 X_1)))", r"not linear at '\*'"),
        ("(assert (<= Y_0 0.1.2))", "at '0.1.2'"),
        ("(assert (<= Y_0 1e99999))", "at '1e99999'"),
        ("(assert (<= Y_0 nan))", "at 'nan'"),
        ("(assert (<= Y_0 inf))", "at 'inf'"),
        ("(assert (<= Y_0))", "1 operands"),
        ("(assert (=> (<= Y_0 1)))", "1 operands"),
        ("(assert (+ Y_0 1))", "a term where a condition"),
        ("(assert (and Y_0 1))", "a term where a condition"),
        ("(assert (<= (<= Y_0 1) 1))", "a condition where a term"),
        ("(assert (xor (<= Y_0 1) (<= Y_0 1)))", "unknown operator at 'xor'"),
        ("(assert (/ Y_0 0))", "non-zero number"),
        ("(assert ())", r"unknown operator at '\)'"),
        ("(declare-const X_0 Real)", "declared twice at 'X_0'"),
        ("(declare-const X_2 Int)", "expected 'Real"),
        ("(declare-const Z_0 Real)", "expected a variable"),
        ("(declare-const X_01 Real)", "expected a variable"),
        ("(declare-const X_3 Real)(assert (<= Y_0 1))", "not X_2"),
        ("(maximise Y_0)", "unknown command at 'maximise'"),
        ("hello", r"expected '\(' at 'hello'"),
        ("", "nothing is asserted"),
        ("(assert (<= X_0 1))", "no assertion is about an output"),
    ],
)
def test_errors_name_line_and_token(body: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        read(body)
    assert caught.value.where.startswith("VNN-LIB text")


def test_garbage_and_truncation_never_crash(benchmarks: Path) -> None:
    text = gzip.decompress((benchmarks / "acasxu" / "vnnlib" / "prop_6.vnnlib.gz").read_bytes()).decode()
    network = linear_network(5, 5)
    for cut in range(0, len(text), 61):
        try:
            to_query(parse(text[:cut]), network)
        except InputError:
            continue
        assert "Y_4 Y_0" in text[:cut]  # nothing shorter than the whole conclusion is a property


def test_property_of_another_network() -> None:
    spec = parse(declared(2, 2) + BOUNDS + "(assert (<= Y_1 0))")
    with pytest.raises(InputError, match="2 variables Y, the network 'net' has 5 outputs"):
        to_query(spec, linear_network(2, 5))
    with pytest.raises(InputError, match="2 variables X, the network 'net' has 3 inputs"):
        to_query(spec, linear_network(3, 2))


def test_deep_nesting_does_not_recurse() -> None:
    deep = "(not (and " * 3000 + "(<= Y_0 1)" + "))" * 3000
    query = read(BOUNDS + f"(assert {deep})")
    assert query.labels == ("Y_0 <= 1",)
