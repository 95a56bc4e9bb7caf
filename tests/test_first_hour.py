"""Small things that a new user stumbled over once: help, names, words in messages, sums of seconds."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import nnsym as nn
from nnsym import demo
from nnsym.cli.arguments import find_command
from nnsym.cli.commands import COMMANDS
from nnsym.cli.main import app
from nnsym.errors import InputError

run = CliRunner()
ROOT = Path(__file__).resolve().parents[1]


#: What new users stumbled over, and the test that holds it.
HELD = {
    "a result is true by itself": "displays: results_answer_yes_or_no",
    "tables are cut at 80 columns": "report_grid: columns_are_left_out_and_cells_never_cut",
    "pictures do not show": "report_grid: pictures_show_themselves_and_say_what_they_show",
    "text is empty in a notebook": "report_grid: text_is_text_where_a_notebook_runs",
    "a header says sat of a relaxation": "export_headers: satisfiability_of_an_outer_encoding_decides_nothing",
    "no version without a command": "cli: versions_without_a_command",
    "no LaTeX in notebooks": "lang_text: latex_is_the_formula",
    "gaps in a run record": "report_grid: a_run_record_has_no_gap_to_rows_that_were_not_known",
    "a radius that nothing fails at": "radius: the_text_says_what_is_known",
    "a stable neuron has no point": "report_grid: a_stable_neuron_has_a_set",
    "ticks over ticks": "report_grid: minor_ticks_of_seconds_have_no_labels",
    "an AttributeError for what is no property": "displays: what_is_no_property_is_said_to_be_none",
    "a TypeError for no timeout": "options: python_refuses_the_same_budgets",
    "errors of private classes": "displays: errors_of_texts_are_public",
    "functions without help": "first_hour: every_public_function_has_help_and_named_parameters",
    "completion offers imports": "displays: completion_offers_what_is_meant",
    "torch prints before a refusal": "read_torch: a_refusal_is_the_message_alone",
    "whose limit --timeout is": "first_hour: the_limit_of_a_comparison_is_said_to_be_that_of_a_run",
    "--json means two things": "displays: compare_prints_json_and_names_its_record",
    "pages name parameters that are none": "first_hour: pages_name_parameters_that_exist",
    "y[1] of a batch of one": "displays: the_batch_axis_is_explained",
    "a program that never ran": "displays: what_decided_before_a_program_is_named",
    "what trust says of a counterexample": "report_grid: headings_have_a_meaning",
    "columns without a legend": "first_hour: the_docs_say_what_was_looked_for",
    "loops that cannot be read": "displays: long_formulas_name_their_parts",
    "columns without the model's names": "names_and_values: layers_have_the_names_of_model_and_step",
    "answers without the stated units": "names_and_values: the_answer_file_has_the_stated_and_the_networks_units",
    "an encoding that nobody asked for": "first_hour: without_bounds_and_without_a_method_smt_is_asked",
    "an error two frames inside": "displays: an_error_in_a_notebook_names_the_cell",
    "the element at 3": "first_hour: messages_about_products_name_the_term_and_the_solvers_that_take_them",
    "--svg takes no file": "first_hour: a_drawing_goes_where_it_is_told",
    "seconds that do not add up": "first_hour: the_seconds_of_an_answer_have_a_place",
    "Pyomo models without names": "names_and_values: pyomo_models_name_their_ends",
    "no list of operators": "operators_page: the_page_is_current",
    "an internal error without torch": "extras: without_torch_the_command_line_says_so",
    "a picture refused after the work": "extras: commands_ask_before_the_work",
    "arguments with brackets and Python's types": "first_hour: help_calls_arguments_what_they_are",
    "explain knows no --network": "first_hour: whoever_takes_a_property_takes_its_networks",
    "a function that is no property": "first_hour: a_function_and_a_nameless_property_of_a_file",
    "a property called property": "first_hour: a_function_and_a_nameless_property_of_a_file",
    "one parts, one times": "first_hour: what_is_printed_is_tidy",
    "blanks at the ends of lines": "first_hour: what_is_printed_is_tidy",
    "a page needs what it does not name": "first_hour: pages_name_the_packages_that_they_need_beside_nnsyms_own",
    "words of a report broken in the middle": "results_travel: words_of_a_report_stay_whole_and_hashes_may_be_broken",
    "seconds for a chain of layers": "read_torch: a_chain_has_the_names_of_its_layers",
}


@pytest.mark.parametrize("test", HELD.values(), ids=[key.replace(" ", "-") for key in HELD])
def test_what_was_stumbled_over_is_held(test: str):
    file, _, name = test.partition(": ")
    assert f"def test_{name}(" in (ROOT / "tests" / f"test_{file}.py").read_text(encoding="utf-8")


def test_pages_name_parameters_that_exist():
    unknown = []
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for call in re.findall(r"`(?:nn\.)?(\w+\([^`]*\))`", page.read_text(encoding="utf-8")):
            try:
                said = ast.parse(call, mode="eval").body
            except SyntaxError:  # a line of another language
                continue
            plain = isinstance(said, ast.Call) and isinstance(said.func, ast.Name)
            thing = getattr(nn, said.func.id, None) if plain else None
            if not inspect.isfunction(thing):
                continue
            named = inspect.signature(thing).parameters
            if any(p.kind is p.VAR_KEYWORD for p in named.values()):
                continue
            unknown += [f"{page.name}: {call}" for k in said.keywords if k.arg not in named]
    assert not unknown


def test_every_public_function_has_help_and_named_parameters():
    for name in dir(nn):
        thing = getattr(nn, name)
        if not inspect.isfunction(thing):
            continue
        assert inspect.getdoc(thing), name
        kinds = {p.kind for p in inspect.signature(thing).parameters.values()}
        assert kinds != {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}, name
    named = inspect.signature(nn.bounds).parameters
    assert {"prop", "method", "device"} <= set(named)
    assert not any(p.kind is p.VAR_KEYWORD for p in named.values())


def test_the_limit_of_a_comparison_is_said_to_be_that_of_a_run():
    told = " ".join(run.invoke(app, ["compare", "--help"], env={"COLUMNS": "200"}).output.split())
    assert "Wall seconds of each run of each row" in told
    assert "Wall seconds for everything" not in told


def test_without_bounds_and_without_a_method_smt_is_asked():
    f, x = nn.zoo.random_mlp(1, widths=(2, 4, 2)), nn.Variable(2, name="x")
    p = nn.forall(x, then=nn.abs(f(x)[0] - f(x)[0]) <= 1)
    r = nn.verify(p)
    assert r.verified
    with pytest.raises(nn.MissingBoundsError, match=r"\[-inf, inf\] and the encoding 'bigm'.*nn\.box.*\(smt\)"):
        nn.verify(nn.forall(x, then=f(x)[0] <= 1e9), "bigm")


def test_messages_about_products_name_the_term_and_the_solvers_that_take_them():
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.apply("silu", x)[0] * x[1] <= 2)
    with pytest.raises(nn.UnsupportedError) as caught:
        nn.verify(p, "bigm", solver="highs")
    said = str(caught.value)
    assert "`apply('silu', x)[0] * x[1] <= 2`" in said
    assert "Solvers that fit 'bigm'" in said
    assert "the element at" not in said


def test_a_drawing_goes_where_it_is_told(tmp_path: Path):
    done = run.invoke(app, ["show", str(demo.NETWORK), "--svg", str(tmp_path / "net.svg")])
    assert done.exit_code == 0
    assert (tmp_path / "net.svg").read_text().startswith("<svg")


def test_the_seconds_of_an_answer_have_a_place(tmp_path: Path):
    (tmp_path / "p.py").write_text(
        "import nnsym as nn\nx = nn.Variable(1)\np = nn.forall(x, where=nn.box(x, 0, 1), then=x[0] <= 2)\n"
    )
    told = json.loads(run.invoke(app, ["verify", f"{tmp_path / 'p.py'}:p", "--json"]).stdout)["seconds"]
    assert {"start", "load", "total"} < set(told)  # imports count
    assert sum(spent for name, spent in told.items() if name != "total") <= told["total"]


def test_the_docs_say_what_was_looked_for():
    docs = ROOT / "docs"
    pages = {str(path.relative_to(docs)): path.read_text(encoding="utf-8") for path in docs.rglob("*.md")}
    led = pages["reading.md"].partition("## Words that are looked for")[2].partition("\n## ")[0]
    for word in ("DeepPoly", "branch and bound", "MIPVerify", "OMLT", "randomized smoothing", "certified training"):
        assert word in led, word
    assert "glpsol --freemps" in pages["howto/pyomo.md"]
    for column in ("gap", "open", "goal", "hand s"):
        assert column in pages["reports.md"]
    assert "to_pyomo(columns=" not in pages["performance.md"]
    assert "Gelu" in pages["operators.md"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_calls_arguments_what_they_are(name: str):
    usage, _, rest = run.invoke(app, [name, "--help"], env={"COLUMNS": "80"}).output.partition("\n\n")
    assert not set("{}<>") & set(usage)
    arguments = rest.partition("Arguments:")[2].partition("Options:")[0]
    assert not re.search(r"<\w|list\[", arguments)
    for param in find_command(name).params:
        assert param.param_type_name != "argument" or param.metavar in arguments


def test_whoever_takes_a_property_takes_its_networks():
    for name in COMMANDS:
        names = {param.name for param in find_command(name).params}
        assert "targets" not in names or "network" in names, name


def test_a_property_before_its_network_is_turned_round():
    done = run.invoke(app, ["verify", "p.vnnlib.gz", "net.onnx.gz"])
    assert str(done.exception) == "p.vnnlib.gz: a property before its network. Turn them round: net.onnx.gz p.vnnlib.gz"


def test_a_function_and_a_nameless_property_of_a_file(tmp_path: Path):
    file = tmp_path / "spec.py"
    file.write_text(
        "import nnsym as nn\nx = nn.Variable(1)\nlow = nn.forall(x, where=nn.box(x, 0, 1), then=x[0] <= 2)\n"
        "named = nn.forall(x, then=x[0] <= 2, name='other')\ndef made(eps=0.1):\n    return low\n"
    )
    assert (nn.load_property(f"{file}:low").name, nn.load_property(f"{file}:named").name) == ("low", "other")
    with pytest.raises(InputError, match=r"'made' is a function. Decorate it by @nn.prop"):
        nn.load_property(f"{file}:made")


def test_what_is_printed_is_tidy(tmp_path: Path):
    target, record = f"{ROOT / 'docs' / 'examples' / 'digits.py'}:close", tmp_path / "search.jsonl"
    words = [["explain", target, "--neuron", "relu_1[7]"], ["verify", target, "--method", "bab", "--log", str(record)]]
    for asked in [*words, ["search", str(record)], ["bounds", target], ["methods"]]:
        text = run.invoke(app, asked, env={"COLUMNS": "80"}).stdout
        assert text
        assert not [line for line in text.splitlines() if line != line.rstrip()]
        assert not re.search(r"(?<![\d.])1 (nodes|parts|times|rows|leaves|columns|items)\b", text)


def test_pages_name_the_packages_that_they_need_beside_nnsyms_own():
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    own = {re.split("[<>=]", need)[0].removesuffix("-solver") for need in needs}
    here = {"nnsym", "nnsym_encodings"} | own | sys.stdlib_module_names
    for page in (ROOT / "docs").rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        code = "".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
        for name in re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE):
            named = {"sklearn": "scikit-learn"}.get(name, f"{name}.py")
            assert name in here or named in text, f"{page.name}: {name}"
