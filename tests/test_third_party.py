"""Third parties: packages found by entry points, objects that live in a notebook, and what goes wrong with either.

A package here is what an installer leaves behind, a module and its ``dist-info``, in a folder on the path of a process
of its own. All that its author read is docs/extending.md.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import nnsym as nn
from nnsym.encode.registry import GROUP, collect, encodings, find_encoding, providers
from nnsym.encoding import Cut, Encoding
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.univariate import Sigmoidal
from nnsym.solvers.registry import lanes
from nnsym.solvers.workers.runner import End, Job, Pool
from nnsym.testing.check_encoding import ConformanceError, check_encoding

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]

ENCODING = '''
from nnsym.encode.rules import open_hinges, require_finite
from nnsym.encoding import Encoding, Exactness, Form, NodeRule
from nnsym.ir.node import Pointwise
from nnsym.ir.outward import product_up, sum_up
from nnsym.ir.univariate import Hinge
from nnsym.program import Feature, Kind


def rule(ctx, node, args):
    """y = max(a h, b h):  y >= a h    y >= b h    y <= a h + M z    y <= b h + N (1 - z)"""
    ids, o = open_hinges(ctx, node, args[0])
    require_finite(ctx, node.parents[0], o.l, o.u, o.index)
    z = ctx.columns(node, "phase", o.index, 0.0, 1.0, kind=Kind.BINARY)
    M, N = product_up(sum_up(o.b, -o.a), o.u), product_up(sum_up(o.b, -o.a), -o.l)
    ctx.rows(node, [(o.sign, o.y), (-o.a, o.h)], lower=0.0, says="y >= a h")
    ctx.rows(node, [(o.sign, o.y), (-o.b, o.h)], lower=0.0, says="y >= b h")
    ctx.rows(node, [(o.sign, o.y), (-o.a, o.h), (-M, z)], upper=0.0, says="y <= a h + M z")
    ctx.rows(node, [(o.sign, o.y), (-o.b, o.h), (N, z)], upper=N, says="y <= b h + N (1 - z)")
    return ids


MINE = Encoding(
    name="mine", summary="M and N", source="nobody", form=Form.MARGIN,
    emits=frozenset({Feature.ROWS, Feature.BINARIES}),
    rules=(NodeRule(Pointwise, Exactness.EXACT, rule, Hinge),),
)
'''

LINE = '''
def parallel(ctx, node, args):
    """The chord, and y above its parallel through the origin."""
    ids, o = open_hinges(ctx, node, args[0])
    ctx.rows(node, [(o.sign, o.y), (-o.b * o.u / (o.u - o.l), o.h)], lower=0.0, says="y >= s h")
    chord(ctx, node, o)
    return ids


LINE = Encoding(
    name="mine-line", summary="one line below", source="nobody", form=Form.MARGIN, emits=frozenset({Feature.ROWS}),
    rules=(NodeRule(Pointwise, Exactness.OUTER, parallel, Hinge),),
)
'''

CUT = '''
import numpy as np
from nnsym.builder import row_block
from nnsym.encoding import Cut
from nnsym.program import Tag


class Above(Cut):
    """y >= 0 and y >= h, for open ReLUs."""

    def separator(self, scene):
        def separate(point):
            for layer in scene.layers:
                o = layer.hinges
                bad = np.flatnonzero(o.b * point[o.h] - o.sign * point[o.y] > scene.tolerance)
                terms = [(o.sign[bad], o.y[bad]), (-o.b[bad], o.h[bad])]
                yield row_block(terms, lower=0.0, tag=Tag.CUT, origin=f"{layer.name}: y >= b h")

        return separate


above = Above(name="above", summary="y >= b h", source="nobody")
'''

SOURCE = """
from dataclasses import dataclass

from nnsym.bounds.methods import find_source
from nnsym.bounds.sources import Source


