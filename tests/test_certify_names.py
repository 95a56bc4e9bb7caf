"""Certificates of several networks speak of the networks that they name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import nnsym as nn
from nnsym.check.checker import Checker, check
from nnsym.check.errors import Refused
from nnsym.check.files import read_json
from nnsym.results.certificate import stated
from tests.stored import stored_mlp

X = nn.Variable(1, name="x")


def factor(by: float, name: str) -> nn.Network:
    """relu(by x) as a stored model."""
    return stored_mlp([(np.float32([[by]]), np.float32([0])), (np.float32([[1]]), np.float32([0]))], name)


def test_networks_that_are_equal_to_another_have_no_entry(tmp_path: Path) -> None:
    """The text declares f, g equal to f, and h: the second entry is h, whatever stands between."""
    declared = "".join(
        f"(declare-network {n} {'(equal-to f)' if n == 'g' else ''}"
        f"(declare-input x{n} float32 [1,1])(declare-output y{n} float32 [1,1]))"
        for n in "fgh"
    )
    limits = "".join(f"(assert (>= x{n}[0,0] 1.0))(assert (<= x{n}[0,0] 2.0))" for n in "fgh")
    text = f"(vnnlib-version <2.0>){declared}{limits}(assert (<= yh[0,0] 2.5))"
    nets = {"f": factor(1, "one"), "h": factor(3, "three")}
    path = tmp_path / "p.vnnlib"
    path.write_text(text)
    result = nn.verify(nn.load_vnnlib(path, networks=nets), certificate=True)
    assert result.verified
    assert result.certificate is not None, result.uncertified
    made = json.loads(result.certificate.data)
    assert [(e["name"], e["sha256"]) for e in made["networks"]] == [(n, f.hash) for n, f in nets.items()]


def test_networks_of_one_name_are_told_apart() -> None:
    """A name that is made for the second network called f is not that of a third."""
    a, b, c = factor(5, "f-2"), factor(1, "f"), factor(2, "f")
    y = a(X)[0] + b(X)[0] + c(X)[0]
    result = nn.verify(nn.forall(X, where=nn.box(X, [1], [2]), then=y > 7.5), certificate=True)
    assert result.verified
    assert result.certificate is not None, result.uncertified
    files = {f.hash: bytes(f.model or b"") for f in (a, b, c)}
    report = Checker(read_json(result.certificate.data), files, "reference").run()
    assert {d for _, d in report.subjects} >= set(files)
    assert report.least is not None
    assert float(report.least) == 0.5  # 8 - 7.5


def test_an_audit_counts_networks_that_were_read(tmp_path: Path) -> None:
    """An entry that nothing applies is none that the claim is about."""
    f = factor(2, "f")
    (tmp_path / "f.onnx").write_bytes(bytes(f.model or b""))
    p = nn.forall(X, where=nn.box(X, [1], [2]), then=f(X)[0] > 1)
    nn.verify(p, certificate=tmp_path / "c.json").save(tmp_path / "r.json", p)
    assert nn.audit(tmp_path).code == 0
    made = json.loads((tmp_path / "c.json").read_text())
    other = nn.forall(X, where=nn.box(X, [1], [2]), then=2 * X[0] > 1)
    bare = nn.verify(other, certificate=True).certificate
    assert bare is not None
    forged = json.loads(bare.data)
    forged["networks"].append(made["networks"][1])
    data = json.dumps(forged, separators=(",", ":")).encode()
    (tmp_path / "c.json").write_bytes(data)
    record = json.loads((tmp_path / "r.json").read_text())
    record["certificate"]["sha256"] = hashlib.sha256(data).hexdigest()
    for digest, reason in ((record["property"]["stated"], "states something else"), (stated(forged), "other networks")):
        record["property"]["stated"] = digest
        (tmp_path / "r.json").write_text(json.dumps(record))
        found = nn.audit(tmp_path)
        assert not found.refused
        assert reason in found.uncertified[0].reason


def test_a_network_beside_a_certificate_may_have_any_name(tmp_path: Path) -> None:
    f = factor(2, "f")
    (tmp_path / "stored.onnx").write_bytes(bytes(f.model or b""))
    (tmp_path / "a.onnx.gz").write_bytes(b"\x1f\x8bno network")
    p = nn.forall(X, where=nn.box(X, [1], [2]), then=f(X)[0] > 1)
    found = nn.verify(p, certificate=tmp_path / "proof.json")
    assert found.certificate is not None
    page = nn.write_report(found.save(tmp_path / "r.json", p), tmp_path / "r.html").read_text()
    assert "nnsym check proof.json f.onnx</pre>" in page
    assert check(tmp_path / "proof.json").claim == "unsat"
    (tmp_path / "stored.onnx").unlink()
    with pytest.raises(Refused, match="'f' is not that of its hash, or not given: name its file too"):
        check(tmp_path / "proof.json")
