"""The name of the smallest logic of VNN-LIB 2.0 that a file belongs to: one theory from each set of the standard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nnsym.write.vnnlib_declare import Declared
from nnsym.write.vnnlib_formula import Atom, Condition

_ARITHMETIC = ("BND", "OUTC", "LIN", "POLY")


def logic(networks: Sequence[Declared], conditions: Iterable[Condition]) -> str:
    """``NH-MENET-SIO-MNC-LIN-REAL``: hidden, networks, inputs and outputs, nodes per comparison, arithmetic, type."""
    declared = [(n, t) for n in networks for t in n.tensors]
    owner = [n.name for n, _ in declared]
    kinds = [t.kind for _, t in declared]
    atoms = list(_atoms(conditions))
    relations = {n.relation.split(" ")[0] for n in networks[1:]}
    several = "SNET" if len(networks) == 1 else "MENET" if relations == {"equal-to"} else ""
    several = several or ("MNET" if "" in relations else "MINET")
    single = all([t.kind for t in n.tensors].count(kind) == 1 for n in networks for kind in ("input", "output"))
    mixed = any(_nodes(a, owner) for a in atoms)
    return "-".join(
        (
            "H" if "hidden" in kinds else "NH",
            several,
            "SIO" if single else "MIO",
            "MNC" if mixed else "SNC",
            _ARITHMETIC[max((_arithmetic(a, kinds) for a in atoms), default=0)],
            "REAL",
        )
    )


def _atoms(conditions: Iterable[Condition]) -> Iterable[Atom]:
    stack = list(conditions)
    while stack:
        part = stack.pop()
        if isinstance(part, Atom):
            yield part
        else:
            stack.extend(part.parts)


def _nodes(atom: Atom, owner: Sequence[str]) -> bool:
    """Does it compare variables of different nodes of one network?"""
    used = {key[0] for monomial in atom.polynomial for key in monomial}
    return len({owner[t] for t in used}) < len(used)


def _arithmetic(atom: Atom, kinds: Sequence[str]) -> int:
    terms = {m: c for m, c in atom.polynomial.items() if m}
    if any(len(m) > 1 for m in terms):
        return 3
    if len(terms) <= 1:
        return 0
    plain = len(terms) == 2 and sum(terms.values()) == 0 and () not in atom.polynomial
    return 1 if plain and all(kinds[m[0][0]] != "input" for m in terms) else 2
