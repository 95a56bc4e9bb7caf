"""The fuzzers of ``make fuzz``: a few seeds of each, what was found before, and that planted faults are caught."""

from __future__ import annotations

from fractions import Fraction

import pytest
from models import single

from nnsym.errors import UnsupportedError
from nnsym.read.onnx import load
from tests.fuzz import certificates, controls, operators, optima, properties, searches, sources
from tests.fuzz.__main__ import main
from tests.fuzz.cells import Cell, Undecided, box_cells, decided, sign
from tests.fuzz.deployed import decisive_runs
from tests.fuzz.draws import Draw
from tests.fuzz.oracle import Case, find_truth
from tests.fuzz.plans import Run, plan, triples
from tests.fuzz.report import Report, table
from tests.fuzz.samples import KEPT, absorbed_by_float32

pytestmark = pytest.mark.slow

F = Fraction


@pytest.mark.parametrize("case", KEPT, ids=lambda case: f"kept{case.seed}")
@pytest.mark.parametrize("method", [None, "attack", "bigm", "smt"])
def test_what_floats_got_wrong_is_right(case: Case, method: str | None) -> None:
    trial = properties.Trial(case, find_truth(case, Draw.seeded(1)), properties.said(case))
    assert trial.truth.complete
    outcome = trial.judge(Run(str(method), method))
    assert outcome.wrong == ()
    assert not outcome.crash
    assert not outcome.odd
    assert method == "attack" or outcome.status in ("verified", "falsified")


@pytest.mark.parametrize("method", [None, "attack", "crown", "bigm", "smt"])
def test_float_runs_are_spoken_of_only_where_every_run_agrees(method: str | None) -> None:
    case = absorbed_by_float32()
    truth = find_truth(case, Draw.seeded(1))
    trial = properties.Trial(case, truth, properties.said(case), decisive_runs(case, truth, Draw.seeded(2)))
    assert trial.runs
    assert trial.judge(Run("real", method)).wrong == ()
    outcome = trial.judge(Run("deployed", method, (("semantics", "deployed"),)))
    assert (outcome.wrong, outcome.crash) == ((), "")
    assert outcome.status != "verified"


FUZZERS = (properties.fuzz, optima.fuzz, operators.fuzz, searches.fuzz, certificates.fuzz, sources.fuzz)


@pytest.mark.parametrize("fuzz", FUZZERS)
def test_a_few_seeds_have_no_fault(fuzz: object) -> None:
    seed, cases = (300, 30) if fuzz in (operators.fuzz, searches.fuzz) else (300, 3)
    report = fuzz(seed, 60.0, cases=cases)  # type: ignore[operator]
    assert (report.wrong, report.tracebacks) == (0, 0), table([report])
    assert report.cases >= 0.8 * cases


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pooling_that_is_padded_in_two_ways_is_refused_by_name(op: str) -> None:
    attributes = {"auto_pad": "SAME_UPPER", "dilations": [2], "kernel_shape": [2]}
    with pytest.raises(UnsupportedError, match=rf"{op}: auto_pad with dilations.*explicit pads"):
        load(single(op, (1, 1, 4), opset=19, **attributes), check=False)
    assert load(single(op, (1, 1, 4), opset=19, auto_pad="SAME_UPPER", kernel_shape=[2])).outputs["y"].shape == (
        1,
        1,
        4,
    )


def test_planted_faults_are_caught() -> None:
    for found in (controls.property_controls(), controls.optimum_controls(), controls.operator_controls()):
        assert len(found) >= 4
        assert all(found.values()), found


def test_planted_faults_of_certificates_and_sources_are_caught() -> None:
    for found in (certificates.planted(), sources.planted()):
        assert len(found) >= 3
        assert all(found.values()), found


def test_consecutive_seeds_cover_every_encoding_lane_and_source() -> None:
    every, count = {"/".join(t) for t in triples()}, 4
    seen = {run.name for seed in range(len(every) // count + 1) for run in plan(seed, count)}
    assert every <= seen
    assert {"bigm/highs/crown", "smt/z3/lp", "triangle+tj/highs/ibp"} <= every


def test_cells_tile_a_square_and_are_cut_where_a_sign_changes() -> None:
    cells = box_cells([F(0), F(0)], [F(1), F(1)], [False, False])
    assert sorted(len(c.vertices) for c in cells) == [1, 1, 1, 1, 2, 2, 2, 2, 4]
    with pytest.raises(Undecided):
        sign((F(-1), F(1)))
    found = list(decided(cells, lambda c: sign(tuple(3 * x - 2 * y - F(1, 3) for x, y in c.vertices))))
    for cell, side in found:
        x, y = cell.middle
        assert sign((3 * x - 2 * y - F(1, 3),)) == side
    assert {side for _, side in found} == {-1, 0, 1}
    assert sum(_area(cell) for cell, _ in found) == 1


def _area(cell: Cell) -> Fraction:
    corners = cell.vertices
    around = zip(corners, (*corners[1:], corners[0]), strict=True)
    return abs(sum((x * v - u * y for (x, y), (u, v) in around), F(0))) / 2


def test_the_table_says_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    lines = table([Report(name="x", cases=3, seconds=1.2, wrong=1, controls=2, caught=1, lines=("seed 4: bad",))])
    assert "1 of 2" in lines
    assert "x: seed 4: bad" in lines
    assert main(["operators", "--seed", "300", "--cases", "1"]) == 0
    assert "operators" in capsys.readouterr().out
