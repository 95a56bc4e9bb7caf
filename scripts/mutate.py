"""Mutation testing of what soundness rests on: the encodings, the layers they share, and the verdict.

    python scripts/mutate.py                      every mutant of every file below (about an hour on two cores)
    python scripts/mutate.py bigm.py verdict.py   those files only
    python scripts/mutate.py --list triangle.py   the mutants, without running anything

A mutant is the source with one place changed: a sign, a comparison, a constant, ``min`` for ``max``, ``left`` for
``right``, ``lower=`` for ``upper=``, a rounding to the other side. It is written into a copy of the tree in a
temporary folder, the file's tests run against it until the first failure, and what no test notices is listed.
A survivor is a missing test or a change without effect; scripts/equivalent_mutants.txt lists the latter with
reasons. The exit code is 1 if there are others.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = ROOT / "scripts" / "equivalent_mutants.txt"

SHARED = ("test_encode_affine", "test_encode_formula", "test_encode_spec")
RULES = ("test_encoding_bigm", "test_encoding_triangle", "test_encoding_smt", "test_encoding_edges")
JUDGES = ("test_lattice", "test_agreement")

#: Which tests judge which file, the quickest first.
TESTS: dict[str, tuple[str, ...]] = {
    "encodings/nnsym_encodings/bigm.py": ("test_encoding_bigm", "test_encoding_edges", *JUDGES),
    "encodings/nnsym_encodings/triangle.py": ("test_encoding_triangle", "test_encoding_edges", *JUDGES),
    "encodings/nnsym_encodings/smt.py": ("test_encoding_smt", "test_encoding_edges", *JUDGES),
    "encodings/nnsym_encodings/tjandraatmadja.py": ("test_cuts_tj",),
    "encodings/nnsym_encodings/krelu.py": ("test_cuts_krelu",),
    "encodings/nnsym_encodings/krelu_separated.py": ("test_cuts_krelu4",),
    "encodings/nnsym_encodings/anderson.py": ("test_cuts_anderson",),
    "encodings/nnsym_encodings/tangents.py": ("test_cuts_tangents",),
    "encodings/nnsym_encodings/lines.py": ("test_encoding_lines", "test_gallery"),
    "encodings/nnsym_encodings/balas.py": ("test_gallery", "test_encoding_exact"),
    "encodings/nnsym_encodings/partition.py": ("test_gallery", "test_encoding_exact"),
    "encodings/nnsym_encodings/split.py": ("test_gallery", "test_encoding_exact"),
    "encodings/nnsym_encodings/combination.py": ("test_encoding_combination",),
    "encodings/nnsym_encodings/sos2.py": ("test_encoding_combination",),
    "encodings/nnsym_encodings/logarithmic.py": ("test_encoding_combination",),
    "encodings/nnsym_encodings/logical.py": ("test_gallery", "test_encoding_exact"),
    "encodings/nnsym_encodings/smt_cases.py": ("test_gallery", "test_encoding_exact"),
    "nnsym/separation/box.py": ("test_cuts_tj", "test_cuts_anderson"),
    "nnsym/separation/octahedra.py": ("test_cuts_krelu",),
    "nnsym/separation/orthants.py": ("test_cuts_krelu4",),
    "nnsym/separation/gauge.py": ("test_cuts_krelu4",),
    "nnsym/separation/groups.py": ("test_cuts_krelu", "test_cuts_krelu4"),
    "nnsym/relaxation/forms.py": ("test_bounds_lp", "test_cuts_krelu"),
    "nnsym/relaxation/rounds.py": ("test_cuts", "test_cuts_anderson"),
    "nnsym/encode/walk.py": (*SHARED, *RULES, *JUDGES),
    "nnsym/encode/affine.py": (*SHARED, *RULES, *JUDGES),
    "nnsym/encode/formula.py": (*SHARED[1:], *RULES, *JUDGES),
    "nnsym/encode/point.py": ("test_encode_spec", *RULES, *JUDGES),
    "nnsym/encode/hinges.py": (*RULES, *JUDGES),
    "nnsym/encode/rules.py": (*RULES, *JUDGES),
    "nnsym/encode/statement.py": ("test_encode_spec", "test_encode_formula", *RULES, *JUDGES),
    "nnsym/encoding.py": (*RULES, "test_encode_spec", *JUDGES),
    "nnsym/judge/verdict.py": ("test_verdict", "test_verdict_truth", *JUDGES),
    "nnsym/deployed/terms.py": ("test_deployed", "test_deployed_operators"),
    "nnsym/deployed/enclose.py": ("test_deployed", "test_deployed_operators"),
    "nnsym/deployed/secants.py": ("test_deployed", "test_deployed_operators"),
    "nnsym/replay/__init__.py": ("test_replay", "test_deployed"),
    "nnsym/replay/real.py": ("test_replay", "test_deployed"),
    "nnsym/ir/rational/scaled.py": ("test_ir_scaled",),
}

_PAIRS = """min max, minimum maximum, argmin argmax, any all, lower upper, low high, left right, l u, a b, above below,
round_down round_up, sum_down sum_up, product_down product_up, at_l at_u, True False, 0 1, 0.0 1.0"""
_SWAP = {a: b for pair in _PAIRS.replace("\n", " ").split(",") for a, b in (pair.split(), pair.split()[::-1])}
_FLIP = {"+": ["-"], "-": ["+"], "&": ["|"], "|": ["&"], "and": ["or"], "or": ["and"], "==": ["!="], "!=": ["=="]}
_FLIP |= {"<": [">", "<="], "<=": [">=", "<"], ">": ["<", ">="], ">=": ["<=", ">"], "is": ["is not"]}
_SYMBOL = re.compile(r"<=|>=|==|!=|<|>|\+|-|&|\||\bis not\b|\bis\b|\band\b|\bor\b")
_TEXT_ARGUMENTS = ("says", "origin", "where", "remedy")


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One changed place, and the whole changed source."""

    file: str
    line: int
    before: str
    after: str
    source: str

    @property
    def key(self) -> str:
        """How the list of equivalent mutants names it; no line number, so that edits elsewhere do not matter."""
        return f"{Path(self.file).name}: {self.before} -> {self.after}"