@dataclass(frozen=True, kw_only=True)
class Weaker(Source):
    \"\"\"Intervals and the lines of the rows, whichever is tighter.\"\"\"

    name: str = "weaker"
    summary: str = "ibp, and crown-ibp after it"
    paper: str = "nobody"
    turns: int = 1

    @property
    def text(self):
        return f"weaker:{self.turns}"

    def parse(self, parameters):
        return Weaker(turns=int(parameters))

    def compute(self, query, boxes=None, *, device="cpu", dtype="float64"):
        found = find_source("ibp").until(self.deadline).compute(query, boxes, device=device, dtype=dtype)
        for _ in range(self.turns):
            lines = find_source("crown-ibp").until(self.deadline).compute(query, boxes, device=device, dtype=dtype)
            found = lines if found.ended else found
        return found


SOURCES = (Weaker(),)
"""

METHOD = """
from dataclasses import dataclass

import numpy as np

from nnsym.bounds.methods import compute, find_source, margin
from nnsym.judge.method import Establisher, established
from nnsym.judge.probe import margins


@dataclass(frozen=True, kw_only=True)
class Sampling(Establisher):
    name: str = "sampling"
    summary: str = "a few random points, and intervals"
    paper: str = "nobody"
    bounds: str = "ibp"
    points: int = 200

    def establish(self, query, clock, settings):
        source = find_source(self.bounds).until(clock.deadline(), memory=settings.memory)
        computed = compute(query, source, device=settings.device)
        rng, n = np.random.default_rng(settings.seed), self.points
        drawn = {x: rng.uniform(*np.clip(box.outer, -1e3, 1e3), (n, x.size)) for x, box in query.boxes.items()}
        best = np.argsort(margins(query, drawn))[:5]
        points = [{x: v[k] for x, v in drawn.items()} for k in best]
        lower = margin(query, computed)
        return established(query, clock, lower=lower, points=points, bounds=self.bounds, ended=computed.ended)


METHODS = (Sampling(),)
"""

SOLVER = """
from dataclasses import dataclass

import numpy as np

from nnsym.solvers.base import Availability, Status
from nnsym.solvers.cases import Found
from nnsym.solvers.lane import LINEAR, solve_linear

WORDS = {0: Status.OPTIMAL, 1: Status.TIME_LIMIT, 2: Status.INFEASIBLE}  # what is not listed is unknown


@dataclass(frozen=True)
class Scipy:
    name: str = "scipy"
    accepts: frozenset = LINEAR
    exact: bool = False

    def availability(self):
        return Availability(available=True, licence="BSD-3-Clause")

    def solve(self, program, limits, goal, progress=None):
        return solve_linear(self.name, __name__, program, limits, goal, progress)


def run(job, report):
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    m = job.model
    rows = csr_array((m.data, m.indices, m.indptr), shape=(len(m.row_lower), len(m.lower)))
    options = {"time_limit": report.remaining(), "mip_rel_gap": 0.0}
    constraints = [LinearConstraint(rows, m.row_lower, m.row_upper)] if len(m.row_lower) else []
    end = milp(m.cost, integrality=m.integer, bounds=Bounds(m.lower, m.upper), constraints=constraints, options=options)
    found = Found(status=WORDS.get(end.status, Status.UNKNOWN), raw=str(end.status))
    if end.mip_dual_bound is not None and found.status is Status.OPTIMAL:
        found.bound = end.mip_dual_bound
    if found.status is Status.OPTIMAL and m.objective < 0:
        found.status = Status.FEASIBLE  # there is nothing to be optimal
    if end.x is not None:
        found.objective, found.point = float(m.cost @ end.x), end.x
    return found


SOLVERS = (Scipy(),)
"""

PACKAGE = (
    f"{ENCODING}\nfrom nnsym_encodings.triangle import chord\n{LINE}\n{CUT}\nENCODINGS, CUTS = (MINE, LINE), (above,)\n"
)

PROPERTY = """
import nnsym as nn

