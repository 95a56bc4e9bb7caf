"""What people see: messages for wrong arguments, cells of notebooks, short reprs, names that nearly fit."""

from __future__ import annotations

import io
import json
import linecache
import re
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import nnsym as nn
from nnsym import demo
from nnsym.bounds.base import Interval
from nnsym.cli.console import Spinner, styled
from nnsym.cli.main import app
from nnsym.encode.registry import find_encoding
from nnsym.errors import did_you_mean
from nnsym.judge.registry import check_method
from nnsym.results.html import html_table, image_of, image_svg

run = CliRunner()
F = nn.sequential([([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), ([[1.0, -1.0]], [0.0])], name="f")
X = nn.Variable(2, name="x")
P = nn.forall(X, where=nn.box(X, -1, 1), then=F(X)[0] <= 3, name="p")


@nn.prop
def family(eps=0.1):
    return nn.forall(X, where=nn.ball(X, 0, eps), then=F(X)[0] <= 3)


@pytest.mark.parametrize("ask", [nn.verify, nn.compare, nn.bounds, nn.to_pyomo, nn.to_vnnlib, nn.vacuous, nn.dumps])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (F, r"the network 'f' is not a property.*nn.forall\(x"),
        ([P, P], "2 properties where one is asked about.*Ask for each"),
        (family, "PropertyFunction is not a property.*Call it with its parameters"),
        ("p", "str is not a property"),
        (None, "NoneType is not a property"),
    ],
)
def test_what_is_no_property_is_said_to_be_none(ask, given, said):
    if ask is nn.compare and isinstance(given, list):
        given = [given]  # it takes a list of properties, of which this is none
    with pytest.raises(nn.InputError, match=said):
        ask(given)


@pytest.mark.parametrize(
    "use",
    [
        nn.load_vnnlib,
        nn.load_result,
        nn.load_table,
        nn.audit,
        lambda given: nn.load_vnnlib(F, given),
        lambda given: nn.write_report(given, "report.html"),
        lambda given: nn.export(P, given),
        lambda given: nn.save(P, given),
        lambda given: nn.verify(P, "ibp").save(given),
        lambda given: nn.write_witness(P, nn.verify(P, "ibp"), given),
        lambda given: nn.verify(P, "ibp", certificate=given),
        lambda given: nn.compare(P, ["ibp"], record=given),
    ],
)
@pytest.mark.parametrize("given", [5, F])
def test_what_is_no_path_is_said_to_be_none(use, given):
    with pytest.raises(nn.InputError, match="is no path of a file"):
        use(given)


def test_a_counterexample_is_printed_with_its_values():
    found = nn.verify(nn.forall(X, where=nn.box(X, 1, 1), then=F(X)[0] >= 1), "bigm").counterexample
    head, point, value = str(found).splitlines()
    assert head == "margin -1, replayed in exact rationals"
    assert point.split() == ["x", "=", "[1,", "1]"]
    assert value.split()[-1] == "[0]"
    assert "\n" not in repr(found)


def test_an_optimum_shows_its_interval_and_its_point_in_a_notebook():
    found = nn.minimize(F(X)[0], where=nn.box(X, 1, 1))
    html = found._repr_html_()
    assert html.startswith("<b>minimum in [0, 0]</b>")
    assert found.rests_on in html
    assert "point: value 0, replayed in exact rationals" in html
    nothing = nn.maximize(F(X)[0], where=nn.box(X, 1, 1) & (X[0] >= 2))
    assert nothing._repr_html_().startswith("<b>maximum of nothing</b>")


@pytest.mark.parametrize(
    ("cells", "side"),
    [(("-0.5", "12"), "right"), (("68.3-98.8%", ""), "right"), (("[-1e-5, ∞]",), "right"), (("inf", "2 m"), "left")],
)
def test_columns_of_numbers_stand_on_the_right_in_a_notebook(cells, side):
    html = html_table(["what", "value"], [("a", cell) for cell in cells], look=lambda row, column: ";color:red")
    assert html.count(f"<td style='text-align:{side};color:red'>") == len(cells) + (side == "left") * len(cells)
    assert f"<th style='text-align:{side}'>value</th>" in html


