"""What an easy run does not pay for: libraries that its answer does not need, and that shorter ways say the same."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from nnsym.cli.arguments import find_command
from nnsym.cli.commands import COMMANDS
from nnsym.cli.main import app
from nnsym.cli.output import print_styled
from nnsym.cli.streams import WISHES

GIVEN = ["1", "0", "007", "1.5", "-2", " 3", "1e3", "1_0", "nan", "x", "", "/none/such", "/", ("a", "b"), (), None, 5.0]

PROPERTY = """
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(assert (>= X_0 -1))
(assert (<= X_0 1))
(assert (>= X_1 0.1))
(assert (<= X_1 1))
(assert (<= Y_0 -0.5))
"""


def _said(read: Any, value: Any, param: Any, ctx: Any) -> tuple[Any, ...]:
    try:
        found = read().coerce(value, param=param, ctx=ctx)
    except Exception as error:
        return type(error), str(error)
    return type(found), repr(found)


@pytest.mark.parametrize("name", ["verify", "compare", "bounds", "show", "report"])
def test_arguments_are_read_as_typer_reads_them(name: str) -> None:
    command: Any = find_command(name)
    ctx = command.make_context(name, ["a"], resilient_parsing=True)
    for param in command.get_params(ctx):
        ours = param.get_runtime_param
        theirs = getattr(type(param), "get_runtime_param", None)
        if theirs is None:
            pytest.skip("this Typer has no models")
        for value in GIVEN:
            expected = _said(lambda theirs=theirs, param=param: theirs(param), value, param, ctx)
            assert _said(ours, value, param, ctx) == expected, (param.name, value)


#: Libraries, and what brings the files of a room that an easy run asks nothing of.
UNASKED = (
    *("torch", "scipy", "pydantic", "rich", "numpy.ma"),
    *("nnsym.encode.walk", "nnsym.solvers.registry", "nnsym.solvers.workers.runner", "nnsym.separation.scene"),
    *("nnsym.relaxation.tighten", "nnsym.evidence.evidence", "nnsym.bounds.lipschitz.distance", "nnsym_encodings"),
)


def test_an_easy_run_loads_nothing_that_its_answer_does_not_need(tmp_path: Path) -> None:
    weights = [np.array([[1, 1], [1, -1]], np.float32), np.array([[1, 1]], np.float32)]
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "W0"], ["h"], transB=1),
            helper.make_node("Relu", ["h"], ["a"]),
            helper.make_node("Gemm", ["a", "W1"], ["y"], transB=1),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(w, f"W{k}") for k, w in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    (tmp_path / "holds.vnnlib").write_text(PROPERTY)
    code = (
        "import sys; from nnsym.cli.main import app\n"
        "try: app(['verify', 'net.onnx', 'holds.vnnlib', '--timeout', '50', '--witness', 'w'])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        f"print([m for m in {UNASKED} if m in sys.modules])"
    )
    plain = {name: value for name, value in os.environ.items() if name not in WISHES}
    ran = [sys.executable, "-c", code]
    done = subprocess.run(ran, cwd=tmp_path, env=plain, check=False, capture_output=True, text=True)
    assert done.stdout.splitlines()[0] == "VERIFIED", done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "w").read_text().strip() == "unsat"


def test_lines_for_a_pipe_are_what_rich_writes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [("VERIFIED", "bold green"), ("  trailing  ", ""), ("", ""), ("a [b]x[/b] :smile: 1.5 " * 9, "dim")]
    for wish in WISHES:
        monkeypatch.delenv(wish, raising=False)
    print_styled(lines)
    short = capsys.readouterr().out
    monkeypatch.setenv("TTY_COMPATIBLE", "0")  # Rich's own way
    print_styled(lines)
    assert capsys.readouterr().out == short
    assert short.count("\n") == 4


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_in_an_example_that_the_command_takes(name: str) -> None:
    example = COMMANDS[name].example
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(app, [name, "--help"]).stdout
    assert shown.endswith(f"\n  Example: {example}\n")
    program, command, *words = shlex.split(example)
    assert (program, command) == ("nnsym", name)
    find_command(name).make_context(name, words).close()


def test_help_has_a_whole_line_of_every_command_and_every_command_is_there() -> None:
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["--help"]).stdout
    assert "..." not in shown.split("Commands:")[1]
    for name, (module, line, _) in COMMANDS.items():
        assert f"{name:11}{line}\n" in shown
        command = find_command(name)
        assert command.name == name
        assert command.callback.__module__ == module
        assert command.help
