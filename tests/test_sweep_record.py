"""The record of a table: what is resumed, what is refused, who may run the tasks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_solvers_runner import wait_until_gone

import nnsym as nn
from nnsym import demo
from nnsym.sweep.answered import Table
from nnsym.sweep.data import Data
from nnsym.sweep.entry import Way
from nnsym.sweep.family import fingerprint
from nnsym.sweep.instances import read_instances
from nnsym.sweep.pool import Workers, workers

METHODS = ("ibp", "crown", "attack")
EXACT = ("ibp", "crown", "bigm")
EPS = (0.02, 0.05, 0.08)


def family(x: Any, label: int, eps: float) -> nn.Property:
    return nn.props.robust(demo.network(), x, label, eps, within=(0, 1))


def digits(count: int = 6) -> tuple[Any, Any]:
    found = [demo.digit(k) for k in range(count)]
    return np.stack([image for image, _ in found]), np.array([label for _, label in found])


def ask(file: Path | None = None, count: int = 4, methods: tuple[str, ...] = METHODS, **other: Any) -> Table:
    given: dict[str, Any] = {"eps": EPS, "timeout": 30, "file": file, **other}
    f = demo.network()
    return nn.table(partial(nn.props.robust, f, within=(0, 1)), digits(count), methods, **given)


def said(table: Table) -> list[dict[str, Any]]:
    """All answers without their seconds."""
    rows = table.to_records(every=True)
    return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in rows]


def test_a_record_cut_anywhere_ends_as_the_whole_one(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    table = ask(whole)
    text = whole.read_bytes()
    ends = [k + 1 for k, byte in enumerate(text) if byte == ord("\n")]
    cut = tmp_path / "cut.jsonl"
    for end in (3, ends[6] + 4, ends[-3] + 1):
        cut.write_bytes(text[:end])
        assert said(ask(cut)) == said(table)
        assert cut.read_bytes().startswith(text[:end][: text[:end].rfind(b"\n") + 1])
        assert [json.loads(line) for line in cut.read_text().splitlines()]
    assert said(nn.load_table(whole)) == said(table)
    assert len(said(table)) == len({(r["index"], r["eps"], r["method"]) for r in said(table)})


#: One change of a header, or of an entry, each.
FORGED: tuple[tuple[int, dict[str, Any]], ...] = (
    *((0, {"families": given}) for given in (None, [], {}, {"family": 3})),
    *((0, {"count": given}) for given in ("4", 0, -1, 1e300, True)),
    *((0, {"methods": given}) for given in ([], [[]], ["ibp", "ibp"], ["clean"], [True], "ibp")),
    *((0, {"eps": given}) for given in (None, ["a"], [[]], [0.05, 0.02], [float("nan")], [float("inf")])),
    *((0, {"timeouts": given}) for given in ([], [1], ["a", "b"], "30")),
    *((0, {name: 10.5}) for name in ("data", "networks", "staged", "clean", "seed", "version")),
    *((1, {"index": given}) for given in (-1, 4, "0", 0.5, None)),
    *((1, {"eps": given}) for given in (0.03, True, float("-inf"))),
    *((1, {"method": given}) for given in ("crown:steps", {}, None)),
    *((1, {"way": given}) for given in ("verified", "falsified", "true")),
    (1, {"method": "ibp", "eps": 0.02, "way": "wrong", "trust": "exact"}),
    *((1, {"seconds": given}) for given in ("inf", float("inf"), float("nan"))),
    *((1, {name: 10.5}) for name in ("family", "reason", "trust", "vacuous", "point", "details")),
    (1, {"lower": float("nan")}),
)


@pytest.mark.parametrize(("line", "change"), FORGED, ids=str)
def test_a_forged_record_is_refused_and_left_alone(line: int, change: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    header = {
        "table": "nnsym table 1", "families": {"family": "0"}, "data": "0", "count": 4, "networks": [],
        "methods": ["ibp"], "eps": [0.02], "staged": True, "clean": True, "timeouts": [30.0, 30.0], "seed": 0,
        "version": nn.__version__,
    }  # fmt: skip
    entry = {"family": "family", "index": 0, "eps": None, "method": "clean", "way": "unknown", "seconds": 0.1}
    write = partial(json.dumps, separators=(",", ":"))
    file.write_text(f"{write(header)}\n{write(entry)}\n")
    assert len(nn.load_table(file).entries) == 1
    lines = [write(one | (change if k == line else {})) for k, one in enumerate((header, entry))]
    file.write_text("\n".join((*lines, "")))
    with pytest.raises(nn.InputError, match=f"jsonl:{line + 1}: not a line of a record"):
        nn.load_table(file)


def test_a_known_answer_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for name in ("a.onnx", "p.vnnlib"):
        (tmp_path / name).write_text("")
    file = tmp_path / "instances.csv"
    file.write_text("a.onnx,p.vnnlib,5,UNSAT\na.onnx,p.vnnlib,5,violated\na.onnx,p.vnnlib,5,\n")
    assert [row.expected for row in read_instances(file).rows] == [Way.VERIFIED, Way.FALSIFIED, None]
    file.write_text("a.onnx,p.vnnlib,5,unsta\n")
    with pytest.raises(nn.InputError, match="row 1: 'unsta' is no known answer"):
        read_instances(file)


def test_what_is_recorded_is_not_asked_again(tmp_path: Path) -> None:
    file, heard = tmp_path / "run.jsonl", []
    ask(file)
    before = file.read_bytes()
    ask(file, progress=lambda stage, done, total: heard.append((stage, done, total)))
    assert file.read_bytes() == before
    assert all(done == total for _, done, total in heard)


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"eps": (0.02, 0.05)}, "families, eps"),
        ({"seed": 1}, "seed"),
        ({"staged": False}, "staged"),
        ({"timeout": 9}, "timeouts"),
    ],
)
def test_the_record_of_another_question_is_refused(tmp_path: Path, other: dict[str, Any], differs: str) -> None:
    file = tmp_path / "run.jsonl"
    ask(file)
    before = file.read_bytes()
    with pytest.raises(nn.InputError, match=rf"another table \(differs in: {differs}\)"):
        ask(file, **other)
    assert file.read_bytes() == before


def test_other_data_families_and_methods_are_seen(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    images, labels = digits()
    one = partial(nn.props.robust, demo.network())
    nn.table(one, (images, labels), "ibp", eps=0.02, file=file)
    moved = images.copy()
    moved[4, 7] += np.float32(1 / 16)
    other = partial(nn.props.robust, nn.zoo.random_mlp(0, widths=(64, 8, 10)))
    for given, differs in (
        ((one, (moved, labels), "ibp"), "data"),
        ((partial(one, p=2), (images, labels), "ibp"), "families"),
        ((one, (images, labels), "crown"), "methods"),
        ((other, (images, labels), "ibp"), "families, networks"),
    ):
        with pytest.raises(nn.InputError, match=rf"differs in: {differs}\)"):
            nn.table(*given, eps=0.02, file=file)


#: Families of an index, which look their image up in what they hold: by how they hold it.
HOLDERS: dict[str, str] = {
    "a closure": "def made(images):\n    return lambda k: near(images[k])\nfamily = made(IMAGES)",
    "a list": "def made(images):\n    return lambda k: near(images[k])\nfamily = made(list(map(tuple, IMAGES)))",
    "a default": "def family(k, images=IMAGES):\n    return near(images[k])",
    "a keyword": "def of(k, *, images):\n    return near(images[k])\nfamily = partial(of, images=IMAGES)",
    "a global": "def family(k):\n    return near(IMAGES[k])",
    "a tensor": "W = torch.nn.Parameter(torch.tensor(IMAGES))\ndef family(k):\n    return near(W.detach().numpy()[k])",
    "a helper": "@cache\ndef image(k):\n    return IMAGES[k]\ndef family(k):\n    return near(image(k))",
    "a dictionary": "BY_NUMBER = dict(enumerate(IMAGES))\nfamily = nn.prop(lambda k: near(BY_NUMBER[k]))",
    "an attribute": "class Look:\n    def __init__(self, images):\n        self.images = images\n"
    "    def at(self, k):\n        return near(self.images[k])\nfamily = Look(IMAGES).at",
    "an object": "class Look:\n    def __init__(self, images):\n        self.images = images\n"
    "    def __call__(self, k):\n        return near(self.images[k])\nfamily = Look(IMAGES)",
    "a term": "X = nn.Variable(2)\nfamily = lambda k: nn.forall(X, where=nn.box(X, 0, IMAGES[k]), then=X[0] <= 9)",
    "code": "def family(k):\n    return near(IMAGES[0] + (SHIFT if k == 1 else 0))",
}


def holding(text: str, images: Any, shift: float) -> Any:
    """The family that a user's file of this text defines; what it holds is made anew each time."""
    f = nn.zoo.random_mlp(0, widths=(2, 3, 3))
    space: dict[str, Any] = {"nn": nn, "partial": partial, "cache": cache, "torch": torch, "__name__": "spec"}
    space["IMAGES"], space["near"] = images.copy(), lambda image: nn.props.robust(f, np.asarray(image), 1, 0.01)
    exec(compile(text.replace("SHIFT", str(shift)), "spec.py", "exec"), space)
    return space["family"]


