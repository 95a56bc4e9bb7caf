"""By how much a limit is overrun: every question and lane, on networks that are too large for the time given.

Three networks make different steps long: ``dense`` 784-256x6-10 many open neurons, ``image`` three convolutions of 30
channels on 32 x 32, ``narrow`` the same behind an affine layer of 16 inputs. Each row is one question
(:mod:`tests.benchmarks.limit_questions`) with its own limit in this process, where everything is imported; seconds by
a clock that stands still while the process waits for a processor (:mod:`tests.benchmarks.fair_clock`), seconds of the
processor in this process, and seconds beyond the limit. Whole commands come last, their imports taken off:
:data:`READINGS` are inputs whose reading itself is long.

``python -m tests.benchmarks.limits --answers FILE [--only PATTERN]`` keeps every row in a file as it comes, so that a
run that is stopped goes on where it was; only rows of which a regular expression says so are asked.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper

import nnsym as nn
from nnsym.errors import NnsymError
from tests.benchmarks.fair_clock import fair, waited
from tests.benchmarks.limit_questions import Question, questions
from tests.benchmarks.measure import table
from tests.benchmarks.models import WIDE, onnx_model, random_instance, vnnlib_text
from tests.models import model

#: Seconds given to a run.
LIMIT = 3.0

#: Beyond the limit a run may take so many seconds.
ALLOWED = 2.0

Row = tuple[str, str, str, str, str, str, str, str]
Key = tuple[str, str, str]
Wanted = Callable[[Key], bool]
HEAD = ("network", "question", "lane", "limit s", "took s", "processor s", "over s", "says")


def report(_: int = 1, *, answers: Path | None = None, only: str = "") -> str:
    """The table of this file; rows that ``answers`` has are not asked again."""
    known = {} if answers is None or not answers.exists() else dict(map(_kept, answers.read_text("utf-8").splitlines()))

    def wanted(key: Key) -> bool:
        return key not in known and re.search(only, ", ".join(key)) is not None

    for row in chain(runs(instances(), questions(), wanted=wanted), commands(READINGS, wanted=wanted)):
        known[row[:3]] = row
        if answers is not None:
            with answers.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    return table(f"limits of {LIMIT:g} s", HEAD, known.values())


def _kept(line: str) -> tuple[Key, Row]:
    row: Row = tuple(json.loads(line))
    return row[:3], row


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


def runs(
    made: Mapping[str, Callable[[], Any]],
    questions: Iterable[Question],
    *,
    limit: float = LIMIT,
    wanted: Wanted = lambda _: True,
) -> Iterator[Row]:
    """One row for each question about each property that is wanted."""
    every = tuple(questions)
    left = {network: [q for q in every if wanted((network, q.name, q.lane))] for network in made}
    warm = random_instance((2, 3, 2)).prop
    for question in dict.fromkeys(chain.from_iterable(left.values())):  # imports, and the lanes' workers
        _said(question, warm, 20.0)
    for network, waiting in left.items():
        prop = made[network]() if waiting else None
        for question in waiting:
            with fair() as now:
                took, used = now(), time.process_time()
                says = _said(question, prop, limit)
                took, used = now() - took, time.process_time() - used
            yield _row(network, question.name, question.lane, limit, took, f"{used:.1f}", says)


def _row(network: str, name: str, lane: str, limit: float, took: float, used: str, says: str) -> Row:
    over = max(0.0, took - limit)
    mark = " (!)" if over > ALLOWED else ""
    print(f"{network}, {name} {lane}: {took:.1f} s{mark}, {says}", file=sys.stderr, flush=True)  # it takes a while
    return network, name, lane, f"{limit:g}", f"{took:.1f}", used, f"{over:.1f}{mark}", says


def _said(question: Question, prop: Any, limit: float) -> str:
    try:
        return question.ask(prop, limit)
    except NnsymError as error:
        return f"{type(error).__name__}: {error.reason[:40]}"


#: Inputs of a command: a name, and what writes the files into a folder and gives the command's targets.
Reading = tuple[str, Callable[[Path], list[Path]]]


def wide_files(folder: Path) -> list[Path]:
    """784-256x6-10 as ONNX with its property as VNN-LIB."""
    instance = random_instance()
    network, prop = folder / "net.onnx", folder / "prop.vnnlib"
    network.write_bytes(onnx_model(instance.layers).SerializeToString())
    prop.write_text(vnnlib_text(instance.lower, instance.upper, WIDE[-1]), encoding="utf-8")
    return [network, prop]


def image_files(folder: Path) -> list[Path]:
    """The three convolutions as ONNX with a property as VNN-LIB."""
    network, prop = folder / "net.onnx", folder / "prop.vnnlib"
    network.write_bytes(bytes(image().query.applications[0].network.model))
    prop.write_text(vnnlib_text(np.full(3072, -1.0), np.full(3072, 1.0), 10), encoding="utf-8")
    return [network, prop]


#: Every input whose reading takes its share of the limit; what is hostile to read is added here.
READINGS: tuple[Reading, ...] = (
    ("784-256x6-10, .onnx and .vnnlib", wide_files),
    ("three convolutions, .onnx and .vnnlib", image_files),
)

#: Whole commands: a name, a lane, and words. (``compare`` gives the limit to reading and once more to each row.)
COMMANDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("nnsym verify, bigm", "highs", ("verify", "--encoding", "bigm", "--bounds", "ibp")),
    ("nnsym verify", "", ("verify",)),
    ("nnsym verify, bab", "", ("verify", "--method", "bab", "--log", "search.jsonl")),
    ("nnsym verify, attack", "", ("verify", "--method", "attack")),
    ("nnsym verify, optimise", "", ("verify", "--optimise", "--vacuity")),
    ("nnsym verify, certificate", "", ("verify", "--method", "ibp", "--slack", "1e12", "--certificate", "proof.json")),
    ("nnsym verify, deployed", "", ("verify", "--method", "crown", "--semantics", "deployed")),
    ("nnsym choose", "", ("choose",)),
    ("nnsym compare, crown", "", ("compare", "--methods", "crown")),
)


def commands(readings: tuple[Reading, ...], *, limit: float = LIMIT, wanted: Wanted = lambda _: True) -> Iterator[Row]:
    """Commands on files, without the seconds that importing everything takes."""
    for name, write in readings:
        asked = [one for one in COMMANDS if wanted((name, *one[:2]))]
        with tempfile.TemporaryDirectory() as folder:
            files = [str(path) for path in write(Path(folder))] if asked else []
            for command, lane, (verb, *options) in asked:
                engines = "nnsym.bounds.engine.backward.linear, nnsym.bounds.points.attack, nnsym.cli.main"
                imports = f"import torch, onnx, onnxruntime, {engines}"
                start, _ = _command(["-c", imports], 60.0, folder)
                words = ["-m", "tests.benchmarks.fair_clock", verb, *files, *options, "--timeout", f"{limit:g}"]
                took, code = _command(words, 30 * limit + 30, folder)
                yield _row(name, command, lane, limit, took - start, "", f"exit code {code}")


def _command(words: list[str], most: float, folder: str) -> tuple[float, str]:
    """Seconds by a fair clock, and the exit code, of a run in a folder."""
    start, late = time.perf_counter(), 0.0
    path = {"PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    run = subprocess.Popen([sys.executable, *words], cwd=folder, env=os.environ | path, **silent)
    while run.poll() is None and time.perf_counter() - start - late < most:
        late = max(late, waited(run.pid))
        time.sleep(0.01)
    took, code = time.perf_counter() - start - late, run.poll()
    run.kill()
    run.wait()
    return took, "none, it was killed" if code is None else str(code)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.limits", description=__doc__)
    parser.add_argument("--answers", type=Path, default=None, help="a file that keeps the rows")
    parser.add_argument("--only", default="", help="a pattern that a row's network, question and lane have")
    given = parser.parse_args()
    print(report(answers=given.answers, only=given.only))