def test_where_a_search_stands_fits_a_terminal():
    said = {}
    progress = SimpleNamespace(add_task=lambda label: 0, update=lambda task, description: said.update(now=description))
    Spinner(progress, "prop_3: portfolio").watch(
        SimpleNamespace(lower=-0.066800512, best=4.00886, mass=0.93657, opened=732)
    )
    assert said["now"] == "prop_3: portfolio  margin ≥ -0.0668, ≤ 4.009  93.7% closed, 732 open"
    assert len(f"* {said['now']} 0:00:00") <= 80
    Spinner(progress, "p").watch(SimpleNamespace(lower=-2.0, best=np.inf, mass=0.0, opened=1))
    assert said["now"] == "p  margin ≥ -2  0.0% closed, 1 open"


def test_a_page_is_made_of_a_result_as_of_its_file(tmp_path: Path):
    r = nn.verify(P, "ibp")
    pages = [nn.write_report(given, tmp_path / "r.html").read_text() for given in (r, r.save(tmp_path / "r.json"))]
    assert pages[0] == pages[1]
    assert "The property was shown to hold" in pages[0]


def test_several_methods_in_one_text_are_told_from_an_unknown_one():
    with pytest.raises(nn.InputError, match=r"several methods. Give one, or a list: \["):
        nn.compare(P, "ibp,crown")


@pytest.mark.parametrize(("given", "meant"), [("swish", "silu"), ("Relu", "relu"), ("LeakyReLU", "leaky_relu")])
def test_activations_are_found_by_what_others_call_them(given, meant):
    with pytest.raises(nn.InputError, match=f"Did you mean {meant}"):
        nn.sequential([([[1.0]], [0.0])] * 2, activation=given)


def test_a_network_is_not_exported(tmp_path: Path):
    with pytest.raises(nn.InputError, match="not a property"):
        nn.export(F, tmp_path / "f.lp")
    assert not (tmp_path / "f.lp").exists()


def test_one_method_is_compared_as_a_list_of_one_is():
    assert [row.method for row in nn.compare(P, "crown").rows] == ["crown"]
    assert [row.method for row in nn.compare(P, nn.ibp()).rows] == ["ibp"]


def test_errors_of_texts_are_public():
    with pytest.raises(nn.InputError) as caught:
        nn.parse(P.text())
    assert type(caught.value) is nn.InputError
    assert re.match(r"line 2: `f = network", str(caught.value))


def test_the_batch_axis_is_explained():
    y = nn.load(demo.NETWORK)(nn.Variable(64, name="x"))
    with pytest.raises(nn.LanguageError, match=r"write \[0, 1\], or take \[0\] first"):
        y[1]
    with pytest.raises(nn.LanguageError) as caught:
        F(X)[1]
    assert "batch" not in str(caught.value)


def test_results_answer_yes_or_no():
    verified, falsified = nn.verify(P, "crown"), nn.verify(nn.forall(X, then=X[0] <= 0), "smt")
    unknown = nn.verify(nn.forall(X, where=nn.box(X, -1, 1), then=F(X)[0] <= 0.5), "ibp")
    assert (verified.verified, verified.falsified) == (True, False)
    assert (falsified.verified, falsified.falsified) == (False, True)
    assert (unknown.verified, unknown.falsified) == (False, False)
    assert "outward" in verified.rests_on
    assert falsified.rests_on == "the counterexample, replayed in exact rationals"
    assert "no verdict" in unknown.rests_on


def test_what_decided_before_a_program_is_named():
    shown = nn.verify(P, "bigm")
    assert shown.method == "crown (before bigm+highs)"
    assert (shown.encoding, shown.solver, shown.sizes.columns) == ("", "", 0)
    solved = nn.verify(P, "bigm", shortcut=False)
    assert solved.method == "bigm+highs"
    assert solved.sizes.columns > 0


def test_an_error_in_a_notebook_names_the_cell(monkeypatch: pytest.MonkeyPatch):
    """As IPython compiles cells: files that exist nowhere, and a table of their numbers."""
    source = "def wrong():\n    return x[7] <= 1\n\nwrong()\n"
    name = "/tmp/ipykernel_1/2109499631.py"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    shell = SimpleNamespace(compile=SimpleNamespace(_filename_map={name: 12}))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with pytest.raises(nn.LanguageError) as caught:
        exec(compile(source, name, "exec"), {"x": X, "__name__": "__main__"})
    shown = caught.value._render_traceback_()
    assert str(caught.value).startswith("cell [12], line 2: `return x[7] <= 1`: 'x' has shape (2,)")
    assert shown[-2:] == ["cell [12], line 4: `wrong()`", f"LanguageError: {caught.value}"]
    assert not any("nnsym" in line and ".py" in line for line in shown)
    assert len(shown) < len(traceback.format_exception(caught.value))


