"""A stranger's test: one file for each door, written by docs/guests.md, installed, and used wherever ours are.

Each is used by name, from a distribution on the path of a process of its own, and as an object, of modules that no
distribution offers. Its twins with one place changed are refused by its kit.
"""

from __future__ import annotations

import ast
import importlib
import io
import json
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nnsym.encode.registry import find_encoding
from nnsym.testing.check_activation import check_activation
from nnsym.testing.check_bounds import check_bounds
from nnsym.testing.check_encoding import check_encoding
from nnsym.testing.check_method import check_method
from nnsym.testing.check_solver import check_solver
from tests.strangers import FILES, POINTS, PROPERTY, ROOT, TWINS, install, python

MOST = 30


def logic(source: str) -> int:
    """The lines of a file that hold code, without imports and docstrings."""
    skipped: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if text or isinstance(node, (ast.Import, ast.ImportFrom)):
            assert isinstance(node, ast.stmt)
            skipped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return len({t.start[0] for t in tokens if t.type not in blank} - skipped)


def test_every_door_has_one_file_of_few_lines() -> None:
    assert sorted(m for modules in POINTS.values() for m in modules.values()) == sorted(FILES)
    assert set(POINTS) == {f"nnsym.{door}" for door in ("encodings", "solvers", "bounds", "methods", "activations")}
    counted = {module: logic(source) for module, source in FILES.items()}
    assert all(lines <= MOST for lines in counted.values()), counted
    assert {module for module, *_ in TWINS} == set(FILES)


