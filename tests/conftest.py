"""Fixtures that several rooms share, and what the suite does not see of the machine that it runs on."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from system_programs import PACKAGES, asked_for, path_without

from tests.benchmarks.measure import benchmark_folder
from tests.depth import drawn

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command does: idle threads of torch must not spin
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")  # as many processes run as there are cores


def pytest_configure(config: pytest.Config) -> None:
    """Hide optional programs of the system. Workers of pytest-xdist inherit the path and find nothing more to hide."""
    if asked_for():
        return
    shadows = tempfile.TemporaryDirectory(prefix="nnsym-path-")
    config.add_cleanup(shadows.cleanup)
    os.environ["PATH"] = path_without(os.environ.get("PATH", ""), Path(shadows.name))
    sys.modules.update(dict.fromkeys(PACKAGES))  # type: ignore[misc]


def pytest_report_header(config: pytest.Config) -> str:
    """Which of the two."""
    return "the system's solvers: " + ("used" if asked_for() else "hidden (NNSYM_SYSTEM_SOLVERS=1 uses them)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests by hypothesis draw their share of examples, at least 3 (``tests/depth.py``), and no test is timed."""
    for function in {getattr(item.obj, "__func__", item.obj) for item in items if isinstance(item, pytest.Function)}:
        found = getattr(function, "_hypothesis_internal_use_settings", None)
        if found is not None:
            function._hypothesis_internal_use_settings = settings(
                found, max_examples=drawn(found.max_examples, 3), deadline=None
            )


@pytest.fixture(scope="session")
def benchmarks() -> Path:
    """The folder of the field's benchmarks: ``NNSYM_BENCHMARKS``, else ``../shared/benchmarks``."""
    folder = benchmark_folder()
    if not folder.is_dir():
        pytest.skip(f"no benchmarks at {folder}; set NNSYM_BENCHMARKS")
    return folder
