"""Exported files mean the same to other tools: networks of every kind, read back and solved."""

from __future__ import annotations

from pathlib import Path

import pytest
from readers import READERS, z3_minimum

from nnsym.bounds.methods import compute
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.program import Program
from nnsym.testing.random_nets import random_network, random_query
from nnsym.write.lp import to_lp
from nnsym.write.mps import to_mps
from nnsym.write.names import symbols
from nnsym.write.smtlib import to_smtlib

WRITERS = {".lp": to_lp, ".mps": to_mps}
CASES = {"dense": 1, "leaky": 2, "abs": 3, "residual": 4, "conv": 5, "maxpool": 6}


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> tuple[Program, float]:
    """A big-M program with binaries, and the least margin by exact enumeration."""
    kind = request.param
    for seed in range(CASES[kind], 99):
        query = random_query(random_network(kind, seed), seed)
        margin = minimum_margin(query).margin
        program = encode(query, compute(query, "ibp"), find_encoding("bigm"))
        if abs(margin) < 100 and program.n_binary >= 2:
            return program, float(margin)
    raise AssertionError(kind)


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.__name__)
@pytest.mark.parametrize("suffix", WRITERS)
def test_same_optimum(case: tuple[Program, float], suffix: str, reader, tmp_path: Path) -> None:
    program, margin = case
    path = tmp_path / f"model{suffix}"
    path.write_text(WRITERS[suffix](program, header=["a header", "", "  > of >= several - lines"]))
    assert reader(path) == pytest.approx(margin, abs=1e-6)


def test_same_optimum_smtlib(case: tuple[Program, float]) -> None:
    program, margin = case
    text = to_smtlib(program, header=["a header\n(check-sat)"], named=False)
    assert float(z3_minimum(text, symbols(program)[program.objective])) == pytest.approx(margin, abs=1e-9)


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.__name__)
def test_triangle_is_read_as_an_lp(reader, tmp_path: Path) -> None:
    query = random_query(random_network("dense", 3), 3)
    program = encode(query, compute(query, "crown"), find_encoding("triangle"))
    optima = []
    for suffix, write in WRITERS.items():
        path = tmp_path / f"model{suffix}"
        path.write_text(write(program))
        optima.append(reader(path))
    exact = z3_minimum(to_smtlib(program, named=False), symbols(program)[program.objective])
    assert optima == pytest.approx([float(exact)] * 2, abs=1e-6)