def mutants(file: str) -> list[Mutant]:
    """All mutants of a file, in the order of their places."""
    text = (ROOT / file).read_text()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for start, end, new in sorted(set(_edits(ast.parse(text), text, starts))):
        line = text.count("\n", 0, start) + 1
        first, last = starts[line - 1], text.index("\n", end)
        source = text[:start] + new + text[end:]
        before, after = _one_line(text[first:last]), _one_line(source[first : last + len(new) - (end - start)])
        found.append(Mutant(file=file, line=line, before=before, after=after, source=source))
    return found


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _edits(tree: ast.AST, text: str, starts: list[int]) -> Iterator[tuple[int, int, str]]:
    """``(start, end, new text)`` of every change."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        stack.extend(_children(node))
        if not hasattr(node, "lineno"):
            continue
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        match node:
            case ast.Constant(value=bool() | int() | float()) | ast.Name():
                yield from _swapped(text, start, end)
            case ast.Attribute(attr=name):
                yield from _swapped(text, end - len(name), end)
            case ast.keyword(arg=str(name)):
                yield from _swapped(text, start, start + len(name))
            case ast.UnaryOp(operand=operand):
                yield start, starts[operand.lineno - 1] + operand.col_offset, ""
            case ast.BinOp(left=left, right=right) | ast.AugAssign(target=left, value=right):
                yield from _flipped(text, starts, [left, right])
            case ast.Compare(left=left, comparators=others):
                yield from _flipped(text, starts, [left, *others])
            case ast.BoolOp(values=values):
                yield from _flipped(text, starts, values)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """What may be mutated: no annotations, messages, texts or imports."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            named = isinstance(child, ast.keyword) and child.arg in _TEXT_ARGUMENTS
            if isinstance(child, ast.AST) and not named and not isinstance(child, (ast.Raise, ast.JoinedStr)):
                yield child


