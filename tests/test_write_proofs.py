"""Files of certificates for VIPR and Lean: read by readers of their own here, and run where the programs are."""

from __future__ import annotations

import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import below, box, certificate, opened, plain, stated
from test_check_mutations import Theorem

from nnsym.check.checker import Checker
from nnsym.check.errors import Refused
from nnsym.errors import UnsupportedError
from nnsym.write.lean import to_lean
from nnsym.write.vipr import to_vipr

Row = tuple[str, Fraction, dict[int, Fraction]]


def proves(text: str) -> bool:
    """Whether a file derives an absurdity from its rows without assumptions; asserts every step."""
    words = iter(text.split())
    take = lambda: next(words)  # noqa: E731

    def row() -> Row:
        take()
        sense, limit, count = take(), Fraction(take()), int(take())
        return sense, limit, {int(take()): Fraction(take()) for _ in range(count)}

    assert [take(), take(), take()] == ["VER", "1.0", "VAR"]
    for _ in range(int(take())):
        take()
    assert take() == "INT"
    whole = {int(take()) for _ in range(int(take()))}
    assert [take(), take(), take(), take()] == ["OBJ", "min", "0", "CON"]
    count, _ = int(take()), take()
    rows = [row() for _ in range(count)]
    assumed: list[set[int]] = [set() for _ in rows]
    assert [take(), take(), take(), take(), take()] == ["RTP", "infeas", "SOL", "0", "DER"]
    for number in range(count, count + int(take())):
        made = row()
        assert take() == "{"
        kind = take()
        if kind == "asm":
            assumed.append({number})
        elif kind == "lin":
            factors = {int(take()): Fraction(take()) for _ in range(int(take()))}
            assert made[0] == "G"
            total, limit = dict[int, Fraction](), Fraction(0)
            for k, m in factors.items():
                sense, right, terms = rows[k]
                assert sense == "E" or (m >= 0) == (sense == "G")
                limit += m * right
                for j, a in terms.items():
                    total[j] = total.get(j, Fraction(0)) + m * a
            assert not any(total.values())
            assert limit >= made[1] > 0
            assumed.append(set().union(*(assumed[k] for k in factors)))
        else:
            assert kind == "uns"
            a, b, c, d = (int(take()) for _ in range(4))
            (low, high), (under, over) = (rows[b], rows[d]), (rows[a], rows[c])
            assert (low[0], high[0]) == ("L", "G")
            assert low[1] + 1 == high[1]
            assert low[2] == high[2]
            assert set(low[2]) <= whole
            assert under[2] == over[2] == made[2] == {}
            assert min(under[1], over[1]) >= made[1] > 0
            assumed.append((assumed[a] - {b}) | (assumed[c] - {d}))
        assert [take(), take()] == ["}", "-1"]
        rows.append(made)
    return not rows[-1][2] and rows[-1][0] == "G" and rows[-1][1] > 0 and not assumed[-1]


