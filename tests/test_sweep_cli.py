"""``nnsym table``: families in files, folders of the competition, records; and the page of a record."""

from __future__ import annotations

import gzip
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import nnsym as nn
from nnsym import demo
from nnsym.cli.main import app
from nnsym.sweep.entry import Way
from nnsym.sweep.instances import instance, read_instances, score

SPEC = """
import nnsym as nn
from nnsym import demo

NETWORK = demo.network()

def near(x, label, eps):
    return nn.props.robust(NETWORK, x, label, eps, within=(0, 1))

def tied(x, label):
    return nn.props.robust(NETWORK, x, label, 0)
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "spec.py").write_text(SPEC)
    found = [demo.digit(k) for k in range(6)]
    np.savez(tmp_path / "digits.npz", x=np.stack([x for x, _ in found]), label=np.array([y for _, y in found]))
    return tmp_path / "spec.py"


def run(*words: str | Path) -> tuple[int, str, str]:
    found = CliRunner().invoke(app, ["table", *map(str, words)])
    error = "" if found.exception is None or isinstance(found.exception, SystemExit) else str(found.exception)
    return found.exit_code, found.stdout, error


def test_a_family_of_a_file(spec: Path) -> None:
    folder = spec.parent
    asked = (f"{spec}:near", "--data", folder / "digits.npz", "--eps", "0.02,1/20", "--methods", "ibp,crown")
    code, out, error = run(
        *asked, "--file", folder / "run.jsonl", "--csv", folder / "run.csv", "--plot", folder / "p.png"
    )
    assert (code, error) == (0, "")
    assert "6 items by ibp then crown" in out
    assert max(map(len, out.splitlines())) <= 80
    table = nn.load_table(folder / "run.jsonl")
    assert table.header.eps == (0.02, 0.05)
    assert str(table) == out.rstrip()
    assert len((folder / "run.csv").read_text().splitlines()) == 1 + len(table.entries)
    assert run(folder / "run.jsonl") == (0, out, "")
    again = json.loads(run(*asked, "--file", folder / "run.jsonl", "--json")[1])
    assert again["rows"][0]["verified"] == table.rows[0].held
    code, _, error = run(*asked[:-1], "ibp", "--file", folder / "run.jsonl")
    assert "the record of another table" in error
    tied = (f"{spec}:tied", "--data", folder / "digits.npz", "--methods", "crown")
    few = json.loads(run(*tied, "--first", "2", "--json")[1])
    assert few["header"]["count"] == 2
    assert few["rows"][0]["verified"] == 2
    found = run(*tied, "--parquet", folder / "run.parquet")
    if importlib.util.find_spec("pyarrow") is None:
        assert "pyarrow is not installed" in found[2]
    else:
        assert (folder / "run.parquet").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{spec}:near",), "a family needs a data set"),
        (("{spec}:nix", "--data", "{folder}/digits.npz"), "has no function 'nix'. It has: near, tied"),
        (("{spec}:near", "--data", "{folder}/digits.npz"), "missing a required argument: 'eps'"),
        (("{spec}:near", "--data", "{folder}/spec.py", "--eps", "0.1"), "not an .npz file"),
        (("{spec}:near", "--data", "{folder}/digits.npz", "--eps", "much"), "eps is"),
        (("{folder}/none.jsonl",), "no such file"),
        (("{folder}/none.csv",), "no such file"),
        (("{folder}/none.csv", "--eps", "0.1"), "instances have their own data"),
    ],
)
def test_what_does_not_fit_is_said_in_a_line(spec: Path, words: tuple[str, ...], message: str) -> None:
    code, _, error = run(*(word.format(spec=spec, folder=spec.parent) for word in words))
    assert code != 0
    assert message in error
    assert "\n" not in error


def folder_of_instances(folder: Path, known: str = "unsat") -> Path:
    """Three rows: one that holds, one that does not, one whose network is damaged; the first property is packed."""
    (folder / "onnx").mkdir()
    (folder / "vnnlib").mkdir()
    shutil.copy(demo.NETWORK, folder / "onnx" / "digits.onnx")
    (folder / "onnx" / "broken.onnx").write_bytes(b"no model")
    for name, eps in (("small", 1 / 64), ("large", 0.5)):
        image, label = demo.digit(4)
        text = nn.to_vnnlib(nn.props.robust(demo.network(), image, label, eps, within=(0, 1)), version="1.0")
        (folder / "vnnlib" / f"{name}.vnnlib").write_text(text.text)
    with gzip.open(folder / "vnnlib" / "small.vnnlib.gz", "wt") as file:
        file.write((folder / "vnnlib" / "small.vnnlib").read_text())
    (folder / "vnnlib" / "small.vnnlib").unlink()
    rows = f"onnx/digits.onnx,vnnlib/small.vnnlib,60,{known}\nonnx/digits.onnx,vnnlib/large.vnnlib,30.5,sat\n"
    (folder / "instances.csv").write_text(rows + "./onnx/broken.onnx,./vnnlib/large.vnnlib,60\n")
    return folder / "instances.csv"


def test_a_folder_of_the_competition(tmp_path: Path) -> None:
    file = folder_of_instances(tmp_path)
    code, out, error = run(file, "--methods", "crown,attack")
    assert (code, error) == (0, "")
    assert "20 of 30 points: 1 verified, 1 falsified, 1 unknown" in out
    assert "digits small  verified" in out
    rows = read_instances(file, most=40.0)
    assert rows.timeouts == (40.0, 30.5, 40.0)
    assert [row.expected for row in rows.rows] == [Way.VERIFIED, Way.FALSIFIED, None]
    table = nn.table(instance, rows.data, "crown", timeout=rows.timeouts)
    assert score(table, rows).points == 10
    broken = table.finals()[2].reason
    assert broken.startswith("refused: ")
    assert "broken.onnx" in broken


def test_an_answer_against_the_known_one_costs_what_the_rules_say(tmp_path: Path) -> None:
    file = folder_of_instances(tmp_path, known="sat")
    code, out, _ = run(file, "--methods", "crown", "--first", "1")
    assert code == 0
    assert "-150 of 10 points: 1 verified, 0 falsified, 0 unknown, 1 WRONG" in out
    assert "WRONG: verified" in out


@pytest.mark.parametrize("row", ["a.onnx,b.vnnlib", "onnx/digits.onnx,vnnlib/large.vnnlib,soon", "x.onnx,y.vnnlib,60"])
def test_rows_that_are_none_are_named(tmp_path: Path, row: str) -> None:
    file = folder_of_instances(tmp_path)
    file.write_text(f"{file.read_text()}{row}\n")
    with pytest.raises(nn.InputError, match=r"instances.csv, row 4"):
        read_instances(file)


@pytest.mark.slow
def test_the_page_of_a_record(spec: Path) -> None:
    file, page = spec.parent / "run.jsonl", spec.parent / "page.html"
    run(f"{spec}:near", "--data", spec.parent / "digits.npz", "--eps", "0.02,0.3", "--file", file, "--timeout", "10")
    assert CliRunner().invoke(app, ["report", str(file), "-o", str(page)]).exit_code == 0
    text = page.read_text()
    table = nn.load_table(file)
    for said in ("certified accuracy", table.header.data, table.header.networks[0], "<svg", "Clopper and Pearson"):
        assert said in text
    assert text.count(">attack</td>") + text.count(">portfolio</td>") >= table.rows[-1].falsified > 0
    assert 'src="http' not in text
    assert "href='http" not in text


@pytest.mark.slow
def test_two_processes_print_the_same_table(spec: Path) -> None:
    words = [f"{spec}:near", "--data", str(spec.parent / "digits.npz"), "--eps", "0.02,0.05", "--methods", "crown,bigm"]
    said = [
        subprocess.run(
            [sys.executable, "-m", "nnsym", "table", *words, "--workers", count],
            check=True, capture_output=True, text=True, timeout=300,
        ).stdout
        for count in ("0", "2")
    ]  # fmt: skip
    assert said[0] == said[1]
    assert "certified" in said[0]