def _swapped(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """A name or number for its opposite; any other number for its negative and its successor."""
    word = text[start:end]
    if word in _SWAP:
        yield start, end, _SWAP[word]
    elif word[:1].isdigit():
        yield start, end, f"(-{word})"
        yield start, end, f"({word} + 1)"


def _flipped(text: str, starts: list[int], operands: list[ast.expr]) -> Iterator[tuple[int, int, str]]:
    """The operators between operands."""
    for left, right in pairwise(operands):
        start = starts[left.end_lineno - 1] + left.end_col_offset
        found = _SYMBOL.search(text, start, starts[right.lineno - 1] + right.col_offset)
        for new in _FLIP.get(found[0], []) if found else []:
            yield found.start(), found.end(), new


class Arena:
    """A copy of the tree in which one mutant at a time is tested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        for part in ("nnsym", "encodings", "tests", "docs"):
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", folder)
        compileall.compile_dir(folder, quiet=2)

    def enter(self) -> None:
        """Make this process (and what it starts) import nnsym from here; load what every test loads."""
        paths = [str(self.folder), str(self.folder / "encodings"), str(self.folder / "tests")]
        os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        sys.path[:0], sys.dont_write_bytecode = paths, True
        os.chdir(self.folder)
        for name in ("pytest", "hypothesis", "numpy", "scipy.optimize", "scipy.sparse", "networkx", "torch"):
            import_module(name)

    def survives(self, mutant: Mutant | None, tests: tuple[str, ...], limit: float) -> bool:
        """True if every test passes on the mutant within ``limit`` seconds each."""
        if mutant is not None:
            path = self.folder / mutant.file
            original = path.read_text()
            for stale in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
                stale.unlink()
            path.write_text(mutant.source)
        try:
            return all(self._passes(name, limit) for name in tests)
        finally:
            if mutant is not None:
                path.write_text(original)

    def _passes(self, name: str, limit: float) -> bool:
        child = os.fork()
        if child == 0:
            os.setsid()
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            import pytest

            code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", f"tests/{name}.py"])
            os._exit(int(code))
        end = time.monotonic() + limit
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status) == 0
            time.sleep(0.05)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return False


_arena: Arena


def _start(folder: str) -> None:
    global _arena
    _arena = Arena(Path(tempfile.mkdtemp(dir=folder)))
    _arena.enter()


def _judge(mutant: Mutant | None, tests: tuple[str, ...]) -> tuple[Mutant | None, bool, float]:
    start = time.monotonic()
    alive = _arena.survives(mutant, tests, limit=300.0)
    return mutant, alive, time.monotonic() - start


def _judge_pair(work: tuple[Mutant, tuple[str, ...]]) -> tuple[Mutant | None, bool, float]:
    return _judge(*work)


def equivalent() -> set[str]:
    """The keys of the mutants that are known to change nothing."""
    lines = EQUIVALENT.read_text().splitlines() if EQUIVALENT.exists() else []
    return {line for line in lines if line and not line.startswith("#")}


def main() -> int:
    """Run the mutants and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="names of files to mutate; all by default")
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="without the judges, a minute for every survivor")
    parser.add_argument("--only", default="", help="mutants whose text contains this")
    options = parser.parse_args()
    files = [f for f in TESTS if not options.files or Path(f).name in options.files]
    known = equivalent()
    chosen = [m for f in files for m in mutants(f) if options.only in m.key]
    if options.list:
        print("\n".join(f"{m.file}:{m.line}: {m.key}{'   (equivalent)' if m.key in known else ''}" for m in chosen))
        return 0
    wanted = [m for m in chosen if m.key not in known]
    survivors = run(wanted, files, jobs=options.jobs, quick=options.quick)
    print(f"{len(wanted)} mutants, {len(wanted) - len(survivors)} killed, {len(survivors)} survived")
    print(f"{len(chosen) - len(wanted)} more are known to be equivalent")
    for mutant in survivors:
        print(f"  {mutant.file}:{mutant.line}: {mutant.key}")
    return int(bool(survivors))


def run(wanted: list[Mutant], files: list[str], *, jobs: int, quick: bool) -> list[Mutant]:
    """The survivors; every mutant is reported as it is judged."""
    survivors: list[Mutant] = []
    folder = tempfile.TemporaryDirectory(prefix="nnsym-mutate-")
    with folder, get_context("spawn").Pool(jobs, _start, (folder.name,)) as pool:
        tests = tuple(dict.fromkeys(t for f in files for t in TESTS[f] if not quick or t not in JUDGES))
        if not pool.apply(_judge, (None, tests))[1]:
            raise SystemExit("the tests fail without any mutation")
        work = [(m, tuple(t for t in TESTS[m.file] if t in tests)) for m in wanted]
        for number, (mutant, alive, seconds) in enumerate(pool.imap_unordered(_judge_pair, work), 1):
            word = "SURVIVED" if alive else "killed"
            print(f"{number}/{len(wanted)} {word} {seconds:.1f}s {mutant.file}:{mutant.line}: {mutant.key}", flush=True)
            survivors += [mutant] * alive
    return survivors


if __name__ == "__main__":
    raise SystemExit(main())
