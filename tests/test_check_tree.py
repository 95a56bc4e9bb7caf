"""Tokens: what each makes of a case, and everything that is refused, with its reason."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from certificates import below, box, certificate, plain, stated, verdict
from typer.testing import CliRunner

from nnsym.check.checker import Checker
from nnsym.check.errors import Refused
from nnsym.check.files import read_json
from nnsym.check.tree import Tree
from nnsym.cli.main import app

ENGINES = ("reference", "fast")
# y = relu(x0 + x1) + relu(x0 - x1): at least |x0| for x0 >= 0, the least is 0
NODES = [["MatMul", ["x", "W"], ["z"]], ["Relu", ["z"], ["r"]], ["MatMul", ["r", "one"], ["y"]]]
GRAPH = plain({"x": [2]}, NODES, ["y"], W=[[1, 1], [1, -1]], one=[[1], [1]])
NETWORK = {"name": "f", "graph": GRAPH}
NAMES = [[0, "z"], [0, "r"], [0, "y"]]


def text(assertions: str, lower: Any = (-1, -1), upper: Any = (1, 1)) -> str:
    return stated(GRAPH, box("x", lower, upper) + assertions, {"y": [1]})


def made(assertions: str, tree: Any, *, lower: Any = (-1, -1), upper: Any = (1, 1), **more: Any) -> dict[str, Any]:
    return certificate(text(assertions, lower, upper), tree, NETWORK, **{"names": NAMES, **more})


def value(built: dict[str, Any], engine: str) -> Fraction:
    report = verdict(built, engine)
    assert not isinstance(report, str), report
    assert report.least is not None
    return report.least


@pytest.mark.parametrize("engine", ENGINES)
class TestTokens:
    def test_a_leaf_of_default_slopes(self, engine: str) -> None:
        built = made("(assert (<= y[0] -2.0))", [["l"]])
        assert value(built, engine) == 2  # both slopes are 0 where l = -u

    def test_slopes_of_one_byte_and_of_two(self, engine: str) -> None:
        row = "(assert (<= (- y[0] (* 2 x[0])) -3.0))"
        for slopes in ("ffff", "ffffffff", {"0": 255, "1": 255}):  # y >= 2 x0
            assert value(made(row, [["l", None, {"1": slopes}]]), engine) == pytest.approx(3, abs=1e-6)
        for slopes in (["0000", None], {}, {"0": 0, "1": 0}):  # y >= 0
            assert value(made(row, [["l", None, {"1": slopes}]]), engine) == 1

    def test_bounds_of_a_fact_are_as_good_as_a_row(self, engine: str) -> None:
        """Where slopes are bad: y >= 0 is known, the line below y is 2 x0 >= -2."""
        leaf = [["l", None, {"1": "ffff"}]]
        assert value(made("(assert (<= y[0] -3.0))", leaf), engine) == 3
        assert value(made("(assert (<= (+ y[0] (* 0.5 x[0])) -3.0))", leaf), engine) == 2.5

    def test_upper_lines_may_be_chosen_too(self, engine: str) -> None:
        default = value(made("(assert (>= y[0] 5.0))", [["l"]]), engine)  # y <= x0 + 2 <= 3
        assert default == pytest.approx(2, abs=1e-6)
        flat = value(made("(assert (>= y[0] 5.0))", [["l", None, {"1": [None, "0000"]}]]), engine)  # y <= 2 + 2
        assert flat == pytest.approx(1, abs=1e-6)

    def test_inputs_are_split_at_a_number_or_in_the_middle(self, engine: str) -> None:
        claim = "(assert (<= y[0] 0.25))"
        lower = (0.5, -1)
        for at in (["x", 1, 0], ["x", 1], ["x", 1, "0/7"]):
            built = made(claim, [at, ["l"], ["l"]], lower=lower)
            assert value(built, engine) == pytest.approx(0.75, abs=1e-6)  # y >= 2 x0

    def test_phases_are_split_and_their_sides_are_facts(self, engine: str) -> None:
        """y >= x0 + x1: where z0 <= 0 by that fact, else as r0 = z0."""
        tree = [["b"], ["r", 0, 0], ["l", [[0, 1], [1, 1]]], ["l"]]
        assert value(made("(assert (<= (- y[0] x[0] x[1]) -0.125))", tree), engine) == pytest.approx(0.125, abs=1e-6)
        without = [["b"], ["r", 0, 0], ["l"], ["l"]]
        assert "not positive" in str(verdict(made("(assert (<= (- y[0] x[0] x[1]) -0.125))", without), engine))

    def test_a_split_where_a_value_is_known_leaves_the_value(self, engine: str) -> None:
        """At x = (1, 0) all is known: z0 = 1, r0 = 1, y = 2, on both sides of a split just there."""
        point = {"lower": (1, 0), "upper": (1, 0)}
        for split in (
            ["g", [[0, 0, 1]], 1],
            ["g", [[1, 0, -2]], -2],
            ["g", [[2, 0, "1/2"]], 1],
            ["g", [[-1, 1, 1]], 0],
        ):
            for tree in ([["b"], split, ["l"], ["l"]], [split, ["l"], ["l"]]):
                assert "not positive" in str(verdict(made("(assert (>= y[0] 2))", tree, **point), engine))
                assert value(made("(assert (>= y[0] 2.5))", tree, **point), engine) == pytest.approx(0.5, abs=1e-6)

    def test_a_cut_is_proved_in_one_child_and_used_in_the_other(self, engine: str) -> None:
        """r0 + r1 <= 2.25 can fail nowhere; so 3 - r0 - r1 > 0."""
        cut = ["g", [[1, 0, 1], [1, 1, 1]], 3.25]
        tree = [["b"], cut, ["l", [[0, 1], [1, 1]]], ["l", [[1, 1]]]]
        report = verdict(made("(assert (>= y[0] 3.5))", tree), engine)
        assert not isinstance(report, str), report

    def test_lemmas_refresh_bounds(self, engine: str) -> None:
        for lemmas in ([], [[0, []]], [[0, [0, -1, 1, -2]]], [[0, None, None, []]], [[0], [0, [-1], None, []]]):
            assert value(made("(assert (<= y[0] -2.0))", [["b", lemmas], ["l"]]), engine) == pytest.approx(2, abs=1e-6)

    def test_facts_enter_lemmas(self, engine: str) -> None:
        """On x0 + x1 <= 0 (a fact of the property) z0 is closed, and y = r1 <= 2."""
        claim = "(assert (<= (+ x[0] x[1]) 0.0))(assert (>= y[0] 2.125))"
        assert isinstance(verdict(made(claim, [["l"]]), engine), str)
        tree = [["b", [[0, [-1], None, [[0, 1]]]]], ["l", [[1, 1]]]]
        assert value(made(claim, tree), engine) == pytest.approx(0.125, abs=1e-6)

    def test_disjunctions_are_split_in_their_order(self, engine: str) -> None:
        claim = "(assert (or (<= y[0] -1.0) (and (>= y[0] 4.0) (<= x[0] 0.5)) (!= y[0] y[0])))"
        tree = [["b"], ["o", 0], ["l"], ["l"], ["o", 1], ["l"], ["l"]]
        report = verdict(made(claim, tree), engine)  # y < y: no term is left, 0 < 0 is no fact that can hold
        assert not isinstance(report, str), report

    def test_strict_facts_need_no_slack(self, engine: str) -> None:
        assert not isinstance(verdict(made("(assert (< y[0] -2.0))", [["l"]], lower=(-1, -1)), engine), str)
        point = {"lower": (0, 0), "upper": (0, 0)}
        assert not isinstance(verdict(made("(assert (< y[0] 0.0))", [["l"]], **point), engine), str)
        assert "not positive" in str(verdict(made("(assert (<= y[0] 0.0))", [["l"]], **point), engine))

    def test_a_strict_fact_of_no_weight_is_none(self, engine: str) -> None:
        """At x = 0, y is 0: that meets y <= 0 and y < 5, of which the second one is not weighed."""
        point = {"lower": (0, 0), "upper": (0, 0)}
        claim = "(assert (< y[0] 5))(assert (<= y[0] 0))"
        for weights in ([[0, 0], [1, 1]], [[1, 1], [0, 0]], [[1, 1]]):
            assert "not positive" in str(verdict(made(claim, [["l", weights]], **point), engine))
        false = claim.replace("(<= y[0] 0)", "(< y[0] 0)")
        for weights in ([[0, 0], [1, 1]], [[1, "1/7"]]):
            assert not isinstance(verdict(made(false, [["l", weights]], **point), engine), str)

    def test_whole_numbers_are_split_with_a_gap(self, engine: str) -> None:
        whole = text("(assert (>= (- y[0] x[0]) 1.125))", (0, 0), (1, 0)).replace("input x real", "input x int8")
        gap = whole.replace("(assert (>= (- y[0] x[0]) 1.125))", "(assert (>= x[0] 0.25))(assert (<= x[0] 0.75))")
        assert not isinstance(verdict(certificate(gap, [["i", 0, 0], ["l"], ["l"]], NETWORK), engine), str)
        real = certificate(gap.replace("int8", "real"), [["i", 0, 0], ["l"], ["l"]], NETWORK)
        assert "not declared as a whole number" in str(verdict(real, engine))

    def test_balls_are_squares_of_inputs(self, engine: str) -> None:
        """x0 + x1 >= -sqrt(2)/2 in the ball of radius 1/2: the best multiplier is sqrt(2)."""
        ball = "(assert (<= (+ (* x[0] x[0]) (* x[1] x[1])) 0.25))"
        claim = ball + "(assert (<= (+ x[0] x[1]) -0.75))"
        assert "not positive" in str(verdict(made(claim, [["l", [[1, 1]]]]), engine))
        assert value(made(claim, [["l", [[0, 1.4142], [1, 1]]]]), engine) == pytest.approx(0.75 - 0.5**0.5, abs=1e-4)

    @pytest.mark.parametrize(("tree", "reason"), [
        ([], "ends early"), ([["x", 0], ["l"]], "ends early"), ([["l"], ["l"]], "tokens are left"),
        ([["b"]], "ends early"), ([["l", [[0, -1]]]], "negative multiplier"), ([["l", [[3, 1]]]], "fact: 3 is not in"),
        ([["q"]], "no token"), ([["l", [[0, 1]], {"0": "ff"}]], "no function"),
        ([["l", [[0, 1]], {"1": "ff"}]], "2 digits of slopes for 2"), ([["l", None, {"1": "zz"}]], "hexadecimal"),
        ([["l", None, {"9": "ff"}]], "name: 9"), ([["x", 2], ["l"], ["l"]], "input element"),
        ([["o", 0]], "disjunction"), ([["g", [], 0], ["l"], ["l"]], "'g' wants"),
        ([["r", 0, 2], ["l"], ["l"]], "element"), ([["l", [["a", 1]]]], "no number"), ([[["x"]]], "damaged"),
        ([["b", [[0, [5]]]], ["l"]], "row: 5"),
    ])  # fmt: skip
    def test_trees_that_are_refused_say_why(self, engine: str, tree: Any, reason: str) -> None:
        assert reason in str(verdict(made("(assert (<= y[0] -2.0))", tree), engine))


def test_a_split_beyond_the_box_leaves_an_empty_case() -> None:
    """A cut that lies outside loses nothing: one child is empty, the other the whole."""
    assert not isinstance(verdict(made("(assert (<= y[0] -2.0))", [["x", 0, 5], ["l"], ["l"]]), "fast"), str)


def test_failures_are_collected_where_asked_for() -> None:
    built = made("(assert (<= y[0] 1.9))", [["x", 0, 0.875], ["l"], ["x", 1], ["l"], ["l"]])
    for engine in ENGINES:
        report = Checker(built, {}, engine).run(failures=True)
        assert [token for token, _ in report.failures] == [1, 3, 4]
        assert "3 leaves fail" in str(report)


def test_the_command_writes_vipr_files(tmp_path: Path) -> None:
    path, file, lean = _written(tmp_path), tmp_path / "proof.vipr", tmp_path / "Proof.lean"
    ran = CliRunner().invoke(app, ["check", str(path), "--vipr", str(file), "--lean", str(lean)])
    assert ran.exit_code == 0
    assert "accepted: unsat, real; 1 leaves" in ran.output
    assert file.read_text().startswith("VER 1.0\nVAR 9\n")
    assert "def width : Nat := 9" in lean.read_text()
    path.write_text(path.read_text().replace('"unsat"', '"sat"'))
    ran = CliRunner().invoke(app, ["check", str(path)])
    assert (ran.exit_code, ran.output) == (10, "refused: a sat claim without a point\n")


# Claims and files


def test_hashes_are_compared() -> None:
    good = made("(assert (<= y[0] -2.0))", [["l"]])
    property_ = good["property"] | {"vnnlib": good["property"]["vnnlib"].replace("-2.0", "-9.0")}
    assert "not that of its hash" in str(verdict(good | {"property": property_}, "reference"))
    other = good | {"networks": [{"name": "f", "sha256": "0" * 64, "file": "f.onnx"}]}
    assert "the network 'f' is not that of its hash, or not given" in str(verdict(other, "reference"))


def test_witnesses_are_replayed_exactly() -> None:
    claim = "(assert (or (and (<= y[0] 0.5) (>= y[0] 0.5)) (<= y[0] -1.0)))"
    for point, reason in (
        (["0.25", "0"], None), ([0.25, 0.125], None), (["1/4", "1/3"], "does not satisfy"),
        (["0.25", "1e-30"], "does not satisfy"),  # it does, but a decimal is only enclosed
        (["0.2500000000000000000000000001", "0"], "does not satisfy"), (["2", "0"], "does not satisfy"),
        (["0.25"], "too few"), (["0.25", "0", "0"], "more values"),
    ):  # fmt: skip
        found = verdict(made(claim, [], claim="sat", point={"x": point}), "reference")
        assert (reason or "accepted") in str(found)


def test_a_witness_that_is_only_enclosed_meets_no_side_of_what_it_lies_on() -> None:
    """At x0 = 1/3 the value 2/3 of y is known up to some digits: it is not told to be at least, or at most, 2/3."""
    point = {"x": ["1/3", "0"]}
    for claim in ("(<= y[0] 2/3)", "(>= y[0] 2/3)", "(<= (- y[0]) -2/3)", "(>= (* -3 y[0]) -2)"):
        found = verdict(made(f"(assert {claim})", [], claim="sat", point=point), "reference")
        assert "does not satisfy" in str(found), claim


@pytest.mark.parametrize(("kind", "accepted"), [("real", True), ("int8", False)])
def test_witnesses_of_whole_numbers_are_whole(kind: str, accepted: bool) -> None:
    claim = text("(assert (<= y[0] 2.5))").replace("input x real", f"input x {kind}")
    for point, whole in ((["0.5", "0"], False), (["0", "0.5"], False), (["1", "0"], True)):
        found = str(verdict(certificate(claim, [], NETWORK, claim="sat", point={"x": point}), "reference"))
        assert ("accepted" in found) == (accepted or whole), found
        assert accepted or whole or "is no whole number" in found


def test_elements_of_all_inputs_are_counted_through() -> None:
    """The index -1 stands for the inputs together: of sizes 2, 1 and 3."""
    parts = {"a": [2], "b": [1], "c": [3]}
    graph = plain(parts, [["Concat", ["a", "b", "c"], ["y"], {"axis": 0}]], ["y"])
    claim = "".join(box(n, [0] * s, [1] * s) for n, (s,) in parts.items()) + "(assert (<= y[0] -1.0))"
    made_ = certificate(stated(graph, claim, {"y": [6]}), [["l"]], {"name": "f", "graph": graph})
    tree = Tree(Checker(made_, {}).problem, None, [])
    places = [tree.problem.places[n].node for n in "abc"]
    assert [tree.element(-1, k) for k in range(6)] == [(n, i) for n in places for i in range(n.size)]
    for k in (-1, 6):
        with pytest.raises(Refused, match="input element"):
            tree.element(-1, k)


@pytest.mark.parametrize("data", [
    b"{", b"[]", b'{"format": NaN}', b'{"a": 1, "a": 2}', b"[" * 100000, b'{"format": 1e999999999}',
    b'{"format": "other"}',
    b"\xff\xfe", b'{"format": "nnsym-cert/1", "claim": "unsat"}', b'{"format": "nnsym-cert/1", "claim": "perhaps"}',
    b'{"format": "nnsym-cert/1", "claim": "unsat", "networks": 3, "property": []}', b"9" * 10000,
])  # fmt: skip
def test_hostile_files_are_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        Checker(read_json(data), {})


def _written(folder: Path, **more: Any) -> Path:
    path = folder / "proof.json"
    built = made("(assert (<= y[0] -2.0))", [["l"]], **more)
    path.write_text(json.dumps(built, default=lambda v: int(v) if v.denominator == 1 else str(v)))
    return path


def test_the_folder_runs_when_copied_out_alone(tmp_path: Path) -> None:
    """By the standard library alone: no site packages, no NumPy, nothing of nnsym."""
    source = Path(__file__).parents[1] / "nnsym" / "check"
    shutil.copytree(source, tmp_path / "checker", ignore=shutil.ignore_patterns("__pycache__"))
    path = _written(tmp_path)
    bare = {"PATH": os.environ["PATH"]}
    for engine in ("reference", None):
        command = [sys.executable, "-S", "-E", "-m", "checker", str(path), *(["--engine", engine] if engine else [])]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=bare, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        assert "accepted: unsat, real; 1 leaves" in ran.stdout
        assert "reference engine" in ran.stdout


def test_the_command_finds_files_beside_and_gzipped(tmp_path: Path) -> None:
    path = _written(tmp_path)
    packed = tmp_path / "proof.json.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    program = "import sys; from nnsym.check.command import main; print(main(sys.argv[1:]), *sorted(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", program, str(packed), "--engine", "fast"], capture_output=True, text=True, check=False
    )
    assert ran.stdout.startswith("accepted"), ran.stdout
    assert not {"torch", "onnx", "onnxruntime", "scipy", "nnsym.ir", "nnsym.lang"} & set(ran.stdout.split())
    broken = json.loads(path.read_text())
    broken["tree"] = [["l"], ["l"]]
    path.write_text(json.dumps(broken))
    ran = subprocess.run([sys.executable, "-m", "nnsym.check", str(path)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (10, "refused: token 1: the tree has ended, tokens are left\n")


def test_what_one_engine_found_is_nothing_to_the_other() -> None:
    """The fast engine bounds the root, then meets a multiplier beyond its range: the reference begins anew."""
    tree = [["b"], ["x", 0, 0], ["l", [[0, 1]]], ["l", [[0, 1e9]]]]
    for claim, holds in (("(assert (>= y[0] 1.5))", False), ("(assert (>= y[0] 4.5))", True)):
        report = Checker(made(claim, [["b"], ["r", 0, 0], ["l", [[0, 1e9]]], ["l", [[0, 1e9]]]]), {}).run(failures=True)
        assert report.engine == "reference"
        assert (not report.failures) == holds
        checker = Checker(made(claim, tree), {})
        below(checker)
        report = checker.run(failures=True)
        assert report.engine == "reference"
        assert (not report.failures) == holds