x = nn.Variable(3, name="x")
f = nn.zoo.random_mlp(5, widths=(3, 6, 6, 2))
y = f(x)
p = nn.forall(x, where=nn.box(x, -1, 1), then=y[0] - y[1] >= -3, name="small")
"""


def install(site: Path, distribution: str, modules: dict[str, str], points: dict[str, str]) -> None:
    """What an installer leaves of a package: its modules, and a dist-info with its entry points, group by group."""
    for module, source in modules.items():
        (site / f"{module}.py").write_text(source)
    info = site / f"{distribution.replace('-', '_')}-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\nx = {module}\n" for group, module in points.items()))


def python(site: Path, *arguments: str, text: str | None = None, code: int = 0) -> str:
    """What a process prints whose path has the site; both streams where it is to fail."""
    path = os.pathsep.join(map(str, (site, ROOT, ROOT / "encodings")))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=site,
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == code, done.stderr
    return done.stdout + (done.stderr if code else "")


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package of an encoding, a relaxation, a family of cuts and a solver, and a property."""
    site = tmp_path_factory.mktemp("site")
    points = {GROUP: "acme", "nnsym.solvers": "acme_solvers", "nnsym.bounds": "acme_bounds"}
    points["nnsym.methods"] = "acme_methods"
    modules = {"acme": PACKAGE, "acme_solvers": SOLVER, "acme_bounds": SOURCE, "prop": PROPERTY, "acme_methods": METHOD}
    install(site, "acme-encodings", modules, points)
    return site


USE = """
import json, sys
import nnsym as nn
from prop import f, p, x, y
from nnsym.ask.export import build_program
from nnsym.program import Tag
from nnsym.solvers.registry import find
from nnsym.testing.check_encoding import check_encoding
from nnsym.testing.check_solver import check_solver

told = {}
told["margin"] = [nn.verify(p, e, optimise=True, timeout=60).lower for e in (ENCODING, "bigm")]
table = nn.compare(p, [ENCODING, LINE, "triangle"], bounds="ibp")
told["compare"] = [[row.method, row.error, row.margin] for row in table.rows]
told["files"] = [nn.export(p, f"model{s}", encoding=ENCODING).read_text() for s in (".lp", ".mps", ".smt2")]
told["smt"] = nn.verify(p, nn.smt(ENCODING)).status.value
names = [t.get_text() for t in nn.draw([ENCODING, LINE], path="neuron.svg").legends[0].get_texts()]
told["draw"] = names
reach = nn.draw_reach(f, (-1, 1), methods=("ibp", LINE), samples=50, path="reach.png")
told["reach"] = [t.get_text() for t in reach.legends[0].get_texts()]
told["pyomo"] = type(nn.to_pyomo(p, encoding=ENCODING)).__name__
told["explain"] = str(nn.explain(p, ENCODING, neuron="relu_2[0]", bounds="ibp"))
low = nn.minimize(y[0] - y[1], where=nn.box(x, -1, 1), method=ENCODING)
told["minimum"] = [low.lower, low.upper]
told["cuts"] = []
for name in CUT:
    _, program, _ = build_program(p, name, bounds="ibp")
    rows = sum(len(b) for b in program.rows if b.tag is Tag.CUT)
    told["cuts"].append([program.meta["cuts"], rows, nn.verify(p, name, bounds="ibp", optimise=True).lower])
told["lp"] = nn.verify(p, ENCODING, bounds=LP).status.value
check_encoding(ENCODING, kinds=("dense", "leaky"), seeds=range(1), bounds=("ibp",))
check_encoding(CUT[0], kinds=("dense",), seeds=range(1), bounds=("ibp",))
"""

BY_NAME = """
ENCODING, LINE, CUT, LP = "mine", "mine-line", ["mine-line+above", "mine-line+above+tj"], "lp:mine-line+above"
"""

IN_A_NOTEBOOK = f"""
{ENCODING}
from nnsym_encodings import TJANDRAATMADJA
from nnsym_encodings.triangle import chord
{LINE}
{CUT}
ENCODING, LP, CUT = MINE, "lp", [LINE + above, LINE + above + TJANDRAATMADJA]
"""


