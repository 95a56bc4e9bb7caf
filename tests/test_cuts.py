"""Cut rounds: right rows in one program, a bound that no further family lowers, limits that hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.ask.export import build_program, program_text
from nnsym.bounds.methods import compute
from nnsym.encode.point import complete, residual
from nnsym.encode.registry import cuts, find_cut, find_encoding
from nnsym.encode.walk import encode
from nnsym.encoding import Cut, Rounds
from nnsym.errors import InputError, UnsupportedError
from nnsym.judge.programs.build import build
from nnsym.program import Program, Tag
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.registry import find
from nnsym.testing.check_encoding import ConformanceError, check_encoding
from nnsym.testing.random_nets import KINDS, random_network, random_query

EVERY = Rounds(least_binaries=0)


def query_of(kind: str, seed: int, width: int = 4):
    return random_query(random_network(kind, seed, width=width), seed, tight=False, max_unstable=24)


def optimum(program: Program) -> float:
    answer = find("highs").solve(program, Limits(seconds=60), Goal(decide=False))
    assert answer.status in (Status.OPTIMAL, Status.INFEASIBLE)
    assert answer.certified <= answer.objective + 1e-9
    return answer.objective


def cut_rows(program: Program) -> int:
    return sum(len(b) for b in program.rows if b.tag is Tag.CUT)


def test_a_composition_is_an_expression_and_a_name():
    composed = find_encoding("triangle") + find_cut("tj")
    named = find_encoding("triangle+tj")
    assert (composed.name, composed.cuts, composed.rules) == (named.name, named.cuts, named.rules)
    assert "Tjandraatmadja" in named.source
    with pytest.raises(InputError, match=r"unknown cut 'tjx'\. Did you mean tj\? Known cuts: tj"):
        find_encoding("triangle+tjx")
    with pytest.raises(InputError, match=r"'tj' takes no parameter"):
        find_encoding("triangle+tj:3")
    with pytest.raises(UnsupportedError, match=r"'smt'.* need a margin to bound"):
        find_encoding("smt+tj")


@settings(max_examples=12, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**16), source=st.sampled_from(["ibp", "crown"]))
def test_each_family_is_at_least_as_strong_as_those_before_it_and_never_beyond_the_exact_optimum(kind, seed, source):
    query = query_of(kind, seed)
    bounds = compute(query, source)
    names = ["triangle"]
    for name in cuts():
        if not find_cut(name).needs_phases:
            names.append(f"{names[-1]}+{name}")
    values = [optimum(build(query, bounds, find_encoding(name))) for name in names]
    exact = optimum(encode(query, bounds, find_encoding("bigm")))
    for less, more in pairwise([*values, exact]):
        assert less <= more + 1e-6 * max(1.0, abs(more))


@pytest.mark.parametrize("kind", ["dense", "residual", "leaky", "abs"])
def test_one_cut_serves_the_relaxation_the_mixed_integer_program_and_the_file(kind, tmp_path):
    """Rows of one program by column: added to big-M they change its relaxation and leave its optimum."""
    query = query_of(kind, 3, width=6)
    bounds = compute(query, "ibp")
    bigm = replace(find_encoding("bigm") + find_cut("tj"), rounds=EVERY)
    program = build(query, bounds, bigm)
    plain = encode(query, bounds, find_encoding("bigm"))
    assert cut_rows(program) > 0
    assert optimum(plain) == pytest.approx(optimum(program), abs=1e-6)
    assert optimum(program.relax()) >= optimum(plain.relax()) - 1e-7
    written = program_text(program, ".lp", (), strict=True)
    assert written.count(" <= ") > program_text(plain, ".lp", (), strict=True).count(" <= ")


def test_a_small_mixed_integer_program_is_left_as_it_is():
    query = query_of("dense", 3)
    program = build(query, compute(query, "ibp"), find_encoding("bigm+tj"))
    assert cut_rows(program) == 0
    assert "cuts" not in program.meta


@dataclass(frozen=True, kw_only=True)
class Wrong(Cut):
    """A family that is no inequality of the network: y <= h for every open neuron."""

    name: str = "wrong"
    summary: str = "wrong"
    source: str = "nobody"

    def separator(self, scene):
        from nnsym.builder import row_block

        def separate(point):
            for layer in scene.layers:
                o = layer.hinges
                terms = [(o.sign, o.y), (-o.b, o.h)]
                yield row_block(terms, upper=0.0, tag=Tag.CUT, origin="wrong")

        return separate


def test_conformance_catches_a_family_that_cuts_off_a_run():
    with pytest.raises(ConformanceError, match=r"violates a row by .*wrong"):
        check_encoding(find_encoding("triangle") + Wrong(), kinds=["dense"], seeds=range(3), bounds=("ibp",))


def test_without_time_there_are_no_cuts_and_the_program_is_right():
    query = query_of("dense", 3)
    bounds = compute(query, "ibp")
    program = build(query, bounds, find_encoding("triangle+tj"), limits=Limits(seconds=0.0))
    assert cut_rows(program) == 0
    assert optimum(program) == pytest.approx(optimum(encode(query, bounds, find_encoding("triangle"))), abs=1e-7)


def test_the_file_and_the_result_say_what_was_cut():
    query = query_of("dense", 3, width=6)
    _, program, encoding = build_program(query, "triangle+tj", bounds="ibp")
    assert encoding.name == "triangle+tj"
    assert program.meta["cuts"].startswith(f"{cut_rows(program)} rows; relaxation ")


def test_every_run_of_the_network_satisfies_the_cuts_exactly():
    rng = np.random.default_rng(0)
    query = query_of("dense", 11, width=8)
    program = build(query, compute(query, "ibp"), find_encoding("triangle+tj"))
    assert cut_rows(program) > 3
    for k in range(40):
        point = {}
        for x, box in query.boxes.items():
            low, high = box.outer
            share = rng.integers(0, 2, x.size) if k % 2 else rng.random(x.size)
            point[x] = low + share * (high - low)
        assert residual(program, complete(program, query, point, exact=True), frozenset({Tag.CUT}))[0] == 0
