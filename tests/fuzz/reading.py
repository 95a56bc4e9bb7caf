"""Batches of inputs for readers, in a process of their own: ``python -m tests.fuzz.reading START COUNT [CONTROL]``.

Prints one JSON object a line: ``{"at": seed}`` before each case, ``{"fault": ..., "seed": ..., "text": ...}`` for what
is wrong, and counts at the end. A process that dies names its last seed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import nnsym as nn
from nnsym.cli.targets import load_query
from nnsym.errors import NnsymError
from nnsym.ir.query import Query
from nnsym.read.meter import Meter
from nnsym.read.onnx import load
from nnsym.read.vnnlib import bulk as vnnlib_bulk
from nnsym.read.vnnlib import load as vnnlib
from nnsym.read.vnnlib import version1 as vnnlib1
from nnsym.read.vnnlib.query import to_query
from tests.fuzz import meaning1, onnx_bytes, texts

Case = Callable[[random.Random], tuple[str, "Callable[[], None]"]]
_SECONDS = 20  # of one case
_MEMORY = 1 << 30

NET = nn.sequential([([[1, -1], [0.5, 2]], [0, 0.25]), ([[1, 1], [-1, 0.5]], [0, 1])], activation="relu", name="f")
OTHER = nn.sequential([([[2, 1], [1, 0.5]], [0, 0]), ([[1, 0], [-1, 0.5]], [0, 1])], activation="relu", name="g")


class WrongError(Exception):
    """What was read does not mean what the text says."""


def points(r: random.Random) -> Any:
    values = [Fraction(r.randint(-20, 20), 8) for _ in range(2)]
    return np.array(values, dtype=object)


def compare(query: Query, text: str, r: random.Random) -> None:
    """The query against the second reader, at three points."""
    (x,) = query.inputs
    for _ in range(3):
        point = points(r)
        at = {f"X_{k}": v for k, v in enumerate(point)} | {f"Y_{k}": v for k, v in enumerate(NET.evaluate(point))}
        try:
            expected = meaning1.holds(text, at)
        except RecursionError:  # of the second reader
            return
        if query.violated(query.values({x: point}, exact=True)) != expected:
            raise WrongError(f"another meaning at {[str(v) for v in point]}")


def version1(r: random.Random) -> tuple[str, Callable[[], None]]:
    text = texts.version1(r)
    text = texts.mutated(r, text) if r.random() < 0.8 else text

    def check() -> None:
        query = nn.load_vnnlib(text.encode(errors="surrogatepass"), NET, timeout=_SECONDS, memory=_MEMORY)
        if r.random() < 0.3:
            compare(query, text, r)
        bulk = vnnlib_bulk.read(text, "text", Meter())
        fast = to_query(bulk, NET, Meter()) if bulk else None
        if fast:
            compare(fast, text, r)

    return text, check


def version2(r: random.Random) -> tuple[str, Callable[[], None]]:
    text = texts.version2(r)
    text = texts.mutated(r, text) if r.random() < 0.8 else text
    networks = {"f": NET, "g": OTHER} if "declare-network g" in text else {"f": NET}

    def check() -> None:
        nn.load_vnnlib(text.encode(errors="surrogatepass"), networks=networks, timeout=_SECONDS, memory=_MEMORY)

    return text, check


def _statement(r: random.Random) -> str:
    x = nn.Variable(2, name="x")
    y = NET(x)
    low = Fraction(r.randint(-9, 9), r.choice([1, 2, 3, 10]))
    terms = [y[0], y[1] - y[0], nn.max(y), nn.relu(x[0] * low), nn.abs(x - y).sum(), nn.norm(x, 1), nn.argmax(y)]
    term = r.choice(terms[:-1])
    goals = [term <= low, (term >= low) | (y[0] < 1), nn.argmax(y) == 1, ~(term < low), nn.all(y <= 3)]
    where = [nn.box(x, low - 1, low + 1), nn.ball(x, [0, 0], 1, 2) & (x[0] >= low), (x >= 0).all() & (x <= 1).all()]
    return nn.forall(x, where=r.choice(where), then=r.choice(goals), name="p").text()


# fmt: off
_WORDS = (
    "x", "y", "f", "0", "-1", "1/3", "1e400", "10**400", "'0.1'", "'\u0663'", "'1e999999'", "inf", "nan", "None",
    "True", "0.1", "9999999999", "[", "]", "(", ")", ",", "==", "<=", "<", "&", "|", "~", "-", "+", "*", "/", "@",
    "**", ".", ".T", ".sum()", ".max()", ".hidden('relu_1')", ".active()", "nn", "forall", "exists", "box", "ball",
    "norm", "max", "relu", "abs", "argmax", "topk", "where=", "then=", "name=", "variable('x',(2,))",
    "variable('x',(10**9,))", "variable('x',(9**20,))", "network", "lambda", "import", "__import__", "[0]", "[:]",
    "[9]", "[::2]", "'\xfc'", "\x00", "\\", "#", "\n",
)
# fmt: on


def language(r: random.Random) -> tuple[str, Callable[[], None]]:
    text = _statement(r)
    text = texts.mutated(r, text, words=_WORDS) if r.random() < 0.85 else text

    def check() -> None:
        nn.parse(text, [NET])

    return text, check


def models(r: random.Random) -> tuple[str, Callable[[], None]]:
    data = onnx_bytes.mutant(r)

    def check() -> None:
        load(data, check=r.random() < 0.5, timeout=_SECONDS, memory=_MEMORY)

    return data.hex(), check


def command(r: random.Random) -> tuple[str, Callable[[], None]]:
    """The words of a command line, and the files that they name."""
    folder = TemporaryDirectory()
    home = Path(folder.name)
    proto = onnx_bytes.model(r, kind=0 if r.random() < 0.8 else None)
    (home / "n.onnx").write_bytes(proto.SerializeToString())
    (home / "p.vnnlib").write_text(texts.version1(r), encoding="utf-8")
    net, spec = f"{home}/n.onnx", f"{home}/p.vnnlib"
    words = [r.choice([net, net, net, f"[('f', '{net}')]", f"[['f', '{net}']]", "[(((", "[1]", str(home), ""]), spec]
    odd = [[spec], [net], [], [spec, net, spec], [net, "/dev/null"], [net, f"{spec}\0"]]
    words = r.choice(odd) if r.random() < 0.5 else words
    given = r.choice([[], [], [], [], [], [], [f"f={net}"], ["f"], [f"=={net}"], [f"größe={net}"]])
    sets = r.choice([[], [], [], [], [], [], ["eps=٣"], ["eps"], ["1=2"]])

    def check() -> None:
        with folder:
            load_query(words, sets, given, timeout=_SECONDS, memory=_MEMORY)

    return " ".join(map(repr, words)), check


CASES: dict[str, tuple[int, Case]] = {
    "1.0": (40, version1),
    "2.0": (30, version2),
    "language": (15, language),
    "onnx": (12, models),
    "command": (3, command),
}


def run(start: int, count: int) -> None:
    counts: Counter[str] = Counter()
    signal.signal(signal.SIGALRM, _late)
    for seed in range(start, start + count):
        r = random.Random(seed)
        (kind,) = r.choices(list(CASES), [weight for weight, _ in CASES.values()])
        print(json.dumps({"at": seed, "kind": kind}), flush=True)
        counts[f"{kind} tried"] += 1
        text, check = CASES[kind][1](r)
        signal.alarm(2 * _SECONDS)
        fault = said = ""
        try:
            check()
            counts[f"{kind} accepted"] += 1
        except NnsymError as error:
            fault, said = ("", "") if error.reason else ("traceback", "an error without a reason")
        except WrongError as error:
            fault, said = "wrong", str(error)
        except BaseException as error:
            fault, said = "traceback", "".join(traceback.format_exception(error)[-3:])
        finally:
            signal.alarm(0)
        if fault:
            print(json.dumps({"fault": fault, "seed": seed, "kind": kind, "said": said, "text": text[:2000]}))
    print(json.dumps({"counts": counts}), flush=True)


def _late(number: int, frame: object) -> None:
    raise TimeoutError(f"no end after {2 * _SECONDS} s")


def plant(control: str) -> None:
    """Break a reader in one of the ways that have to be noticed."""
    right = vnnlib1.decimal

    def raises(word: str) -> Fraction | None:
        if word.endswith("7"):
            raise ValueError("planted")
        return right(word)

    def misreads(word: str) -> Fraction | None:
        return right(word.lstrip("-"))

    def dies(word: str) -> Fraction | None:
        return os.abort() if word.endswith("77") else right(word)

    def misread_arrays(found: Any) -> Any:
        return found if found is None else vnnlib_bulk.Bulk(**(vars(found) | {"top": found.top[:-1]}))

    if control == "arrays":
        read = vnnlib_bulk.read
        vnnlib_bulk.read = lambda *given: misread_arrays(read(*given))
    else:
        vnnlib1.decimal = {"raises": raises, "misreads": misreads, "dies": dies}[control]


if __name__ == "__main__":
    assert vnnlib
    if len(sys.argv) > 3:
        plant(sys.argv[3])
    run(int(sys.argv[1]), int(sys.argv[2]))