@pytest.mark.parametrize("said", [BY_NAME, IN_A_NOTEBOOK], ids=["by entry point", "as an object of a notebook"])
def test_an_encoding_works_wherever_ours_do(acme: Path, said: str) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra 'report'")
    site = acme if said == BY_NAME else acme / "notebook"
    if site is not acme:
        site.mkdir(exist_ok=True)
        (site / "prop.py").write_text(PROPERTY)
    told = json.loads(python(site, "-", text=said + USE + "print(json.dumps(told))"))
    assert told["margin"][0] == pytest.approx(told["margin"][1], abs=1e-6)
    assert [row[:2] for row in told["compare"]] == [["mine", ""], ["mine-line", ""], ["triangle", ""]]
    exact, line, triangle = (row[2] for row in told["compare"])
    assert line < triangle < exact
    lp, mps, smt = told["files"]
    assert "y <= b h + N (1 - z)" in lp
    assert "relu_2[0].phase" in mps
    assert "(set-logic QF_LRA)" in smt
    assert told["smt"] == told["lp"] == "verified"
    assert told["draw"] == ["mine-line  (area 1.67)", "mine  (area 1)", "relu(h)"]
    assert (site / "neuron.svg").read_text().startswith("<?xml")
    assert [t.split("  ")[0] for t in told["reach"]] == ["ibp", "mine-line+highs", "samples"]
    assert (site / "reach.png").stat().st_size > 10_000
    assert "y <= b h + N (1 - z)" in told["explain"]
    assert told["minimum"][0] <= told["minimum"][1] < told["minimum"][0] + 1e-5
    (said_one, rows_one, one), (said_two, rows_two, two) = told["cuts"]
    assert said_one.startswith(f"{rows_one} rows; relaxation ")
    assert said_two.startswith(f"{rows_two} rows; relaxation ")
    assert rows_one > 0
    assert line < one <= two + 1e-9 <= exact + 1e-6


def test_the_command_line_has_what_a_package_offers(acme: Path) -> None:
    listed = python(acme, "-m", "nnsym.cli.main", "methods")
    assert all(
        word in listed
        for word in ("mine ", "mine-line", "+above", "M and N", "weaker", "crown-ibp after it", "sampling")
    )
    assert "scipy" in python(acme, "-m", "nnsym.cli.main", "solvers")
    run = ("-m", "nnsym.cli.main", "verify", "prop.py:p", "--encoding", "mine", "--solver", "scipy", "--optimise")
    told = json.loads(python(acme, *run, "--json"))
    assert (told["status"], told["encoding"], told["solver"]) == ("verified", "mine", "scipy")
    run = (
        "compare",
        "prop.py:p",
        "--methods",
        "mine,mine-line+above",
        "--solvers",
        "highs,scipy",
        "--json",
        "table.json",
    )
    python(acme, "-m", "nnsym.cli.main", *run)
    rows = json.loads((acme / "table.json").read_text())["rows"]
    assert [(r["method"], r["solver"]) for r in rows[:2]] == [("mine", "highs"), ("mine", "scipy")]
    assert rows[0]["lower"] == pytest.approx(rows[1]["lower"], abs=1e-5)
    assert [r["verdict"] for r in rows] == ["verified"] * 4


BOUNDED = """
import json
import nnsym as nn
from prop import f, p, x, y

told = {}
ours, theirs = ((nn.verify(p, s), nn.verify(p, "triangle", bounds=s), nn.bounds(p, method=s)) for s in ("ibp", SOURCE))
told["same"] = [[a.lower, b.lower] for a, b in zip(ours, theirs)]
told["bounds"] = [theirs[0].method, theirs[1].bounds, theirs[2].source]
table = nn.compare(p, [SOURCE, "triangle"], bounds=["ibp", SOURCE])
told["compare"] = [[row.method, row.bounds, row.error] for row in table.rows]
told["export"] = SOURCE_TEXT in nn.export(p, "bounded.lp", bounds=SOURCE).read_text()
told["minimum"] = nn.minimize(y[0] - y[1], SOURCE, where=nn.box(x, -1, 1)).lower
nn.explain(p, "triangle", neuron="relu_2[0]", bounds=SOURCE)
nn.draw_reach(f, (-1, 1), methods=(SOURCE, nn.lp("triangle", bounds=SOURCE)), samples=50)
print(json.dumps(told))
"""