@pytest.mark.slow
def test_the_files_are_formatted_linted_and_typed_as_ours_are(tmp_path: Path) -> None:
    for module, source in FILES.items():
        (tmp_path / f"{module}.py").write_text(source)
    for tool in (["ruff", "format", "--check"], ["ruff", "check"], ["mypy", "--cache-dir", str(tmp_path / "cache")]):
        config = "--config-file" if tool[0] == "mypy" else "--config"
        command = [sys.executable, "-m", *tool, config, str(ROOT / "pyproject.toml"), *map(str, tmp_path.glob("*.py"))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr


BY_NAME = """
MINE, CUT, SCIPY, HALVED, DICE, SILU = "mine", "line-parallel+above", "scipy", "halved", "dice", "acme_silu"
"""

AS_OBJECTS = """
from acme_activation import SILU
from acme_bounds import HALVED
from acme_cut import ABOVE
from acme_encoding import MINE
from acme_method import DICE
from acme_solver import SCIPY
from nnsym.encode.registry import find_encoding

CUT = find_encoding("line-parallel") + ABOVE
"""

USE = """
import json
import traceback

import nnsym as nn
from nnsym.ask.export import build_program
from nnsym.program import Tag
from prop import f, p, x, y

unit = nn.box(x, -1, 1)


def rows(*methods, **options):
    return [[r.method, r.solver, r.bounds, r.error, r.margin] for r in nn.compare(p, [*methods], **options).rows]


def legend(picture):
    return [text.get_text().split("  ")[0] for text in picture.legends[0].get_texts()]


def reach(*methods):
    return legend(nn.draw_reach(f, (-1, 1), methods=methods, samples=50, path="reach.png"))


def exported(suffix, **options):
    return nn.export(p, f"model{suffix}", **options).read_text()


def encoding():
    told["verify"] = [nn.verify(p, e, optimise=True, timeout=60).lower for e in (MINE, "bigm")]
    told["smt"] = nn.verify(p, nn.smt(MINE)).status.value
    told["compare"] = rows(MINE, "triangle", bounds="ibp")
    told["export"] = [exported(suffix, encoding=MINE) for suffix in (".lp", ".mps", ".smt2")]
    told["pyomo"] = type(nn.to_pyomo(p, encoding=MINE)).__name__
    told["draw"] = [legend(nn.draw([MINE, "triangle"], path="neuron.svg")), reach("ibp", MINE)]
    told["explain"] = str(nn.explain(p, MINE, neuron="relu_2[0]", bounds="ibp"))
    least = nn.minimize(y[0] - y[1], where=unit, method=MINE)
    told["minimum"] = [least.lower, least.upper]
    told["lp"] = nn.verify(p, "bigm", bounds=nn.lp("triangle").bounds).status.value


def cut():
    told["verify"] = [nn.verify(p, e, bounds="ibp", optimise=True).lower for e in ("line-parallel", CUT, "triangle")]
    told["compare"] = rows(CUT, bounds="ibp")
    _, program, _ = build_program(p, CUT, bounds="ibp")
    told["rows"] = [program.meta["cuts"], sum(len(b) for b in program.rows if b.tag is Tag.CUT)]
    told["export"] = exported(".lp", encoding=CUT, bounds="ibp")
    told["draw"] = [legend(nn.draw(CUT)), reach(CUT)]


def solver():
    done = nn.verify(p, "bigm", solver=SCIPY, optimise=True)
    told["verify"] = [done.solver, done.lower]
    told["compare"] = rows("bigm", "triangle", solvers=["highs", SCIPY])
    told["draw"] = reach(nn.milp("bigm", solver=SCIPY))
    told["minimum"] = nn.minimize(y[0] - y[1], where=unit, method="bigm", solver=SCIPY).lower


def bounds():
    told["verify"] = [[r.method, r.bounds, r.lower] for r in (nn.verify(p, HALVED), nn.verify(p, "ibp"))]
    told["feeds"] = nn.verify(p, "triangle", bounds=HALVED).bounds
    told["table"] = nn.bounds(p, method=HALVED).source
    told["compare"] = rows(HALVED, "triangle", bounds=["ibp", HALVED])
    told["export"] = exported(".lp", bounds=HALVED)
    told["draw"] = reach(HALVED, nn.lp("triangle", bounds=HALVED))
    told["minimum"] = nn.minimize(y[0] - y[1], HALVED, where=unit).lower
    nn.explain(p, "triangle", neuron="relu_2[0]", bounds=HALVED)


def method():
    told["verify"] = [[r.method, r.bounds, r.lower, r.upper] for r in (nn.verify(p, DICE), nn.verify(p, "ibp"))]
    told["compare"] = rows(DICE, "ibp")
    told["draw"] = reach("ibp", DICE)
    least = nn.minimize(y[0] - y[1], DICE, where=unit)
    told["minimum"] = [least.method, least.lower < least.upper < 0]
    radius = nn.radius(f, [0.1, 0.2, 0.3], 0, high=2.0, method=DICE, precision=0.01)
    told["radius"] = [0 < radius.certified < 1, radius.results[-1][1].method]


def activation():
    global p
    layers = [([[1, -1, 2], [2, 1, -1], [0, 1, 1]], [0, 0, 1]), ([[1, 1, -1]], None)]
    p = nn.forall(x, where=unit, then=nn.sequential(layers, activation=SILU)(x)[0] >= -9, name="curved")
    told["compare"] = rows("ibp", "crown", nn.lp("triangle", optimise=True), nn.lp("triangle+tangents", optimise=True))
    told["verify"] = [nn.verify(p, method).status.value for method in ("crown", "triangle")]
    told["seen"] = min(p.margin([a, b, c]) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1))
    told["term"] = nn.verify(nn.forall(x, where=unit, then=nn.apply(SILU, x)[0] >= -0.28), "crown").status.value
    told["export"] = exported(".lp", encoding="triangle")
    told["draw"] = legend(nn.draw("triangle", op=SILU))


everything = {}
for door in (encoding, cut, solver, bounds, method, activation):
    told = everything[door.__name__] = {}
    try:
        door()
    except Exception:
        told["failed"] = traceback.format_exc()
print(json.dumps(everything))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, as an installer leaves it."""
    site = tmp_path_factory.mktemp("site")
    install(site, "acme", {**FILES, "prop": PROPERTY}, POINTS)
    return site


Ask = Callable[[str], Mapping[str, Any]]


@pytest.fixture(scope="module", params=[BY_NAME, AS_OBJECTS], ids=["by name", "as an object"])
def ask(request: pytest.FixtureRequest, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """What is told of each door's guest: by the package, or by modules that merely lie on the path."""
    pytest.importorskip("matplotlib", reason="pictures need the extra 'report'")
    site = installed
    if request.param is AS_OBJECTS:
        site = tmp_path_factory.mktemp("modules")
        for module, source in {**FILES, "prop": PROPERTY}.items():
            (site / f"{module}.py").write_text(source)
    everything = json.loads(python(site, "-", text=request.param + USE))

    def told(door: str) -> Mapping[str, Any]:
        assert "failed" not in everything[door], everything[door]["failed"]
        return dict(everything[door])

    return told


@pytest.mark.slow
def test_an_encoding(ask: Ask) -> None:
    told = ask("encoding")
    assert told["verify"][0] == pytest.approx(told["verify"][1], abs=1e-6)
    (name, _, _, error, exact), (*_, triangle) = told["compare"]
    assert (name, error) == ("mine", "")
    assert triangle < exact
    lp, mps, smt = told["export"]
    assert "y <= b h + N (1 - z)" in lp
    assert "relu_2[0].phase" in mps
    assert "(set-logic QF_LRA)" in smt
    assert told["smt"] == told["lp"] == "verified"
    assert told["pyomo"] == "ConcreteModel"
    assert told["draw"] == [
        ["mine", "triangle", "the same set: mine, triangle", "relu(h)"],
        ["ibp", "mine", "samples"],
    ]
    assert "y <= b h + N (1 - z)" in told["explain"]
    assert told["minimum"][0] <= told["minimum"][1] < told["minimum"][0] + 1e-5


@pytest.mark.slow
def test_cuts(ask: Ask) -> None:
    told = ask("cut")
    without, cut, triangle = told["verify"]
    assert without < cut <= triangle + 1e-9
    ((name, _, _, error, _),) = told["compare"]
    assert (name, error) == ("line-parallel+above", "")
    said, count = told["rows"]
    assert count > 0
    assert said.startswith(f"{count} rows; relaxation ")
    assert "y >= b h" in told["export"]
    assert told["draw"][1] == ["line-parallel+above", "samples"]


@pytest.mark.slow
def test_a_solver(ask: Ask) -> None:
    told = ask("solver")
    assert told["verify"][0] == "scipy"
    assert [row[:2] for row in told["compare"]] == [
        [method, solver] for method in ("bigm", "triangle") for solver in ("highs", "scipy")
    ]
    for highs, scipy in zip(told["compare"][::2], told["compare"][1::2], strict=True):
        assert scipy[3] == ""
        assert scipy[4] == pytest.approx(highs[4], abs=1e-5)
    assert told["verify"][1] == pytest.approx(told["compare"][0][4], abs=1e-5)
    assert told["draw"] == ["bigm", "samples"]
    assert told["minimum"] == pytest.approx(told["verify"][1] - 3, abs=1e-5)


@pytest.mark.slow
def test_a_source_of_bounds(ask: Ask) -> None:
    told = ask("bounds")
    (*mine, lower), (_, _, loose) = told["verify"]
    assert mine == ["halved", "halved"]
    assert lower > loose
    assert told["feeds"] == told["table"] == "halved"
    assert [[row[0], row[2], row[3]] for row in told["compare"]] == [
        ["halved", "halved", ""], ["triangle", "ibp", ""], ["triangle", "halved", ""],
    ]  # fmt: skip
    assert "halved" in told["export"]
    assert told["draw"] == ["halved", "triangle", "samples"]
    assert told["minimum"] == pytest.approx(lower - 3)


@pytest.mark.slow
def test_a_method(ask: Ask) -> None:
    told = ask("method")
    (*mine, lower, upper), (_, _, loose, above) = told["verify"]
    assert (mine, lower) == (["dice", "ibp"], loose)
    assert upper < above
    assert [row[:4] for row in told["compare"]] == [["dice", "", "ibp", ""], ["ibp", "", "ibp", ""]]
    assert told["draw"] == ["ibp", "dice", "the same set: ibp, dice", "samples"]
    assert told["minimum"] == ["dice", True]
    assert told["radius"] == [True, "dice"]


@pytest.mark.slow
def test_an_activation(ask: Ask) -> None:
    told = ask("activation")
    lower = [row[4] for row in told["compare"]]
    assert lower == sorted(lower)
    assert lower[0] < lower[-1] <= told["seen"]
    assert lower[2] < lower[3]
    assert told["verify"] == ["verified", "verified"]
    assert told["term"] == "verified"
    assert "relu" not in told["export"]
    assert told["draw"] == ["triangle", "acme_silu(h)"]


@pytest.mark.slow
def test_the_command_line_has_what_a_package_offers(installed: Path) -> None:
    site = installed
    cli = ("-m", "nnsym.cli.main")
    listed = python(site, *cli, "methods")
    assert all(word in listed for word in ("mine ", "M and N", "+above", "halved", "two halves", "dice"))
    assert "scipy" in python(site, *cli, "solvers")
    run = ("verify", "prop.py:p", "--encoding", "mine", "--solver", "scipy", "--bounds", "halved", "--optimise")
    told = json.loads(python(site, *cli, *run, "--json"))
    assert (told["status"], told["encoding"], told["solver"]) == ("verified", "mine", "scipy")
    run = ("compare", "prop.py:p", "--methods", "mine,line-parallel+above", "--solvers", "highs,scipy")
    rows = json.loads(python(site, *cli, *run, "--json"))["rows"]
    assert [(r["method"], r["solver"]) for r in rows[:2]] == [("mine", "highs"), ("mine", "scipy")]
    assert rows[0]["lower"] == pytest.approx(rows[1]["lower"], abs=1e-5)
    assert [r["verdict"] for r in rows] == ["verified"] * 4


#: What each kit asks of the one thing in a module: enough for the right one to pass and every twin to be refused.
KITS: Mapping[str, Callable[[Any], Any]] = {
    "acme_encoding": lambda m: check_encoding(m.MINE, kinds=("dense", "leaky"), seeds=range(2), bounds=("ibp",)),
    "acme_cut": lambda m: check_encoding(
        find_encoding("line-parallel") + m.ABOVE, kinds=("dense", "leaky"), seeds=range(2), bounds=("ibp",)
    ),
    "acme_solver": lambda m: check_solver(m.SCIPY),
    "acme_bounds": lambda m: check_bounds(m.HALVED, kinds=("dense",)),
    "acme_method": lambda m: check_method(m.DICE, kinds=("dense",)),
    "acme_activation": lambda m: check_activation(m.SILU),
}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Any]]:
    """Import a source as a module that workers find too."""
    monkeypatch.syspath_prepend(tmp_path)
    made: list[str] = []

    def loaded(name: str, source: str) -> Any:
        (tmp_path / f"{name}.py").write_text(source)
        made.append(name)
        return importlib.import_module(name)

    yield loaded
    for name in made:
        del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize("module", FILES)