@pytest.mark.parametrize("text", HOLDERS.values(), ids=HOLDERS)
def test_what_a_family_holds_for_items_in_between_is_seen(text: str, tmp_path: Path) -> None:
    images = np.linspace(0, 1, 8, dtype=np.float32).reshape(4, 2)
    moved = images.copy()
    moved[1, 0] += np.float32(1 / 16)  # not the first, the middle or the last
    first, same, other = (
        fingerprint(holding(text, some, shift), Data.of(range(4)), (None,))
        for some, shift in ((images, 0.25), (images, 0.25), (moved, 0.5))
    )
    assert first == same
    assert first[0] != other[0]
    assert first[1] == other[1]
    if text == HOLDERS["a global"]:
        file = tmp_path / "run.jsonl"
        nn.table(holding(text, images, 0.25), range(4), "ibp", file=file)
        nn.table(holding(text, images, 0.25), range(4), "ibp", file=file)
        with pytest.raises(nn.InputError, match=r"differs in: families\)"):
            nn.table(holding(text, moved, 0.25), range(4), "ibp", file=file)


def test_networks_of_a_list_are_known_by_their_content(tmp_path: Path) -> None:

    (tmp_path / "p.vnnlib").write_text("")
    (tmp_path / "a.onnx").write_bytes(b"one")
    (tmp_path / "instances.csv").write_text("\"[('f', 'a.onnx'), ('g', 'a.onnx')]\",p.vnnlib,5\n[f],p.vnnlib,5\n")
    before = read_instances(tmp_path / "instances.csv").data
    digest = before.digest
    assert before.arguments(0)[0][0] == (("f", tmp_path / "a.onnx"), ("g", tmp_path / "a.onnx"))
    (tmp_path / "a.onnx").write_bytes(b"two")
    assert read_instances(tmp_path / "instances.csv").data.digest != digest