@pytest.mark.parametrize(
    ("said", "text"),
    [('SOURCE = "weaker:2"\n', "weaker:2"), (f"{SOURCE}\nSOURCE = Weaker(turns=3)\n", "weaker:3")],
    ids=["by entry point", "as an object of a notebook"],
)
def test_a_source_of_bounds_works_wherever_ours_do(acme: Path, said: str, text: str) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra 'report'")
    site = acme if "class" not in said else acme / "bounded"
    if site is not acme:
        site.mkdir(exist_ok=True)
        (site / "prop.py").write_text(PROPERTY)
    told = json.loads(python(site, "-", text=f"{said}SOURCE_TEXT = {text!r}\n{BOUNDED}"))
    assert all(mine == theirs for mine, theirs in told["same"])
    assert told["bounds"] == [text] * 3
    assert told["compare"] == [[text, text, ""], ["triangle", "ibp", ""], ["triangle", text, ""]]
    assert told["export"]


JUDGED = """
import json
import nnsym as nn
from prop import f, p, x, y

told = {}
one, ibp = nn.verify(p, METHOD), nn.verify(p, "ibp")
told["verify"] = [one.method, one.bounds, one.lower == ibp.lower, one.upper < ibp.upper]
table = nn.compare(p, [METHOD, "ibp"])
told["compare"] = [[row.method, row.solver, row.bounds, row.goal, row.error] for row in table.rows]
least = nn.minimize(y[0] - y[1], METHOD, where=nn.box(x, -1, 1))
told["minimum"] = [least.method, least.lower < least.upper < 0]
radius = nn.radius(f, [0.1, 0.2, 0.3], 0, high=2.0, method=METHOD, precision=0.01)
told["radius"] = [0 < radius.certified < 1, radius.results[-1][1].method]
reach = nn.draw_reach(f, (-1, 1), methods=("ibp", METHOD), samples=50)
told["reach"] = [t.get_text() for t in reach.legends[0].get_texts()]
print(json.dumps(told))
"""


@pytest.mark.parametrize(
    "said", ['METHOD = "sampling"\n', f"{METHOD}\nMETHOD = METHODS[0]\n"], ids=["by entry point", "as an object"]
)
def test_a_method_works_wherever_ours_do(acme: Path, said: str) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra 'report'")
    site = acme if "class" not in said else acme / "judged"
    if site is not acme:
        site.mkdir(exist_ok=True)
        (site / "prop.py").write_text(PROPERTY)
    told = json.loads(python(site, "-", text=said + JUDGED))
    assert told["verify"] == ["sampling", "ibp", True, True]
    assert told["compare"] == [["sampling", "", "ibp", "decide", ""], ["ibp", "", "ibp", "bounds", ""]]
    assert told["minimum"] == ["sampling", True]
    assert told["radius"] == [True, "sampling"]
    ibp, sampling = (text.split("  ") for text in told["reach"][:2])
    assert (ibp[0], sampling[0]) == ("ibp", "sampling")
    assert ibp[1] == sampling[1]


def test_a_solver_of_a_package_passes_the_kit(acme: Path) -> None:
    kit = "from nnsym.solvers.registry import find\nfrom nnsym.testing.check_solver import check_solver\n"
    python(acme, "-", text=f"{kit}check_solver(find('scipy'))")


def test_one_name_of_two_packages_is_an_error_that_names_both(tmp_path: Path) -> None:
    install(tmp_path, "acme-encodings", {"acme": PACKAGE}, {GROUP: "acme"})
    install(tmp_path, "other-encodings", {"other": f"{ENCODING}\nENCODINGS = (MINE,)"}, {GROUP: "other"})
    (tmp_path / "prop.py").write_text(PROPERTY)
    told = python(tmp_path, "-m", "nnsym.cli.main", "verify", "prop.py:p", "--encoding", "mine", code=2)
    assert "encoding 'mine': offered by both 'acme (acme-encodings 0.3)' and 'other (other-encodings 0.3)'" in told
    assert "Rename one, or uninstall one of the packages" in told


