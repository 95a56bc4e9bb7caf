"""By how much a limit is overrun: every method on every lane, on networks that are too large for the time given.

Three networks make different steps long: ``dense`` 784-256x6-10 many open neurons, ``image`` three convolutions of 30
channels on 32 x 32, ``narrow`` the same behind an affine layer of 16 inputs. Each row is one ``verify`` with its own
limit in this process, where everything is imported; wall seconds, seconds of the processor in this process, and
seconds beyond the limit. Whole commands come last, their imports taken off: :data:`READINGS` are inputs whose reading
itself is long.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper

import nnsym as nn
from nnsym.encode.registry import encodings
from nnsym.encoding import Encoding
from nnsym.errors import NnsymError
from nnsym.relaxation.sources import SOURCES
from nnsym.solvers.registry import lanes
from tests.benchmarks.measure import table
from tests.benchmarks.models import WIDE, onnx_model, random_instance, vnnlib_text
from tests.models import model

#: Seconds given to a run.
LIMIT = 3.0

#: Beyond the limit a run may take so many seconds.
ALLOWED = 2.0

Row = tuple[str, str, str, str, str, str, str, str]
HEAD = ("network", "method", "lane", "limit s", "wall s", "processor s", "over s", "says")


def report(_: int = 1) -> str:
    """The table of this file."""
    return table(f"limits of {LIMIT:g} s", HEAD, [*runs(instances()), *commands(READINGS)])


def image(inputs: int = 0) -> Any:
    """A property of a convolutional network of about 92,000 neurons; with ``inputs`` behind an affine layer of them."""
    rng, nodes, constants, last, channels = np.random.default_rng(0), [], {}, "x", 3
    if inputs:
        constants |= {"A": rng.normal(size=(inputs, 3072)).astype(np.float32) / 4, "s": np.array([1, 3, 32, 32])}
        nodes += [helper.make_node("MatMul", ["x", "A"], ["a"]), helper.make_node("Reshape", ["a", "s"], ["i"])]
        last = "i"
    for k in range(3):
        weight = rng.normal(size=(30, channels, 3, 3)) / np.sqrt(9 * channels)
        constants[f"W{k}"] = weight.astype(np.float32)
        nodes.append(helper.make_node("Conv", [last, f"W{k}"], [f"h{k}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"h{k}"], [last := f"r{k}"]))
        channels = 30
    constants["V"] = (rng.normal(size=(30720, 10)) / 175).astype(np.float32)
    nodes += [helper.make_node("Flatten", [last], ["flat"]), helper.make_node("MatMul", ["flat", "V"], ["y"])]
    shape = (1, inputs) if inputs else (1, 3, 32, 32)
    f = nn.load(model(nodes, {"x": shape}, ["y"], constants), check=False)
    x = nn.Variable(shape, name="x")
    y = f(x).ravel()
    return nn.forall(x, where=nn.box(x, -1, 1), then=y[0] <= y[1] + 1000)


def instances() -> Mapping[str, Callable[[], Any]]:
    """The properties by name, made when asked for."""
    return {"dense": lambda: random_instance().prop, "image": image, "narrow": lambda: image(16)}


def questions() -> Iterator[tuple[str, str | None, str | None, dict[str, str]]]:
    """What is shown and asked: ``(method, its name, lane, options)``."""
    yield "portfolio", None, None, {}
    for name in (*SOURCES, "alpha:10000", "lp:triangle+tj", "attack"):
        yield name, name, None, {}
    for name, encoding in encodings().items():
        for lane in _lanes(encoding):
            yield name, name, lane, {}
    for name in ("triangle+tj", "triangle+krelu3", "bigm+krelu2"):
        yield name, name, "highs", {}
    yield "bigm on alpha:10000", "bigm", "highs", {"bounds": "alpha:10000"}


def _lanes(encoding: Encoding) -> Iterator[str]:
    """The lanes at hand that take an encoding's programs."""
    for name, lane in lanes().items():
        if encoding.emits <= lane.accepts and lane.availability().available:
            yield name


def runs(made: Mapping[str, Callable[[], Any]], *, limit: float = LIMIT, only: int | None = None) -> Iterator[Row]:
    """One row for each question about each property; ``only`` so many questions."""
    warm = nn.Variable(1, name="w")
    for _, name, lane, options in itertools.islice(questions(), only):  # imports, and the lanes' workers
        _said(nn.forall(warm, where=nn.box(warm, 0, 1), then=nn.relu(warm)[0] <= 2), name, lane, 20.0, options)
    for network, make in made.items():
        prop = make()
        for shown, name, lane, options in itertools.islice(questions(), only):
            wall, used = time.perf_counter(), time.process_time()
            says = _said(prop, name, lane, limit, options)
            wall, used = time.perf_counter() - wall, time.process_time() - used
            yield _row(network, shown, lane or "", limit, wall, f"{used:.1f}", says)


def _row(network: str, method: str, lane: str, limit: float, wall: float, used: str, says: str) -> Row:
    over = max(0.0, wall - limit)
    print(f"{network}, {method} {lane}: {wall:.1f} s, {says}", file=sys.stderr, flush=True)  # it takes a while
    mark = " (!)" if over > ALLOWED else ""
    return network, method, lane, f"{limit:g}", f"{wall:.1f}", used, f"{over:.1f}{mark}", says


def _said(prop: Any, name: str | None, lane: str | None, limit: float, options: dict[str, str]) -> str:
    try:
        found = nn.verify(prop, name, solver=lane, timeout=limit, **options)  # type: ignore[arg-type]
    except NnsymError as error:
        return f"{type(error).__name__}: {error.reason[:40]}"
    return f"{found.status.value} ({found.reason})"


#: Inputs of a command: a name, and what writes the files into a folder and gives the command's targets.
Reading = tuple[str, Callable[[Path], list[Path]]]


def wide_files(folder: Path) -> list[Path]:
    """784-256x6-10 as ONNX with its property as VNN-LIB."""
    instance = random_instance()
    network, prop = folder / "net.onnx", folder / "prop.vnnlib"
    network.write_bytes(onnx_model(instance.layers).SerializeToString())
    prop.write_text(vnnlib_text(instance.lower, instance.upper, WIDE[-1]), encoding="utf-8")
    return [network, prop]


#: Every input whose reading takes its share of the limit; what is hostile to read is added here.
READINGS: tuple[Reading, ...] = (("784-256x6-10, .onnx and .vnnlib", wide_files),)


def commands(readings: tuple[Reading, ...], *, limit: float = LIMIT) -> Iterator[Row]:
    """``nnsym verify`` on files, without the seconds that importing everything takes."""
    for name, write in readings:
        with tempfile.TemporaryDirectory() as folder:
            words = ["verify", *map(str, write(Path(folder))), "--encoding", "bigm", "--bounds", "ibp"]
            engines = "nnsym.bounds.engine.linear, nnsym.bounds.points.attack, nnsym.cli.main"
            imports = f"import torch, onnx, onnxruntime, {engines}"
            start, _ = _command(["-c", imports], 60.0)
            wall, code = _command(["-m", "nnsym.cli.main", *words, "--timeout", f"{limit:g}"], 30 * limit + 30)
        yield _row(name, "nnsym verify, bigm", "highs", limit, wall - start, "", f"exit code {code}")


def _command(words: list[str], most: float) -> tuple[float, str]:
    start = time.perf_counter()
    try:
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, timeout=most)
        code = str(done.returncode)
    except subprocess.TimeoutExpired:
        code = "none, it was killed"
    return time.perf_counter() - start, code