def _viprchk(text: str, folder: Path) -> None:
    program = shutil.which("viprchk")
    if program is None:
        return
    path = folder / "proof.vipr"
    path.write_text(text)
    ran = subprocess.run([program, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Infeasibility verified" in ran.stdout + ran.stderr


def _phases(rng: np.random.Generator, depth: int, free: list[tuple[int, int]]) -> list[Any]:
    """A tree of phase splits of distinct neurons."""
    if not depth or not free:
        return [["l"]]
    n, i = free[int(rng.integers(0, len(free)))]
    rest = [f for f in free if f != (n, i)]
    return [["r", n, i], *_phases(rng, depth - 1, rest), *_phases(rng, depth - 1, rest)]


def test_leaves_and_phases_become_derivations(tmp_path: Path) -> None:
    rng, written = np.random.default_rng(3), 0
    for _ in range(80):
        theorem = Theorem(rng)
        width = Fraction(1, 4)
        theorem.lower, theorem.upper = ([p + s * width for p in theorem.point] for s in (-1, 1))
        probe = theorem.certificate(theorem.attained - 3, [["b"], ["l"]])
        if probe["property"]["vnnlib"].count("(or "):
            continue
        checker = Checker(probe, {}, "reference")
        case = below(checker)
        free = [(n, i) for n in (0, 2) for i, o in enumerate(opened(checker, case, n + 1)) if o]
        tree = [["b"], *_phases(rng, 2, free)]
        made = probe | {"tree": tree}
        try:
            text = to_vipr(made, {})
        except (Refused, UnsupportedError):
            continue
        assert proves(text)
        _viprchk(text, tmp_path)
        written += "uns" in text
    assert written > 5


def test_split_facts_and_slopes_take_part(tmp_path: Path) -> None:
    nodes = [["MatMul", ["x", "W"], ["z"]], ["Relu", ["z"], ["r"]], ["MatMul", ["r", "one"], ["y"]]]
    graph = plain({"x": [2]}, nodes, ["y"], W=[[1, 1], [1, -1]], one=[[1], [1]])
    text = stated(graph, box("x", [-1, -1], [1, 1]) + "(assert (<= (- y[0] x[0] x[1]) -0.125))", {"y": [1]})
    names = [[0, "z"], [0, "r"]]
    for tree in (
        [["b"], ["r", 0, 0], ["l", [[0, 1], [1, 1]]], ["l"]],
        [["b"], ["r", 0, 0], ["l", [[0, 1], [1, 1]], {"1": "08"}], ["l", [[0, 1], [1, 0.03125]]]],
    ):
        made = certificate(text, tree, {"name": "f", "graph": graph}, names=names)
        file = to_vipr(made, {})
        assert proves(file)
        _viprchk(file, tmp_path)
        for wrong in (file.replace("lin", "asm", 1), file.replace("D0 L 0", "D0 L 1")):
            with pytest.raises((AssertionError, ValueError, StopIteration)):
                assert proves(wrong)


def test_what_a_milp_of_this_form_cannot_say_is_refused() -> None:
    graph = plain({"x": [1]}, [["Tanh", ["x"], ["y"]]], ["y"])
    text = stated(graph, box("x", [0], [1]) + "(assert (<= y[0] -0.5))", {"y": [1]})
    made = certificate(text, [["l"]], {"name": "f", "graph": graph})
    with pytest.raises(UnsupportedError, match="other than ReLU"):
        to_vipr(made, {})
    with pytest.raises(Refused, match="ends early"):
        to_vipr(made | {"tree": [["x", 0]]}, {})


def _lean(text: str) -> tuple[int, list[tuple[list[int], int]], Any]:
    """Width, rows and proof of a file for Lean, read by their text."""
    body = text.partition("def width : Nat := ")[2]
    width = int(body.split()[0])
    rows = [
        ([int(a) for a in found[1].split(",")], int(found[2]))
        for found in re.finditer(r"\{ coefficients := \[([^\]]*)\], limit := (-?\d+) \}", body)
    ]
    words = re.findall(
        r"\.leaf|\.split|\[[^\]]*\]|-?\d+|[()]", body.partition("def proof : Proof :=")[2].partition("#eval")[0]
    )

    def tree() -> Any:
        word = words.pop(0)
        if word == "(":
            inner = tree()
            assert words.pop(0) == ")"
            return inner
        if word == ".leaf":
            return [int(m) for m in words.pop(0)[1:-1].split(",")]
        assert word == ".split"
        return int(words.pop(0)), tree(), tree()

    proof = tree()
    assert not words
    return width, rows, proof


def _holds(width: int, rows: list[tuple[list[int], int]], proof: Any) -> bool:
    """What the file's own function computes."""
    if isinstance(proof, list):
        assert len(proof) == len(rows)
        sums = [sum(m * row[j] for m, (row, _) in zip(proof, rows, strict=True)) for j in range(width)]
        right = sum(m * limit for m, (_, limit) in zip(proof, rows, strict=True))
        return min(proof) >= 0 and not any(sums) and right > 0
    j, off, on = proof
    unit = [int(k == j) for k in range(width)]
    return _holds(width, [*rows, ([-u for u in unit], 0)], off) and _holds(width, [*rows, (unit, 1)], on)


def test_lean_files_hold_by_what_they_compute(tmp_path: Path) -> None:
    nodes = [["MatMul", ["x", "W"], ["z"]], ["Relu", ["z"], ["r"]], ["MatMul", ["r", "one"], ["y"]]]
    graph = plain({"x": [2]}, nodes, ["y"], W=[[1, 1], [1, -1]], one=[[1], [1]])
    text = stated(graph, box("x", [-1, -1], [1, 1]) + "(assert (<= (- y[0] x[0] x[1]) -0.125))", {"y": [1]})
    tree = [["b"], ["r", 0, 0], ["l", [[0, 1], [1, 1]]], ["r", 0, 1], ["l"], ["l", [[0, 1], [2, 1]]]]
    file = to_lean(certificate(text, tree, {"name": "f", "graph": graph}, names=[[0, "z"], [0, "r"]]), {})
    width, rows, proof = _lean(file)
    assert _holds(width, rows, proof)
    assert not _holds(width, [*rows[:-1], (rows[-1][0], rows[-1][1] - 1)], proof)
    assert all(len(row) == width for row, _ in rows)
    opened, closed = (file.count(c) for c in "([{"), (file.count(c) for c in ")]}")
    assert list(opened) == list(closed)
    program = shutil.which("lean")
    if program is not None:
        path = tmp_path / "Certificate.lean"
        path.write_text(file)
        ran = subprocess.run([program, str(path)], capture_output=True, text=True, timeout=300, check=False)
        assert (ran.returncode, ran.stdout.split()[-1]) == (0, "true"), ran.stdout + ran.stderr