def test_a_name_of_ours_cannot_be_taken(tmp_path: Path) -> None:
    taken = f"{ENCODING}\nfrom dataclasses import replace\nENCODINGS = (replace(MINE, name='bigm'),)"
    install(tmp_path, "acme", {"acme": taken}, {GROUP: "acme"})
    told = python(tmp_path, "-m", "nnsym.cli.main", "methods", code=2)
    assert "offered by both 'nnsym_encodings" in told
    assert "and 'acme (acme 0.3)'" in told


def test_a_package_that_fails_is_left_out_and_said_to_be(tmp_path: Path) -> None:
    points = {GROUP: "broken", "nnsym.solvers": "wrong", "nnsym.bounds": "unsound", "nnsym.methods": "empty"}
    modules = {"broken": "import nowhere_at_all", "wrong": "SOLVERS = ['highs']", "unsound": "SOURCES = ('ibp',)"}
    modules["empty"] = ""
    install(tmp_path, "acme", modules, points)
    (tmp_path / "prop.py").write_text(PROPERTY)
    cli = ("-m", "nnsym.cli.main")
    assert "VERIFIED" in python(tmp_path, *cli, "verify", "prop.py:p", "--encoding", "triangle", "--solver", "highs")
    reason = "broken (acme 0.3): ModuleNotFoundError: No module named 'nowhere_at_all'"
    assert reason in python(tmp_path, *cli, "verify", "prop.py:p", "--encoding", "mine", code=2)
    assert reason in python(tmp_path, *cli, "verify", "prop.py:p", "--encoding", "triangle+mine", code=2)
    told = python(tmp_path, *cli, "verify", "prop.py:p", "--encoding", "bigm", "--solver", "mine", code=2)
    assert "Left out: wrong (acme 0.3): SOLVERS has a str, expected a tuple of Solver" in told
    reason = "unsound (acme 0.3): SOURCES has a str, expected a tuple of Source"
    assert reason in python(tmp_path, *cli, "verify", "prop.py:p", "--bounds", "weaker", code=2)
    told = python(tmp_path, *cli, "verify", "prop.py:p", "--method", "sampling", code=2)
    assert "Left out" in told
    assert "empty (acme 0.3): the module has no METHODS" in told
    assert "left out" in python(tmp_path, *cli, "methods")
    assert "left out" in python(tmp_path, *cli, "solvers")


def test_a_method_of_the_name_of_an_encoding_is_an_error(tmp_path: Path) -> None:
    taken = METHOD.replace('"sampling"', '"mine"')
    points = {GROUP: "acme", "nnsym.methods": "other"}
    install(tmp_path, "acme", {"acme": PACKAGE, "other": taken}, points)
    told = python(tmp_path, "-m", "nnsym.cli.main", "methods", code=2)
    assert "method 'mine': also the name of an encoding" in told


@pytest.mark.parametrize(
    ("source", "point", "reason"),
    [
        ("x = 1", "m", "the module has no ENCODINGS or CUTS"),
        (f"{ENCODING}\nENCODINGS = (MINE)", "m", "ENCODINGS is a Encoding, expected a tuple of Encoding"),
        (f"{ENCODING}\nENCODINGS = (rule,)", "m", "ENCODINGS has a function, expected a tuple of Encoding"),
        (f"{ENCODING}\nENCODINGS = (MINE,)", "m:ENCODINGS", "the entry point names no module"),
        (f"{CUT}\nCUTS = (Above,)", "m", "CUTS has a ABCMeta, expected a tuple of Cut"),
        (f"{CUT}\nCUTS = (Above(name='a+b', summary='', source=''),)", "m", "CUTS has the name 'a+b'"),
        (f"{CUT}\nCUTS = (Above(name='crown', summary='', source=''),)", "m", "CUTS has the name 'crown'"),
        ("raise SystemExit(3)", "m", "SystemExit: 3"),
        (f"{CUT}\nCUTS = (above,)", "m", ""),
    ],
)
def test_what_a_package_offers_is_looked_at(tmp_path, monkeypatch, source, point, reason):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "m", raising=False)
    install(tmp_path, "acme", {"m": source}, {GROUP: point})
    ours, theirs = providers(GROUP, {"ENCODINGS": Encoding, "CUTS": Cut}, builtin="nnsym_encodings")
    assert ours.name.startswith("nnsym_encodings")
    assert ours.error == ""
    assert theirs.error.startswith(reason)
    assert bool(theirs.error) == bool(reason)
    assert len(theirs.items["CUTS"]) == (not reason)
    monkeypatch.delitem(sys.modules, "m", raising=False)


