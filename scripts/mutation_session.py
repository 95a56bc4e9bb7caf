"""Mutants judged by tests: one session of pytest whose tests are collected once, and a fork of it for each mutant.

In the fork the code of the functions that are imported already is exchanged in memory; the mutant's file is written as
well, for what is imported later and for other processes. Where more than functions changed, as constants of a module,
the tests run in a process that starts anew.
"""

from __future__ import annotations

import compileall
import gc
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import coverage
import pytest
from mutations import ROOT, Mutant

_FLAGS = ("-x", "-q", "-p", "no:cacheprovider")
Functions = dict[tuple[str, str, int], list[FunctionType]]


@dataclass(kw_only=True)
class Arena:
    """A copy of the tree in which one mutant after the other is tested; a plugin of pytest."""

    folder: Path
    wanted: Sequence[Mutant]
    tests: dict[str, tuple[str, ...]]  # of each mutated file, names of files of tests
    limit: float  # seconds after which a mutant counts as killed
    every: bool  # run tests as well that do not run the changed lines
    budget: float  # seconds of the tests that are tried on a mutant
    measured: Path | None  # where what was measured is kept, for later runs
    survivors: list[Mutant] = field(default_factory=list)

    def run(self) -> list[Mutant]:
        """The mutants that survive."""
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        for part in ("nnsym", "encodings", "tests", "docs"):
            shutil.copytree(ROOT / part, self.folder / part, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", self.folder)
        compileall.compile_dir(self.folder, quiet=2)
        paths = [str(self.folder), str(self.folder / "encodings"), str(self.folder / "tests")]
        os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        sys.path[:0], sys.dont_write_bytecode = paths, True
        os.chdir(self.folder)
        names = dict.fromkeys(f"tests/{name}.py" for m in self.wanted for name in self.tests[m.file])
        if pytest.main([*_FLAGS, *names], plugins=[self]):
            raise RuntimeError("the tests fail without any mutation")
        return self.survivors

    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """In place of pytest's loop: the tests without a mutation, measured, then a fork for each mutant."""
        items, kept = {item.nodeid: item for item in session.items}, self.measured or self.folder / "measured.json"
        if not kept.exists() and not _forked(lambda: _measured(session, self.folder, kept), 3600.0):
            session.testsfailed += 1
            return True
        seconds, runs = json.loads(kept.read_text())
        session.config.pluginmanager.unregister(name="terminalreporter")
        functions: Functions = defaultdict(list)
        for function in gc.get_objects():
            if isinstance(function, FunctionType):
                functions[_key(function.__code__)].append(function)
        for number, mutant in enumerate(self.wanted, 1):
            start, chosen = time.monotonic(), self._chosen(mutant, seconds, runs)
            alive = self._survives(mutant, [items[name] for name in chosen], session, functions)
            self.survivors += [mutant] * alive
            said = f"{number}/{len(self.wanted)} {'SURVIVED' if alive else 'killed'} {time.monotonic() - start:.1f}s"
            print(f"{said} {mutant.file}:{mutant.line}: {mutant.key}", file=sys.__stdout__, flush=True)
        return True

    def _chosen(self, mutant: Mutant, seconds: dict[str, float], runs: dict[str, dict[str, list[str]]]) -> list[str]:
        """The tests that run the changed lines, the quickest first, within the budget.

        All may, where none runs them itself, as of what runs on import.
        """
        lines = runs.get(mutant.file, {})
        running = {name for line in mutant.lines for name in lines.get(str(line), ())}
        files = {f"tests/{name}.py" for name in self.tests[mutant.file]}
        mine = [name for name in seconds if name.partition("::")[0] in files]
        chosen = sorted([n for n in mine if self.every or n in running] or mine, key=seconds.__getitem__)
        spent = accumulate(map(seconds.__getitem__, chosen))
        return [name for name, total in zip(chosen, spent, strict=True) if total <= self.budget]

    def _survives(
        self, mutant: Mutant, items: list[pytest.Item], session: pytest.Session, functions: Functions
    ) -> bool:
        path = self.folder / mutant.file
        original = path.read_text()
        try:
            codes = [compile(text, str(path), "exec") for text in (original, mutant.source)]
        except SyntaxError:  # as of an argument that is there twice: no mutant
            return False
        pairs = exchanged(*codes)
        for stale in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            stale.unlink()
        path.write_text(mutant.source)
        try:
            if pairs is None:
                return _alone([item.nodeid for item in items], self.limit)
            return _forked(lambda: _mutated(session, items, functions, pairs), self.limit)
        finally:
            path.write_text(original)


def exchanged(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]] | None:
    """The codes of functions that differ, pairwise; None where what is run on import does."""
    inner = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (old, new)]
    own = [
        (
            code.co_code,
            code.co_names,
            code.co_varnames,
            [repr(c) for c in code.co_consts if not isinstance(c, CodeType)],
        )
        for code in (old, new)
    ]
    function = bool(old.co_flags & inspect.CO_OPTIMIZED)
    if not function and (own[0] != own[1] or len(inner[0]) != len(inner[1])):
        return None
    found = [(old, new)] if function and old != new else []
    if len(inner[0]) == len(inner[1]):
        for pair in zip(*inner, strict=True):
            more = exchanged(*pair)
            if more is None:
                return None
            found += more
    return found


def _key(code: CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _mutated(
    session: pytest.Session, items: list[pytest.Item], functions: Functions, pairs: list[tuple[CodeType, CodeType]]
) -> int:
    for old, new in pairs:
        for function in functions.get(_key(old), ()):
            function.__code__ = new
    return _tested(session, items)


def _tested(session: pytest.Session, items: list[pytest.Item]) -> int:
    """Run the tests until one fails; how many did."""
    session.items = items
    for place, item in enumerate(items):
        following = items[place + 1] if place + 1 < len(items) else None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return 1
    return 0


class _Watch:
    """A plugin that keeps the seconds of each test, and tells the coverage which one runs."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured, self.seconds = measured, dict[str, float]()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.measured.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def _measured(session: pytest.Session, folder: Path, kept: Path) -> int:
    """How long each test takes and which lines it runs is written to a file."""
    measured = coverage.Coverage(data_file=None, config_file=False, source=[str(folder)])
    watch, runs = _Watch(measured), {}
    session.config.pluginmanager.register(watch)
    measured.start()
    code = _tested(session, session.items)
    measured.stop()
    data = measured.get_data()
    for file in data.measured_files():
        lines = data.contexts_by_lineno(file).items()
        runs[os.path.relpath(file, folder)] = {line: [c for c in found if c] for line, found in lines}
    kept.write_text(json.dumps([watch.seconds, runs]))
    return code


def _forked(work: Callable[[], int], limit: float) -> bool:
    """Whether what runs in a fork ends with 0 within ``limit`` seconds."""
    child = os.fork()
    if child == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        code: Any = 1
        try:
            code = work()
        finally:
            os._exit(code)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _alone(names: list[str], limit: float) -> bool:
    """Whether tests pass in a process that imports the mutant."""
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(
        [sys.executable, "-m", "pytest", *_FLAGS, *names], stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        return child.wait(limit) == 0
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return False
