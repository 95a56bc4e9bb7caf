"""The property object: text, names, calling conventions, rows, files, and what importing nnsym costs."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnsym as nn
from nnsym.errors import InputError, LanguageError
from nnsym.lang.files import load_property
from nnsym.read.arrays import sequential

f = sequential([([[1, 1], [1, -1]], [0, 0]), ([[1, -1], [0, 1]], [0, 0])])


def test_text_is_the_formula_as_written() -> None:
    x = nn.Variable(2)
    y = f(x)
    p = nn.forall(
        x,
        where=nn.box(x, [0, "0.1"], 1) & (2 * (x[0] - x[1]) <= 1.5),
        then=(nn.argmax(y) != 0) | ~(nn.max(y[0], 3) > -y[1]),
        name="phi",
    )
    assert str(p) == (
        "forall x[2]\n"
        "  where box(x, [0, 0.1], 1) & (2 * (x[0] - x[1]) <= 1.5)\n"
        "  then  (argmax(f(x)) != 0) | ~(max(f(x)[0], 3) > -f(x)[1])"
    )
    assert p.name == p.query.name == "phi"
    assert p.query.text == str(p)
    assert r"\max\left({f\left(x\right)}_{0}, 3\right) >" in p._repr_latex_()
    assert p.query.labels[0] == "2 * (x[0] - x[1]) <= 1.5"


def test_robustness_is_the_formula_it_says() -> None:
    p = nn.props.robust(f, [0.5, 0.25], 0, "0.01", within=(0, 1))
    assert str(p).splitlines()[1:] == [
        "  where ball(x, [0.5, 0.25], 0.01, within=(0, 1))",
        "  then  argmax(f(x)) == 0",
    ]
    assert p([0.5, 0.25]) == (np.argmax(f.evaluate(np.array([0.5, 0.25]))) == 0)
    assert p.margin([0.6, 0.25]) == np.inf
    with pytest.raises(InputError, match="class 5 does not exist"):
        nn.props.robust(f, [0.5, 0.25], 5, 0.01)


def test_rows_are_stacked_once_and_equal_rows_shared() -> None:
    x = nn.Variable(2)
    y = f(x)
    p = nn.forall(x, where=y[0] >= y[1], then=((y[0] <= 1) & (y[1] <= 1)) | (y[1] > y[0]) | (y[0] <= 1))
    assert len(p.query.rows) == len(p.query.labels) == 3  # ~(y[1] > y[0]) is the row of the premise
    assert p.query.violated(p.query.values({x.input: np.array([2.0, 0.0])})) is not p([2, 0])


def test_a_property_needs_no_network_and_ignores_unused_variables() -> None:
    x, z = nn.Variable(2), nn.Variable((2, 2), name="z")
    p = nn.forall([x, z], where=nn.box(x, 0, 1), then=nn.max(x) >= x[0])
    assert p.query.applications == ()
    assert set(p.query.boxes) == {x.input, z.input}
    assert p([0, 1], np.zeros(4))


def test_integer_variables_take_whole_values() -> None:
    x = nn.Variable(2, integer=[True, False])
    p = nn.forall(x, then=x[0] >= x[1])
    assert list(x.input.integer) == [True, False]
    assert p([1, 0.5])
    with pytest.raises(InputError, match="integer values only"):
        p([0.5, 0.5])


def test_smooth_networks_are_evaluated_in_floats() -> None:
    s = sequential([([[2]], [0]), ([[1]], [0])], activation="tanh", name="s")
    x = nn.Variable(1)
    assert nn.forall(x, then=s(x)[0] >= 0).margin([0.25]) == pytest.approx(np.tanh(0.5))


def test_constant_conclusions() -> None:
    x = nn.Variable(1)
    assert nn.forall(x, then=True)([1])
    assert not nn.forall(x, then=False)([1])
    assert nn.forall(x, where=False, then=False)([1])
    assert nn.forall(x, where=[x[0] >= 0, x[0] <= 1], then=[x[0] >= 2, True])([3])


def test_queries_travel_to_workers() -> None:
    x = nn.Variable(2)
    p = nn.forall(x, where=nn.box(x, "0.1", 1) | nn.box(x, 2, 3), then=f(x)[0] >= nn.norm(x, 1) - 1)
    query = pickle.loads(pickle.dumps(p.query))
    point = np.array([0.5, 0.75])
    assert query.margin(query.values({query.inputs[0]: point})) == p.margin(point)


PROPERTIES = """
import nnsym as nn
from helper import width
x = nn.Variable(width)
first = nn.forall(x, then=x[0] >= 0)
second = nn.forall(x, then=x[0] < 0, name="negative")
"""


def test_properties_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("width = 2\n")
    file = tmp_path / "prop.py"
    file.write_text(PROPERTIES)
    assert load_property(f"{file}:second").name == "negative"
    with pytest.raises(InputError, match=r"no property 'third'\. It has: first, second"):
        load_property(f"{file}:third")
    with pytest.raises(InputError, match="It has: first, second"):
        load_property(str(file))
    with pytest.raises(InputError, match="no such file"):
        load_property(f"{tmp_path / 'none.py'}:p")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("import nnsym\n1 / 0\n", InputError, r"prop.py:2: `1 / 0`: ZeroDivisionError"),
        ("import nnsym\nx = (\n", InputError, r"prop.py:2"),
        (
            "import nnsym as nn\nx = nn.Variable(1)\np = 0 < x[0] < 1\n",
            LanguageError,
            r"prop.py:3: `p = 0 < x\[0\] < 1`",
        ),
        ("raise SystemExit(0)\n", InputError, "SystemExit"),
    ],
)
def test_a_broken_file_names_its_line(tmp_path: Path, source: str, error: type[Exception], message: str) -> None:
    (tmp_path / "prop.py").write_text(source)
    with pytest.raises(error, match=message):
        load_property(f"{tmp_path / 'prop.py'}:p")


def test_importing_nnsym_loads_nothing_heavy_and_names_survive_submodules() -> None:
    heavy = "torch onnx onnxruntime scipy pyomo z3 highspy gurobipy networkx rich"
    script = (
        f"import sys, nnsym as nn; import nnsym.ask.verify; x = nn.Variable(2); nn.forall(x, then=nn.max(x) >= x[0]);"
        f"print([m for m in '{heavy}'.split() if m in sys.modules], callable(nn.verify), 'forall' in dir(nn))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "True", "True"]
    with pytest.raises(AttributeError, match="nonsense"):
        _ = nn.nonsense