def test_a_name_twice_in_one_list_says_so():
    bigm = find_encoding("bigm")
    with pytest.raises(InputError, match=r"encoding 'bigm': offered twice by 'acme'"):
        collect({"acme": (bigm, bigm)})


@dataclass(frozen=True, kw_only=True)
class Nothing(Cut):
    name: str = "nothing"
    summary: str = "no row at all"
    source: str = "nobody"

    def separator(self, scene):
        return lambda point: ()


def test_what_is_no_encoding_or_solver_says_what_it_is():
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, 0, 1), then=x[0] >= 0)
    with pytest.raises(InputError, match=r"no encoding but a object\. Give a name, an nnsym.encoding.Encoding"):
        nn.verify(p, object())
    with pytest.raises(InputError, match=r"no encoding but a int"):
        nn.compare(p, [3])
    with pytest.raises(InputError, match=r"no encoding but a int"):
        nn.draw(3)
    with pytest.raises(
        InputError, match=r"no encoding but a Nothing\. Add it to an encoding: find_encoding\('triangle'\) \+"
    ):
        nn.verify(p, Nothing())
    with pytest.raises(InputError, match=r"a solver is a name or an object .*, not a int\. Known: highs"):
        nn.verify(p, "bigm", solver=3)


def test_a_solver_is_taken_as_an_object_wherever_a_name_is():
    guest = replace(lanes()["highs"], name="mine")
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.relu(x)[0] >= x[0] - 0.1)
    result = nn.verify(p, "bigm", solver=guest, timeout=20, shortcut=False)
    assert (result.status.value, result.solver) == ("verified", "mine")
    assert nn.verify(p, nn.milp("bigm", solver=guest), timeout=20).status.value == "verified"
    table = nn.compare(p, ["bigm", "smt"], solvers=["highs", guest])
    assert [row.solver for row in table.rows] == ["highs", "mine"] * 2
    assert "'mine' does not take" in table.rows[3].error
    assert nn.minimize(nn.relu(x)[0], where=nn.box(x, -1, 1), method="bigm", solver=guest).lower == pytest.approx(0)


def test_what_only_this_process_could_import_goes_to_a_worker_by_value():
    class Local(Nothing):
        """Has no name that a worker could import."""

    pool = Pool()
    try:
        sent = pool.run("lane", Job(module="worker_jobs", function="use_cut", payload=Local()))
        assert (sent.end, sent.value) == (End.DONE, ("nothing", ()))
        with pytest.raises(UnsupportedError, match=r"cannot be sent to a worker process: .*Keep open files, locks"):
            pool.run("lane", Job(module="worker_jobs", payload=(Local(), (k for k in "abc"))))
    finally:
        pool.close()


def test_a_job_that_a_worker_cannot_read_fails_at_once():
    pool = Pool()
    try:
        out = pool.run("lane", Job(module="worker_jobs", payload=Unreadable(), seconds=60))
        assert (out.end, out.error) == (End.FAILED, "ModuleNotFoundError: No module named 'nowhere_at_all'")
        assert out.seconds < 60
    finally:
        pool.close()


class Unreadable:
    """Pickles here; reading it needs a module that is nowhere."""

    def __reduce__(self):
        return __import__, ("nowhere_at_all",)