def test_long_formulas_name_their_parts():
    a, b = np.array([[1, 0.125], [0, 1]]), np.array([[0.02], [0.25]])
    f = nn.zoo.random_mlp(2, widths=(2, 4, 1))
    x = state = nn.Variable(2, name="x")
    for _ in range(4):
        state = a @ state + b @ f(state)
    p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.all(state <= 3, state >= -3), name="loop")
    text = str(p)
    assert " ... " not in text
    assert "  let   t_2 = [[1, 0.125], [0, 1]] @ t + [[0.02], [0.25]] @ random_mlp_2(t)" in text
    assert text.endswith("  then  all(t_4 <= 3, t_4 >= -3)")
    assert "  slack 0.125" in str(p.relaxed("1/8"))
    assert p.query.text == text
    wide = nn.forall(x, where=nn.box(x, -1, 1), then=nn.all(np.eye(9)[:, :2] @ state <= 3))
    assert "all(<array of shape (9, 2)> @ (" in str(wide)


def test_short_reprs_and_html():
    found = nn.bounds(P)
    name = found.layers[0].name
    assert repr(found[name]) == f"<interval by {found[name].source}: [-1, 1] [-1, 1]>"
    wide = Interval(np.zeros(9), np.arange(9.0), "ibp")
    assert repr(wide) == "<interval by ibp: 9 elements, widths up to 8>"
    file = nn.to_vnnlib(P)
    assert repr(file).startswith("<VNN-LIB file of ")
    assert str(file) == file.text
    assert "&lt;=" in file._repr_html_()
    html = nn.load(demo.NETWORK, name="a<b")._repr_html_()
    assert "a&lt;b" in html
    assert nn.load(demo.NETWORK).hash in html
    assert "verified" in nn.verify(P, "crown")._repr_html_()


def test_networks_from_arrays_and_torch_are_drawn(tmp_path: Path):
    drawing = nn.draw_network(F, tmp_path / "f.svg")
    assert repr(drawing) == "<drawing of f>"
    assert drawing._repr_svg_().startswith("<svg")
    assert (tmp_path / "f.svg").read_text() == str(drawing)
    with pytest.raises(nn.InputError, match="does not exist"):
        nn.draw_network(F, tmp_path / "no" / "f.svg")


def test_completion_offers_what_is_meant():
    assert "robust" in dir(nn.props)
    assert "random_mlp" in dir(nn.zoo)
    assert not {"Any", "np", "annotations"} & {*dir(nn.props), *dir(nn.zoo)}
    for module in (nn.props, nn.zoo):
        assert all(callable(getattr(module, name)) for name in dir(module))


def test_square_inputs_are_images():
    image = image_of(np.linspace(0, 1, 64).reshape(1, 64))
    assert image.shape == (8, 8)
    assert image_svg(image, "<x>").count("<rect") == 64
    assert "&lt;x&gt;" in image_svg(image, "<x>")
    assert "fill='rgb(0,0,255)'" in image_svg(image - 1, "difference", signed=True)
    for other in (np.zeros(63), np.full(64, 2.0), np.zeros(4)):
        assert image_of(other) is None


def test_names_that_nearly_fit():
    assert did_you_mean("crwn", ["crown", "ibp"]) == "Did you mean crown? "
    assert did_you_mean("something", ["crown", "ibp"]) == ""
    for wrong, meant in (("crwn", "crown"), ("alhpa:20", "alpha"), ("BigM+tj", "bigm")):
        with pytest.raises(nn.InputError, match=rf"Did you mean {meant}\?"):
            check_method(wrong)
    for wrong, meant in (
        ("DeepPoly", "crown"),
        ("alpha-beta-CROWN", "bab"),
        ("milp", "bigm"),
        ("pgd", "attack"),
        ("triangle+prima", "krelu3"),
    ):
        with pytest.raises(nn.InputError, match=rf"Did you mean {meant}\?"):
            check_method(wrong)
    for wrong, meant in (("deeppoly", "crown"), ("alhpa:20", "alpha")):
        with pytest.raises(nn.InputError, match=rf"Did you mean {meant}\?"):
            nn.bounds(P, wrong)
    with pytest.raises(nn.InputError, match=r"'high' is missing"):
        nn.radius(P)
    with pytest.raises(nn.InputError, match=r"Did you mean highs\?"):
        nn.verify(P, "bigm", solver="higs")


