"""Certificates of verdicts: whatever gave the verdict, the independent checker accepts what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym.check.checker import Checker, check
from nnsym.check.errors import Refused
from nnsym.check.files import read_json
from nnsym.results.result import Result, Trust
from tests.stored import random_layers, stored_mlp


def arrays(seed: int, *widths: int, activation: str = "relu") -> Any:
    """A network of arrays."""
    return nn.sequential(random_layers(seed, *widths), activation=activation)


def accepted(result: Result, engine: str | None = None) -> Any:
    """The report of a fresh check of a result's certificate, of nothing but its bytes and its networks' files."""
    assert result.certificate is not None, result.uncertified
    assert result.trust is Trust.CHECKED
    assert result.query is not None
    files = {a.network.hash: bytes(a.network.model) for a in result.query.applications if a.network.model is not None}
    return Checker(read_json(result.certificate.data), files, engine).run()


def tight(term: Any, where: Any) -> float:
    """A threshold a little above the greatest value of a term."""
    top = nn.maximize(term, where=where, timeout=120).upper
    return float(top) + 0.02 * abs(float(top)) + 0.01


X = nn.Variable(2, name="x")
BOX = nn.box(X, [-1, -1], [1, 1])

REGIONS = {
    "half-space": BOX & (X[0] + X[1] <= 0.3),
    "two half-spaces": BOX & (X[0] + X[1] <= 0.3) & (X[0] - 2 * X[1] <= 0.1),
    "ball of norm 2": nn.ball(X, [0.1, 0.2], 0.5, p=2),
    "ball of norm 1": nn.ball(X, [0.1, 0.2], 0.5, p=1),
    "cut ball": nn.ball(X, [0.1, 0.2], 0.5, p=2) & (X[0] <= 0.3),
}


@pytest.mark.parametrize("region", REGIONS, ids=str)
def test_thresholds_just_above_the_maximum_are_certified_on_every_region(region: str) -> None:
    where = REGIONS[region]
    y = arrays(1, 2, 8, 8, 2)(X)
    result = nn.verify(nn.forall(X, where=where, then=y[0] < tight(y[0], where)), certificate=True)
    assert result.verified
    report = accepted(result, "reference")
    assert report.least > 0


def test_a_threshold_below_the_maximum_has_no_certificate_of_the_opposite() -> None:
    y = arrays(1, 2, 8, 8, 2)(X)
    attained = float(nn.maximize(y[0], where=BOX, timeout=20).lower)
    result = nn.verify(nn.forall(X, where=BOX, then=y[0] < attained - 1e-6), certificate=True)
    assert result.falsified
    assert accepted(result).claim == "sat"
    assert result.certificate is not None
    certificate = read_json(result.certificate.data)
    for tree in ([["l"]], [["x", 0], ["l"], ["l"]]):
        with pytest.raises(Refused):
            Checker({**certificate, "claim": "unsat", "tree": tree}, {}).run()


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize(("least", "claim"), [(-1e6, "unsat"), (1e6, "sat")])
def test_a_check_that_is_told_to_stop_stops_before_its_leaf_or_point_is_done(
    least: float, claim: str, engine: str
) -> None:
    """One leaf of a wide network is minutes of whole numbers."""
    result = nn.verify(nn.forall(X, where=BOX, then=arrays(1, 2, 8, 8, 2)(X)[0] >= least), certificate=True)
    assert accepted(result, engine).claim == claim
    assert result.certificate is not None
    late = iter([False, True])
    stops = [lambda: False]
    checker = Checker(read_json(result.certificate.data), {}, engine, stop=lambda: stops[-1]())
    stops.append(lambda: next(late))
    with pytest.raises(Refused, match="stopped"):
        checker.run()


F = stored_mlp(random_layers(3, 2, 8, 8, 2), "f")
G = stored_mlp(random_layers(4, 2, 6, 1), "g")
D = nn.Variable(2, name="d")
WHOLE = nn.Variable(2, name="n", integer=True)
SMALL = nn.box(X, [-0.2, -0.2], [0.2, 0.2])


def row(network: Any, at: Any) -> Any:
    """The outputs of a stored network, without its axis of one."""
    return network(at)[0]


def bounded(term: Any, where: Any = SMALL) -> Any:
    """The property that a term stays below a threshold that it comes near to."""
    return nn.forall(X, where=where, then=term < tight(term, where))


Y = row(F, X)

#: Properties that hold, one for each way of stating one.
PROPERTIES: Mapping[str, Callable[[], Any]] = {
    "stored": lambda: bounded(Y[0]),
    "two runs": lambda: nn.forall(
        [X, D], where=SMALL & nn.box(D, [-0.01, -0.01], [0.01, 0.01]), then=abs(row(F, X + D)[0] - Y[0]) < 1.0
    ),
    "several networks": lambda: bounded(Y[0] + row(G, X)[0]),
    "composed": lambda: nn.forall(X, where=SMALL, then=row(F, 0.25 * Y)[0] < 20),
    "disjunction": lambda: nn.forall(X, where=BOX, then=(Y[0] < 30) | (Y[1] > -1)),
    "conjunction": lambda: nn.forall(X, where=BOX, then=(Y[0] < 30) & (Y[1] < 30)),
    "implication": lambda: nn.forall(X, where=BOX, then=(X[0] <= 0.5) | (Y[0] < 30)),
    "maximum": lambda: bounded(nn.max(Y)),
    "norm": lambda: bounded(abs(Y[0]) + abs(Y[1])),
    "product": lambda: nn.forall(X, where=SMALL, then=Y[0] * Y[1] < 900),
    "hidden": lambda: nn.forall(X, where=SMALL, then=F(X).hidden("relu1").pre[0, 0] < 30),
    "integers": lambda: nn.forall(WHOLE, where=nn.box(WHOLE, [-2, -2], [2, 2]), then=row(F, WHOLE)[0] < 90),
    "empty alternatives": lambda: nn.forall(
        X, where=BOX & ((X[0] >= 2) | (X[0] <= 0)) & ((X[0] <= -0.5) | (X[1] >= 0.5)), then=Y[0] < 30
    ),
    "vacuous": lambda: nn.forall(X, where=BOX & (X[0] > 2), then=Y[0] < -90),
}


@pytest.mark.parametrize("name", PROPERTIES, ids=str)
def test_whatever_can_be_stated_is_certified(name: str) -> None:
    result = nn.verify(PROPERTIES[name](), certificate=True, timeout=30)
    assert result.verified
    assert accepted(result).claim == "unsat"


def test_an_existence_is_certified_by_its_witness_and_its_failure_by_a_tree() -> None:
    y = Y
    top = tight(y[0], BOX)
    there = nn.verify(nn.exists(X, where=BOX, then=y[0] > top - 1), certificate=True)
    nowhere = nn.verify(nn.exists(X, where=BOX, then=y[0] > top), certificate=True)
    assert there.verified
    assert nowhere.falsified
    assert [accepted(r).claim for r in (there, nowhere)] == ["sat", "unsat"]


@pytest.mark.parametrize("method", ["ibp", "crown", "alpha", "zonotope", "forward", "triangle", "bigm", "smt", "bab"])
def test_every_method_s_verdict_is_certified(method: str) -> None:
    y = arrays(5, 2, 6, 6, 2)(X)
    result = nn.verify(nn.forall(X, where=SMALL, then=y[0] < 60), method, certificate=True)
    assert result.verified
    accepted(result)


def test_smooth_functions_are_certified_where_the_checker_knows_them() -> None:
    for activation in ("tanh", "sigmoid"):
        y = arrays(6, 2, 5, 1, activation=activation)(X)
        result = nn.verify(nn.forall(X, where=SMALL, then=y[0] < tight(y[0], SMALL)), certificate=True)
        accepted(result)
    y = arrays(6, 2, 5, 1, activation="gelu")(X)
    result = nn.verify(nn.forall(X, where=SMALL, then=y[0] < 90), certificate=True)
    assert result.verified
    assert result.certificate is None
    assert "gelu" in result.uncertified


@pytest.mark.slow
def test_many_inputs_are_split_by_phases_with_slopes_and_multipliers() -> None:
    many = nn.Variable(64, name="x")
    where = nn.box(many, np.full(64, -0.05), np.full(64, 0.05))
    y = stored_mlp(random_layers(8, 64, 12, 12, 3), "many")(many)[0]
    plain = nn.verify(nn.forall(many, where=where, then=y[0] < 1e3), "crown").lower - 1e3
    best = float(nn.maximize(y[0], where=where, timeout=20).upper)
    result = nn.verify(nn.forall(many, where=where, then=y[0] < best + 0.05 * (-plain - best)), certificate=True)
    assert result.verified
    accepted(result, "reference")
    assert result.certificate is not None
    tokens = {token[0] for token in json.loads(result.certificate.data)["tree"]}
    assert {"b", "r", "l"} <= tokens


def test_deployed_claims_speak_of_the_model_s_floats() -> None:
    far = nn.verify(nn.forall(X, where=SMALL, then=Y[0] < 30), semantics="deployed", certificate=True)
    assert accepted(far).semantics == "float32"


def test_the_user_s_own_text_is_claimed_and_a_relaxed_property_is_not(tmp_path: Path) -> None:
    text = "(declare-const X_0 Real)\n(declare-const X_1 Real)\n(declare-const Y_0 Real)\n(declare-const Y_1 Real)\n"
    text += "".join(f"(assert (>= X_{k} -0.2))\n(assert (<= X_{k} 0.2))\n" for k in (0, 1))
    top = float(nn.maximize(Y[0], where=SMALL, timeout=20).upper)
    holds = text + f"(assert (>= Y_0 {top + 0.1}))\n"
    fails = text + f"(assert (>= Y_0 {top - 0.1}))\n"
    own = nn.verify(nn.load_vnnlib(holds.encode(), F), certificate=True)
    assert json.loads(own.certificate.data)["property"]["vnnlib"] == holds  # type: ignore[union-attr]
    accepted(own)
    relaxed = nn.verify(nn.load_vnnlib(fails.encode(), F), slack=0.3, certificate=True)
    assert relaxed.verified
    accepted(relaxed)
    assert json.loads(relaxed.certificate.data)["property"]["vnnlib"] != fails  # type: ignore[union-attr]


def test_a_file_is_written_once_it_is_accepted_and_checks_from_the_files_alone(tmp_path: Path) -> None:
    path, model = tmp_path / "c.json.gz", tmp_path / "models" / "f.onnx"
    model.parent.mkdir()
    model.write_bytes(bytes(F.model or b""))
    p = nn.forall(X, where=SMALL, then=Y[0] < tight(Y[0], SMALL))
    result = nn.verify(p, certificate=path)
    assert check(path, [model]).claim == "unsat"
    assert result.certificate is not None
    assert result.certificate.sha256 == hashlib.sha256(result.certificate.data).hexdigest()
    saved = json.loads(Path(result.save(tmp_path / "r.json")).read_text())
    assert saved["trust"] == "checked"
    assert saved["certificate"]["sha256"] == result.certificate.sha256
    with pytest.raises(Refused, match="hash"):
        check(path, [])


def test_without_a_verdict_nothing_is_written_and_the_reason_is_said(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    y = arrays(1, 2, 8, 8, 2)(X)
    result = nn.verify(nn.forall(X, where=BOX, then=y[0] < tight(y[0], BOX)), "ibp", certificate=path)
    assert not result.verified
    assert result.uncertified == "no verdict: the answer is unknown"
    assert not path.exists()
    with pytest.raises(nn.InputError, match="does not exist"):
        nn.verify(PROPERTIES["stored"](), certificate=tmp_path / "none" / "c.json")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_a_full_disk_loses_no_result(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = nn.verify(nn.forall(X, where=SMALL, then=Y[0] < tight(Y[0], SMALL)), certificate="/dev/full")
    assert (result.status.value, str(result.trust), result.uncertified) == ("verified", "checked", "")
    said = "not written, result.certificate.save(path) writes it elsewhere: /dev/full: cannot write: No space left"
    assert said in result.trail[-1].note
    assert [said in record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [True]
    accepted(result)
    assert result.certificate is not None
    assert result.certificate.save(tmp_path / "c.json").read_bytes() == result.certificate.data