def variant(old: str, new: str) -> Encoding:
    """The encoding above with one place changed."""
    assert ENCODING.count(old) == 1
    namespace: dict[str, object] = {"__name__": "variant"}
    exec(ENCODING.replace(old, new), namespace)
    return namespace["MINE"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("(-o.a, o.h)], lower=0.0", "(o.a, o.h)], lower=0.0", "y >= a h"),
        ("(-M, z)", "(M, z)", "y <= a h"),
    ],
)
def test_a_flipped_sign_is_caught_and_drawn_with_a_point_that_is_cut_off(tmp_path, old, new, says):
    picture = tmp_path / "wrong.svg"
    wrong = variant(old, new)
    with pytest.raises(ConformanceError, match=rf"violates a row by .*{re.escape(says)}.*drawn in .*wrong\.svg"):
        check_encoding(wrong, kinds=("dense", "leaky"), seeds=range(3), bounds=("ibp",), solver="none", picture=picture)
    assert "mine cuts off (" in picture.read_text()


def test_a_sign_that_lets_too_much_in_is_caught_by_the_optimum_and_drawn(tmp_path):
    picture = tmp_path / "loose.png"
    with pytest.raises(ConformanceError, match=r"optimum .* margin .*drawn in .*loose\.png"):
        check_encoding(variant("(N, z)", "(-N, z)"), kinds=("dense",), bounds=("ibp",), picture=picture)
    assert picture.stat().st_size > 10_000


def test_a_rule_that_returns_no_columns_or_emits_what_it_does_not_say_is_named():
    with pytest.raises(
        InputError, match=r"relu_1: the rule of the encoding 'mine' returned NoneType, expected 4 column"
    ):
        check_encoding(variant("    return ids\n", ""), kinds=("dense",))
    with pytest.raises(InputError, match=r"relu_1: .* returned int64 of shape \(1, 4\), expected 4 column ids"):
        check_encoding(variant("    return ids\n", "    return ids[None]\n"), kinds=("dense",))
    implied = "ctx.implies(node, z, 1, [(o.sign, o.y), (-o.b, o.h)], upper=0.0"
    quiet = variant("ctx.rows(node, [(o.sign, o.y), (-o.b, o.h), (N, z)], upper=N", implied)
    with pytest.raises(InputError, match=r"encoding 'mine': its rules emit implications, which it does not declare"):
        check_encoding(quiet, kinds=("dense",))


def test_the_kit_runs_a_family_on_small_mixed_integer_programs_and_tells_if_it_fails():
    class Failing(Nothing):
        def separator(self, scene):
            raise ValueError("nothing to separate")

    for name in ("triangle", "bigm"):
        with pytest.raises(ConformanceError, match=r"no cuts were found: ValueError: nothing to separate"):
            check_encoding(find_encoding(name) + Failing(), kinds=("dense",), seeds=range(1))


def test_an_activation_is_one_object_and_has_every_bound_and_relaxation(tmp_path):
    class Softsign(Sigmoidal):
        """x / (1 + |x|)."""

        name, key = "softsign", "softsign"

        def value(self, x):
            return x / (1 + np.abs(x))

        def derivative(self, x):
            return (1 + np.abs(x)) ** -2.0

    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(4, 3)), rng.normal(size=4)), (rng.normal(size=(2, 4)), np.zeros(2))]
    x = nn.Variable(3, name="x")
    y = nn.sequential(layers, activation=Softsign())(x)
    p = nn.forall(x, where=nn.box(x, -1, 1), then=y[0] - y[1] >= -6)
    seen = min(p.margin(point) for point in rng.uniform(-1, 1, (500, 3)))
    methods = ["ibp", "crown", *(nn.lp(e, bounds="lp", optimise=True) for e in ("triangle", "triangle+tangents"))]
    lower = [nn.verify(p, m).lower for m in methods]
    assert lower == sorted(lower)
    assert lower[0] < lower[-1] <= seen < lower[-1] + 1
    assert lower[2] < lower[3]
    assert nn.export(p, tmp_path / "model.lp", encoding="triangle").stat().st_size > 1000
    assert nn.draw("triangle", op=Softsign()).legends[0].get_texts()[-1].get_text() == "softsign(h)"


def test_all_our_encodings_are_offered_by_us_alone():
    assert all(e is find_encoding(name) for name, e in encodings().items())
