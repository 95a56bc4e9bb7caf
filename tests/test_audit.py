"""An audit holds every certificate of a folder, and every saved result, against the checker."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import nnsym as nn
from nnsym.cli.main import app
from nnsym.report.page import report_page
from tests.stored import random_layers, stored_mlp

X = nn.Variable(2, name="x")
BOX = nn.box(X, [-0.2, -0.2], [0.2, 0.2])
F = stored_mlp(random_layers(3, 2, 8, 8, 2), "f")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a network, two certificates and the results that they belong to."""
    there = tmp_path / "results"
    there.mkdir()
    (there / "f.onnx").write_bytes(bytes(F.model or b""))
    y = F(X)[0]
    for name, limit in (("holds", 30.0), ("fails", -30.0)):
        p = nn.forall(X, where=BOX, then=y[0] < limit, name=name)
        nn.verify(p, certificate=there / f"{name}.json").save(there / f"{name}.result.json", p)
    return there


def test_all_is_certified(folder: Path) -> None:
    found = nn.audit(folder)
    assert found.code == 0
    assert [(c.file, c.claim) for c in found.certificates] == [("fails.json", "sat"), ("holds.json", "unsat")]
    assert {r.name for r in found.results} == {"holds", "fails"}
    assert found.certificates[1].networks[1] == ("f", F.hash)
    assert not found.uncertified


def test_a_changed_claim_is_refused_and_its_result_is_not_certified(folder: Path) -> None:
    path = folder / "holds.json"
    made = json.loads(path.read_text())
    text = made["property"]["vnnlib"].replace(" 30)", " -30)")  # y < 30 becomes y < -30, which is false
    assert text != made["property"]["vnnlib"]
    made["property"] = {"vnnlib": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    path.write_text(json.dumps(made))
    found = nn.audit(folder)
    assert found.code == 10
    assert [c.file for c in found.refused] == ["holds.json"]
    assert "positive" in found.refused[0].refused
    assert [r.name for r in found.uncertified] == ["holds"]


def test_a_result_without_a_certificate_counts_and_says_why(folder: Path) -> None:
    y = F(X)[0]
    nn.verify(nn.forall(X, where=BOX, then=y[0] < 40), "crown").save(folder / "bare.json")
    found = nn.audit(folder)
    assert found.code == 30
    assert [(r.file, r.reason) for r in found.uncertified] == [("bare.json", "not asked for: the verdict alone")]
    assert found.reasons == {"not asked for": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "falsified"}, "claims 'unsat', which is not its verdict"),
        ({"status": "unknown"}, "claims 'unsat', which is not its verdict"),
        ({"reading": "exists"}, "claims 'unsat', which is not its verdict"),
        ({"semantics": "deployed"}, "speaks of 'real' semantics"),
        ({"networks": [{"name": "f", "sha256": "0" * 64, "stored": True}]}, "about other networks"),
        ({"networks": []}, "about other networks"),
        ({"nnsym result": 2}, "not readable: a saved result of version 2, which is not 1"),
        ({"certificate": "fails.json"}, "not asked for"),
    ],
)
def test_a_result_that_names_the_certificate_of_something_else_is_not_certified(
    change: dict[str, object], reason: str, folder: Path
) -> None:
    path = folder / "holds.result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    found = nn.audit(folder)
    assert found.code == 30
    assert [r.file for r in found.uncertified] == ["holds.result.json"]
    assert reason in found.uncertified[0].reason


def test_the_certificate_of_another_property_is_not_this_ones(folder: Path) -> None:
    """Of the same networks, with the same claim, and accepted: a result keeps what was proved of its own property."""
    y = F(X)[0]
    weaker = nn.forall(X, where=nn.box(X, -0.1, 0.1), then=y[0] < 50, name="weaker")
    nn.verify(weaker, certificate=folder / "weaker.json").save(folder / "weaker.result.json", weaker)
    assert nn.audit(folder).code == 0
    path = folder / "holds.result.json"
    other = json.loads((folder / "weaker.result.json").read_text())["certificate"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"certificate": other}))
    found = nn.audit(folder)
    assert [r.name for r in found.uncertified] == ["holds"]
    assert "states something else than was proved of its property" in found.uncertified[0].reason


@pytest.mark.parametrize("again", [{"sort_keys": True}, {"indent": "\t", "separators": ("\t,", "\t:\t")}])
def test_files_that_something_else_wrote_anew_are_not_passed_over(again: dict[str, Any], folder: Path) -> None:
    for path in (folder / "holds.result.json", folder / "fails.json"):
        path.write_text(json.dumps({"a": "b" * 300, **json.loads(path.read_text())}, **again))
    found = nn.audit(folder)
    assert (len(found.certificates), len(found.results)) == (2, 2)
    assert [r.name for r in found.uncertified] == ["fails"]  # whose certificate has another digest now
    other = (folder / "holds.json").read_text().replace("nnsym-cert/1", "nnsym-cert/2")
    (folder / "holds.json").write_text(other)
    assert "not of the format" in nn.audit(folder).refused[0].refused


def test_a_damaged_archive_is_refused_like_any_other_file(folder: Path) -> None:
    packed = bytearray(gzip.compress((folder / "holds.json").read_bytes()))
    packed[20:50] = b"\xff" * 30
    (folder / "holds.json.gz").write_bytes(packed)
    found = nn.audit(folder)
    assert (found.code, [c.file for c in found.refused], len(found.uncertified)) == (10, ["holds.json.gz"], 0)
    assert "holds.json.gz" in report_page(folder)
    assert CliRunner().invoke(app, ["check", str(folder / "holds.json.gz")]).exit_code == 10


def test_without_the_network_a_certificate_is_refused_with_it_it_is_accepted(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "models"
    elsewhere.mkdir()
    (folder / "f.onnx").rename(elsewhere / "f.onnx")
    assert nn.audit(folder).code == 10
    assert nn.audit(folder, networks=[elsewhere], engine="reference").code == 0


def test_the_command_says_it_in_a_table_in_json_and_on_a_page(folder: Path) -> None:
    runner = CliRunner()
    table = runner.invoke(app, ["audit", str(folder)])
    assert table.exit_code == 0
    assert "2 of 2 certificates accepted; 2 of 2 results certified" in table.stdout
    assert max(map(len, table.stdout.splitlines())) <= 80
    told = json.loads(runner.invoke(app, ["audit", str(folder), "--json"]).stdout)
    assert told["code"] == 0
    assert all(c["accepted"] for c in told["certificates"])
    page = report_page(folder)
    assert told["certificates"][0]["sha256"] in page
    single = report_page(folder / "holds.result.json")
    assert "accepted by" in single


def test_a_folder_of_nothing_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(nn.InputError, match="neither certificates nor saved results"):
        nn.audit(tmp_path)
    with pytest.raises(nn.InputError, match="no such folder"):
        nn.audit(tmp_path / "none")
