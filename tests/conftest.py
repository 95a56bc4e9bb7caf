"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.benchmarks.measure import benchmark_folder

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command does: idle threads of torch must not spin


@pytest.fixture(scope="session")
def benchmarks() -> Path:
    """The folder of the field's benchmarks: ``NNSYM_BENCHMARKS``, else ``../shared/benchmarks``."""
    folder = benchmark_folder()
    if not folder.is_dir():
        pytest.skip(f"no benchmarks at {folder}; set NNSYM_BENCHMARKS")
    return folder
