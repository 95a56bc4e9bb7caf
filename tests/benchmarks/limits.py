"""A limit of 10 s on 784-256x6-10 with interval bounds only (1495 open neurons), by every lane, in wall seconds."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nnsym as nn
from nnsym.registry import find_encoding
from nnsym.solvers.registry import lanes
from tests.benchmarks.measure import table
from tests.benchmarks.models import Instance, onnx_model, random_instance, vnnlib_text

LIMIT = 10.0


def report(_: int = 1) -> str:
    """The table of this file."""
    instance = random_instance()
    return table(f"a limit of {LIMIT:g} s", ("what", "wall s", "says"), (*_lanes(instance), _command(instance)))


def _lanes(instance: Instance) -> Iterator[tuple[str, str, str]]:
    for name, lane in lanes().items():
        encoding = "bigm" if find_encoding("bigm").emits <= lane.accepts and not lane.exact else "smt"
        if lane.availability().available:
            start = time.perf_counter()
            found = nn.verify(instance.prop, encoding, solver=name, bounds="ibp", timeout=LIMIT)
            seconds = time.perf_counter() - start
            yield f"verify, {encoding} by {name}", f"{seconds:.1f}", f"{found.status.value} ({found.reason})"


def _command(instance: Instance) -> tuple[str, str, str]:
    with tempfile.TemporaryDirectory() as folder:
        network, prop = Path(folder) / "net.onnx", Path(folder) / "prop.vnnlib"
        network.write_bytes(onnx_model(instance.layers).SerializeToString())
        prop.write_text(vnnlib_text(instance.lower, instance.upper, 10), encoding="utf-8")
        words = ["verify", network, prop, "--encoding", "bigm", "--solver", "highs", "--bounds", "ibp"]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "nnsym.cli.main", *map(str, words), "--timeout", f"{LIMIT:g}"],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - start
    return "nnsym verify, bigm by highs", f"{seconds:.1f}", f"exit code {done.returncode}"