def test_its_kit_takes_each(module: str, load: Callable[[str, str], Any]) -> None:
    KITS[module](load(f"right_{module}", FILES[module]))


@pytest.mark.slow
@pytest.mark.parametrize(("module", "wrong", "right", "says"), TWINS)
def test_its_kit_refuses_a_twin(
    module: str, wrong: str, right: str, says: str, load: Callable[[str, str], Any]
) -> None:
    assert FILES[module].count(right) == 1
    twin = f"twin_{module}_{TWINS.index((module, wrong, right, says))}"
    with pytest.raises(AssertionError, match=says) as refused:
        KITS[module](load(twin, FILES[module].replace(right, wrong)))
    assert type(refused.value).__name__ == "ConformanceError"


@pytest.mark.slow
@pytest.mark.parametrize(("wrong", "right"), [twin[1:3] for twin in TWINS if twin[0] == "acme_encoding"][::2])
def test_the_neuron_that_is_wrong_is_drawn(
    wrong: str, right: str, load: Callable[[str, str], Any], tmp_path: Path
) -> None:
    twin = load("drawn", FILES["acme_encoding"].replace(right, wrong)).MINE
    picture = tmp_path / "wrong.svg"
    with pytest.raises(AssertionError, match=r"drawn in .*wrong\.svg"):
        check_encoding(twin, kinds=("leaky",), bounds=("ibp",), picture=picture)
    assert picture.stat().st_size > 10_000