def test_what_is_no_record_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    for text in ("notes\n", '{"search":"nnsym search 1"}\n', "a torn line of something else"):
        file.write_text(text)
        with pytest.raises(nn.InputError, match="no record of a table"):
            ask(file)
        assert file.read_text() == text
    ask(file := tmp_path / "damaged.jsonl")
    lines = file.read_text().splitlines()
    lines[4] = lines[4][:20]
    file.write_text("\n".join(lines) + "\n")
    for read in (ask, nn.load_table):
        with pytest.raises(nn.InputError, match=r"damaged.jsonl:5: not a line of a record"):
            read(file)
    with pytest.raises(nn.InputError, match="no such file"):
        nn.load_table(tmp_path / "none.jsonl")


def test_an_interrupt_keeps_everything(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "crown" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(file, progress=stop)
    kept = nn.load_table(file)
    assert not kept.complete
    assert "not finished" in str(kept)
    assert sum(e.method == "crown" for e in kept.entries) == 1
    assert said(ask(file)) == said(ask())


def test_any_executor(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        assert said(ask(executor=threads)) == said(ask())


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from test_sweep_record import *
if __name__ == "__main__":
    f = demo.network()
    nn.table(partial(nn.props.robust, f, within=(0, 1)), digits(20), EXACT, eps=EPS, timeout=60, file=sys.argv[1])
"""


@pytest.mark.slow
def test_five_kills_and_the_table_is_the_same(tmp_path: Path) -> None:
    script, file = tmp_path / "run.py", tmp_path / "run.jsonl"
    script.write_text(SCRIPT.format(folder=str(Path(__file__).parent)))
    rng, kills, lengths = np.random.default_rng(0), 0, []
    while kills < 5:
        process = subprocess.Popen([sys.executable, str(script), str(file)])
        start = lines = _lines(file)
        while process.poll() is None and lines < start + 8:  # something new of every run is killed
            time.sleep(0.02)
            lines = _lines(file)
        time.sleep(float(rng.uniform(0, 0.3)))
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills += 1
        lengths.append(_lines(file))
    subprocess.run([sys.executable, str(script), str(file)], check=True, timeout=300)
    whole = nn.table(partial(nn.props.robust, demo.network(), within=(0, 1)), digits(20), EXACT, eps=EPS, timeout=60)
    assert kills >= 3
    assert lengths == sorted(lengths)
    assert said(nn.load_table(file)) == said(whole)


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_give_the_same_rows(tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(stage: str, done: int, total: int) -> None:
        if stage.startswith("bigm") and done and not killed and pool is not None:
            killed.append(next(iter(pool._pool._processes)))  # type: ignore[union-attr]
            os.kill(killed[0], signal.SIGKILL)

    with workers(2) as pool:
        table = ask(count=20, methods=EXACT, executor=pool, progress=kill, timeout=600)  # none runs out, however busy
    assert killed
    assert said(table) == said(ask(count=20, methods=EXACT, timeout=600))


ORPHAN = """
import os, signal
from nnsym.sweep.pool import Workers
if __name__ == "__main__":
    print(Workers(1).submit(os.getpid).result(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_ends_with_who_started_it_and_hears_no_interrupt(tmp_path: Path) -> None:
    """A terminal interrupts all processes; each would say so, and one that is idle would wait for ever."""
    pool = Workers(1)
    assert signal.SIGINT in pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    pool.shutdown()
    (script := tmp_path / "run.py").write_text(ORPHAN)
    with (tmp_path / "said").open("w+") as said:
        subprocess.run([sys.executable, str(script)], stdout=said, timeout=120)
        said.seek(0)
        assert wait_until_gone([int(said.read())])


def test_workers_and_schedulers_are_asked_for_in_words() -> None:
    with pytest.raises(nn.InputError, match="2 workers and a scheduler"), workers(2, "tcp://127.0.0.1:1"):
        pass
    pytest.importorskip("distributed")
    with pytest.raises(nn.InputError, match="no scheduler answers"), workers(0, "tcp://127.0.0.1:1"):
        pass
