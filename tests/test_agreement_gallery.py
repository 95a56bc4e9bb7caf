"""All exact encodings and all solvers on 2,000 random networks and properties (``make field``; minutes).

Every instance is judged by big-M on HiGHS and by three other pairs in turn, against the exact oracle. A wrong verdict
fails at once; fewer than one answer in a hundred may be unknown; a third and more of the sample is tight: a margin
within 1e-3 of 0 and four or more unstable neurons. ``NNSYM_SAMPLE`` sets another number of instances.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter

import pytest
from random_properties import nested_query
from test_agreement import check, judged

from nnsym.ask.verify import verify
from nnsym.judge.programs.methods import program
from nnsym.results.result import Verdict
from nnsym.solvers.registry import find
from nnsym.testing.random_nets import KINDS, random_network, random_query

pytestmark = pytest.mark.field

PAIRS = tuple(
    pair
    for pair in (
        *itertools.product(("bigm", "partition2", "partition4", "balas"), ("highs", "glpk", "gurobi")),
        *itertools.product(("indicator", "sos1"), ("gurobi",)),
        *itertools.product(("smt", "smt-textbook", "smt-ite", "smt-implies"), ("z3", "cvc5")),
        ("bigm", "z3"),
    )
    if find(pair[1]).availability().available
)


def test_all_exact_pairs_agree() -> None:
    count, tally, tight = int(os.environ.get("NNSYM_SAMPLE", "2000")), Counter[str](), 0
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        network = random_network(kind, 10_000 + number, width=3 if kind in ("conv", "maxpool") else 4)
        draw = random_query if number % 3 == 2 else nested_query
        found = judged(draw(network, number, tight=number % 3 > 0, max_unstable=16))
        tight += found.tight
        turns = [PAIRS[(3 * number + k) % len(PAIRS)] for k in range(3)]
        for encoding, lane in dict.fromkeys((("bigm", "highs"), *turns)):
            method = program(encoding, solver=lane, bounds="crown", optimise=not find(lane).exact and number % 2 == 0)
            result = verify(found.query, method, timeout=20, shortcut=False)
            check(found, result)
            said = "unknown" if result.status is Verdict.UNKNOWN else "decided"
            tally.update((said, f"{encoding}+{lane}: {said}"))
    print(f"{count} instances, {tight} tight; {dict(sorted(tally.items()))}")
    assert tally["unknown"] < 0.01 * tally["decided"]
    assert tight >= 0.3 * count
