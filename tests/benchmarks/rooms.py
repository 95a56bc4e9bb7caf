"""The other rooms: start, read, bounds and export, each with what it could cost at the least where that is known."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import vnnlib

import nnsym as nn
from nnsym.ask.export import program_text
from nnsym.bounds.methods import compute
from nnsym.bounds.points.attack import search
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.program import Program
from nnsym.read.vnnlib.load import parse
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.highs import load
from tests.benchmarks.measure import BenchSpec, Phase, Timing, measure, ms, table
from tests.benchmarks.models import Instance, onnx_model, random_instance, vnnlib2_text, vnnlib_text


def report(rounds: int = 9) -> str:
    """The table of this file."""
    wide, image = random_instance(), random_instance((3072, 10))
    with tempfile.TemporaryDirectory() as folder:
        specs = [*_start(), *_read(image, Path(folder)), *_bounds(wide), *_export(wide, Path(folder))]
        timings = measure(specs, rounds)
    return table("rooms", ("what", "CPU ms", "least", "most"), map(_row, timings))


def _row(timing: Timing) -> tuple[str, ...]:
    (seconds,) = timing.seconds.values()
    return timing.route, ms(timing.total), ms(min(seconds)), ms(max(seconds))


def _spec(route: str, phase: Phase, step: Callable[[], Any]) -> BenchSpec:
    return BenchSpec(route=route, steps={phase: lambda _: step()})


def _start() -> list[BenchSpec]:
    def python(*words: str) -> Callable[[], Any]:
        return lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True)

    return [
        _spec("python -c pass", "start", python("-c", "pass")),
        _spec("import numpy", "start", python("-c", "import numpy")),
        _spec("import nnsym", "start", python("-c", "import nnsym")),
        _spec("nnsym --help", "start", python("-m", "nnsym.cli.main", "--help")),
    ]


def _read(image: Instance, folder: Path) -> list[BenchSpec]:
    text, network = vnnlib_text(image.lower, image.upper, 10), folder / "mnist.onnx"
    four = random_instance((784, 256, 256, 256, 256, 10))
    network.write_bytes(onnx_model(four.layers).SerializeToString())
    onto, large = nn.sequential(image.layers), np.arange(20_000) / 20_000
    text2, onto2 = vnnlib2_text(large, large + 1 / 8, 2), nn.sequential([(np.ones((2, 20_000)), None)])
    return [
        _spec("VNN-LIB, 3072 inputs: parse", "read", lambda: parse(text)),
        _spec("VNN-LIB, 3072 inputs: to a query", "read", lambda: nn.load_vnnlib(text.encode(), onto)),
        _spec("VNN-LIB 2.0, 20,000 inputs: the package's parser", "read", lambda: vnnlib.parse_query_string(text2)),
        _spec("VNN-LIB 2.0, 20,000 inputs: to a query", "read", lambda: nn.load_vnnlib(text2.encode(), onto2)),
        _spec("ONNX, 784-256x4-10: load", "read", lambda: nn.load(network, check=False)),
        _spec("ONNX, 784-256x4-10: load and compare with ONNX Runtime", "read", lambda: nn.load(network)),
    ]


def _bounds(wide: Instance) -> list[BenchSpec]:
    return [
        _spec("interval bounds, 784-256x6-10", "bounds", lambda: compute(wide.query, "ibp")),
        _spec("CROWN, 784-256x6-10", "bounds", lambda: compute(wide.query, "crown")),
        _spec("its matrix products alone", "bounds", products(wide)),
        _spec("attack, 100 restarts of 50 steps, 784-256x6-10", "bounds", lambda: search(wide.query)),
    ]


def products(wide: Instance) -> Callable[[], None]:
    """The dense products of CROWN's backward passes: for each layer, lower and upper, down to the input."""
    weights = [torch.from_numpy(np.array(w)) for w, _ in wide.layers]

    def run() -> None:
        for top in range(1, len(weights)):
            rows = torch.cat((weights[top], weights[top]))
            for below in reversed(weights[:top]):
                rows = rows @ below

    return run


def _export(wide: Instance, folder: Path) -> list[BenchSpec]:
    bigm = encode(wide.query, wide.bounds, find_encoding("bigm"))
    smt = encode(wide.query, wide.bounds, find_encoding("smt"))
    loaded = load(LinearModel.of(bigm))

    def write(program: Program, suffix: str) -> Callable[[], Any]:
        path = folder / f"out{suffix}"
        return lambda: path.write_text(program_text(program, suffix, (), strict=False), encoding="utf-8")

    def highs(suffix: str) -> Callable[[], Any]:
        return lambda: loaded.writeModel(str(folder / f"highs{suffix}"))

    return [
        _spec("big-M as .lp", "export", write(bigm, ".lp")),
        _spec("the same by HiGHS, without names and comments", "export", highs(".lp")),
        _spec("big-M as .mps", "export", write(bigm, ".mps")),
        _spec("the same by HiGHS, without names and comments (.mps)", "export", highs(".mps")),
        _spec("big-M as .smt2", "export", write(bigm, ".smt2")),
        _spec("smt as .smt2", "export", write(smt, ".smt2")),
    ]
