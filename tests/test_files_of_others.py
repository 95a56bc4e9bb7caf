"""Files that somebody else wrote: pipes, nests without end, archives that unpack to anything, damaged fields."""

from __future__ import annotations

import copy
import json
import os
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import f32, single
from typer.testing import CliRunner

import nnsym as nn
from nnsym.ask.audit import audit
from nnsym.check.checker import check
from nnsym.check.errors import Refused
from nnsym.cli.main import app
from nnsym.errors import InputError
from nnsym.report.page import report_page
from nnsym.report.search import Tree

PROPERTY = """(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)
(assert (<= 0 X_0)) (assert (<= X_0 1)) (assert (<= 0 X_1)) (assert (<= X_1 1)) (assert (>= Y_0 {}))"""
FAMILY = """import nnsym as nn
f = nn.load("n.onnx")
@nn.prop
def family(x0, eps=0.1):
    x = nn.Variable((1, 2), name="x")
    return nn.forall(x, where=nn.ball(x, x0, eps), then=f(x)[0, 0] <= 100)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "n.onnx").write_bytes(single("Gemm", (1, 2), f32(2, 2), f32(2)).SerializeToString())
    (tmp_path / "p.vnnlib").write_text(PROPERTY.format(100))
    (tmp_path / "q.vnnlib").write_text(PROPERTY.format("0.01"))
    (tmp_path / "family.py").write_text(FAMILY)
    return tmp_path


READING = [
    "verify pipe p.vnnlib", "verify n.onnx pipe", "verify pipe --network f=n.onnx", "report pipe", "search pipe",
    "check pipe n.onnx", "check n.onnx pipe", "audit pipe", "verify n.onnx p.vnnlib --method bab --log pipe",
    "verify n.onnx p.vnnlib --method bab --resume pipe", "table family.py:family --data pipe", "table pipe.csv",
    "verify n.onnx p.vnnlib --save pipe", "verify n.onnx p.vnnlib --witness pipe", "export n.onnx p.vnnlib -o pipe.lp",
    "verify n.onnx p.vnnlib --certificate pipe", "compare n.onnx p.vnnlib --methods ibp --record pipe", "show pipe",
]  # fmt: skip


@pytest.mark.parametrize("words", READING)
def test_no_command_waits_for_a_pipe(words: str, folder: Path) -> None:
    """Nobody writes to it, and nobody reads it."""
    for name in ("pipe", "pipe.csv", "pipe.lp"):
        os.mkfifo(folder / name)
    done = CliRunner().invoke(app, words.split())
    assert isinstance(done.exception, (InputError, SystemExit)), done.exception
    assert "10" in str(done.exception) or isinstance(done.exception, InputError) or done.exit_code == 2
    assert isinstance(done.exception, SystemExit) or "no such" in str(done.exception) or "pipe" in str(done.exception)


def test_a_pipe_that_somebody_reads_is_written(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    reader = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        CliRunner().invoke(app, ["verify", "n.onnx", "p.vnnlib", "--save", "pipe"])
        assert json.loads(os.read(reader, 1 << 20))["status"] == "verified"
    finally:
        os.close(reader)


NESTS = {"lists": "[" * 200_000, "objects": '{"a":' * 200_000 + "1" + "}" * 200_000, "digits": "9" * 5000}


@pytest.mark.parametrize("nest", NESTS)
def test_nests_of_any_depth_are_refused(nest: str, folder: Path) -> None:
    text = NESTS[nest]
    for name, content in {
        "d.json": text, "d.jsonl": text + "\n", "nnsym.toml": f"timeout = {text}",
        "s.jsonl": f'{{"search":"nnsym-search/1","roots":{text}}}\n',
        "t.jsonl": f'{{"table":"nnsym-table/1","a":{text}}}\n',
        "s.txt": f"# nnsym property\n{text}\n",
    }.items():  # fmt: skip
        (folder / name).write_text(content)
    for ask in (
        lambda: nn.load_result("d.json"),
        lambda: nn.load_evidence("d.json"),
        lambda: report_page(Path("d.json")),
        lambda: report_page(Path("d.jsonl")),
        lambda: report_page(Path("t.jsonl")),
        lambda: nn.load_table("t.jsonl"),
        lambda: Tree.read("d.jsonl"),
        lambda: Tree.read("s.jsonl"),
        lambda: check(Path("d.json")),
        lambda: nn.parse(Path("s.txt").read_text(), []),
    ):
        with pytest.raises((nn.NnsymError, Refused)):
            ask()
    done = CliRunner().invoke(app, ["verify", "n.onnx", "p.vnnlib"])  # reads nnsym.toml
    assert isinstance(done.exception, InputError)


def header(shape: str) -> bytes:
    """The first bytes of an .npy file."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def archives() -> Iterator[tuple[str, Callable[[Path], None]]]:
    def packed(content: bytes) -> Callable[[Path], None]:
        def make(path: Path) -> None:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("x0.npy", content)

        return make

    def bomb(path: Path) -> None:
        """An archive that says that it unpacks to 4 GB four times."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for k in range(4):
                archive.writestr(f"x{k}.npy", header("(3,)") + bytes(24))
        data = bytearray(path.read_bytes())
        at = data.find(b"PK\x01\x02")
        while at >= 0:
            data[at + 24 : at + 28] = (0xFFFFFFF0).to_bytes(4, "little")
            at = data.find(b"PK\x01\x02", at + 1)
        path.write_bytes(data)

    yield "bomb", bomb
    yield "shape of terabytes", packed(header("(1000000000000,)"))
    yield "negative shape", packed(header("(-5,)"))
    yield "overflowing shape", packed(header("(4611686018427387904, 4)"))
    yield "code in a shape", packed(header("__import__('os').abort()"))
    yield "objects", lambda path: np.savez(path, x0=np.array([print], dtype=object))
    yield "one array", lambda path: path.write_bytes(header("(1,)") + bytes(8))
    yield "nothing", lambda path: path.write_bytes(b"")
    yield "half", lambda path: (np.savez(path, x0=np.zeros((3, 1, 2))), os.truncate(path, 100), None)[-1]
    yield "numbers that are none", lambda path: np.savez(path, x0=np.array([["a", "b"]]))


@pytest.mark.parametrize(("what", "make"), list(archives()), ids=lambda v: v if isinstance(v, str) else "")
def test_archives_of_arrays_are_weighed_and_read_as_numbers(
    what: str, make: Callable[[Path], None], folder: Path
) -> None:
    make(folder / "data.npz")
    with pytest.raises(InputError):
        nn.table(nn.load_property, "data.npz", methods=["ibp"]) if what != "numbers that are none" else _table()


def _table() -> None:
    done = CliRunner().invoke(app, ["table", "family.py:family", "--data", "data.npz", "--methods", "ibp"])
    if done.exception is not None:
        raise done.exception


ODD = [
    None,
    True,
    -1,
    0,
    1e308,
    10**400,
    "",
    "x",
    "\x1b[31m",
    [],
    {},
    [[]],
    {"a": 1},
    "1/0",
    "-inf",
    [1, 2],
    2**63,
    1.5,
]


def mutated(r: random.Random, value: Any) -> Any:
    """One to three fields are something else, gone, or there twice."""
    value = copy.deepcopy(value)
    for _ in range(r.choice((1, 1, 2, 3))):
        places = [(holder, key) for holder, key in _places(value)]
        if not places:
            break
        holder, key = r.choice(places)
        how = r.random()
        if how < 0.6:
            holder[key] = copy.deepcopy(r.choice(ODD))
        elif how < 0.8:
            del holder[key]
        elif isinstance(holder, list):
            holder.append(holder[key])
        else:
            holder[key] = [holder[key]]
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def test_damaged_fields_of_what_nnsym_wrote_are_said_to_be_so(folder: Path) -> None:
    """Saved results, run records, tables, records of searches, certificates: every mutant is read or refused."""
    run = CliRunner().invoke
    run(
        app,
        [
            "verify",
            "n.onnx",
            "q.vnnlib",
            "--method",
            "bab",
            "--save",
            "r.json",
            "--certificate",
            "c.json",
            "--log",
            "l.jsonl",
        ],
    )
    run(app, ["verify", "n.onnx", "p.vnnlib", "--save", "r2.json", "--certificate", "c2.json"])
    run(app, ["compare", "n.onnx", "q.vnnlib", "--methods", "crown,ibp", "--record", "run.jsonl"])
    (folder / "i.csv").write_text("n.onnx,p.vnnlib,5\nn.onnx,q.vnnlib,5\n")
    run(app, ["table", "i.csv", "--file", "tab.jsonl"])
    files = [folder / n for n in ("n.onnx", "p.vnnlib", "q.vnnlib")]

    def used(path: Path) -> None:
        """Everything that shows a result."""
        result = nn.load_result(path)
        str(result), repr(result), result._repr_html_(), result.to_json(), result.rests_on

    readers: dict[str, list[Callable[[Path], Any]]] = {
        "r.json": [used, report_page], "r2.json": [used, report_page], "run.jsonl": [report_page],
        "c.json": [lambda p: check(p, files)], "c2.json": [lambda p: check(p, files)],
        "l.jsonl": [Tree.read], "tab.jsonl": [nn.load_table, report_page],
    }  # fmt: skip
    (folder / "audited").mkdir()
    r, count = random.Random(5), 0
    for name, asked in readers.items():
        lines = name.endswith("l")
        content = Path(name).read_text()
        whole = [json.loads(line) for line in content.splitlines()] if lines else json.loads(content)
        for _ in range(25):
            made = mutated(r, whole)
            text = "".join(json.dumps(line) + "\n" for line in made) if lines else json.dumps(made)
            path = folder / f"m_{name}"
            path.write_text(text)
            for ask in asked:
                try:
                    ask(path)
                except (nn.NnsymError, Refused):
                    count += 1
            (folder / "audited" / "m.json").write_text(text)
            try:
                audit(folder / "audited").to_json()
            except nn.NnsymError:
                count += 1
    assert count > 60


def test_a_record_of_more_parts_than_there_are_is_none(folder: Path) -> None:
    (folder / "l.jsonl").write_text('{"search":"nnsym-search/1","roots":1000000000000}\n')
    with pytest.raises(InputError, match="no record of a search"):
        Tree.read("l.jsonl")
