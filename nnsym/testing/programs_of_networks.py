"""Big-M programs of small networks for the kit of lanes; their optima are those of the exact oracle.

Widely used solvers have called values optimal here that are not, with a bound that says so: HiGHS before 1.16.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nnsym.bounds.engine.backward.linear import crown
from nnsym.bounds.methods import compute
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.testing.problem import Problem
from nnsym.testing.random_nets import random_network, random_query

#: Kinds and seeds of networks.
_NETWORKS = (("maxpool", 38), ("leaky", 38131))


def network_problems() -> Iterator[Problem]:
    """Two programs for each network: on interval bounds, and with rows that are bounded backwards from these."""
    for kind, seed in _NETWORKS:
        query = random_query(random_network(kind, seed, width=3), seed, max_unstable=20)
        least = minimum_margin(query, max_unstable=20).margin
        plain = compute(query, "ibp")
        rows = plain.rows.intersect(crown(query, intermediate=plain).rows)
        for what, bounds in (("", plain), (", rows backwards", replace(plain, rows=rows))):
            program = encode(query, bounds, find_encoding("bigm"))
            name = f"network {kind} {seed}{what}"
            yield Problem(name=name, program=program, optimum=least, satisfiable=least <= 0)