def test_the_command_line_says_what_is_here_and_completes_itself():
    told = run.invoke(app, ["doctor"], env={"COLUMNS": "120"})
    assert told.exit_code == 0
    for word in ("python", "solver highs", "devices", "cpu", "usable core"):
        assert word in told.output
    shown = run.invoke(
        app,
        [],
        prog_name="nnsym",
        env={"_NNSYM_COMPLETE": "complete_bash", "COMP_WORDS": "nnsym ver", "COMP_CWORD": "1"},
    )
    assert "verify" in shown.output.split()


def test_a_device_is_compared_with_the_processor(monkeypatch):
    from nnsym.cli import devices

    monkeypatch.setattr(devices, "_WIDTHS", (4, 16, 16, 3))
    told = run.invoke(app, ["doctor", "--device", "cpu"], env={"COLUMNS": "120"})
    assert told.exit_code == 0
    assert told.output.count("bounds hold") == 2
    real = devices._question

    def moved():
        query, boxes, rows = real()
        return query, boxes, np.where(np.arange(len(rows))[:, None] == 3, 1e6, rows)

    monkeypatch.setattr(devices, "_question", moved)
    told = run.invoke(app, ["doctor", "--device", "cpu"], env={"COLUMNS": "120"})
    assert told.exit_code == 1
    assert "1 runs outside: report it" in told.output
    assert "Give cpu, auto, cuda" in str(run.invoke(app, ["doctor", "--device", "gpu"]).exception)


def test_compare_prints_json_and_names_its_record(tmp_path: Path):
    (tmp_path / "p.py").write_text(
        "import nnsym as nn\nx = nn.Variable(1)\np = nn.forall(x, where=nn.box(x, 0, 1), then=x[0] <= 2)\n"
    )
    record = tmp_path / "runs.jsonl"
    options = ["--methods", "ibp", "--record", str(record), "--json"]
    done = run.invoke(app, ["compare", f"{tmp_path / 'p.py'}:p", *options])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"][0]["verdict"] == "verified"
    assert f"1 row appended to {record}" in done.stderr


def test_methods_and_encodings_have_short_reprs() -> None:
    shown = [repr(m) for m in (nn.crown(), nn.alpha(5), nn.attack(), nn.bab(), nn.sampling(n=100), nn.milp("bigm"))]
    assert shown[0] == "<method crown>"
    assert shown[-1] == "<method bigm+highs on crown>"
    assert all(len(text) < 80 and " at 0x" not in text for text in shown)
    assert repr(find_encoding("bigm")).startswith("<encoding bigm: ")


def test_what_a_session_shows_is_a_line():
    table = nn.table(lambda x: nn.forall(X, where=nn.box(X, 0, x), then=F(X)[0] <= 9), [1, 2], "ibp", progress=False)
    shown = [nn.choose(P), nn.compare(P, ["ibp"]).rows[0], table.rows[0], table.entries[0]]
    for one in shown:
        assert len(repr(one)) < 120
        assert repr(one).startswith("<")
    assert repr(table.rows[0]).endswith("by ibp: 2 of 2 verified>")
    assert max(map(len, str(nn.explain(P, neuron="relu_1[0]")).splitlines())) <= 80


def test_long_lines_of_a_verdict_hang():
    console = Console(width=30, record=True, file=io.StringIO())
    console.print(styled([("  reason   " + "word " * 9, ""), ("short", "bold")]))
    lines = console.export_text().splitlines()
    assert lines[0].startswith("  reason   word")
    assert [line[:6] for line in lines[1:-1]] == ["      "] * (len(lines) - 2)
    assert lines[-1] == "short"
    assert max(map(len, lines)) <= 30
