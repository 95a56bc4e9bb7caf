"""Property functions: parameters, values from text, chained comparisons; and the files and commands that take them."""

from __future__ import annotations

import inspect
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import nnsym as nn
from nnsym.cli.main import app
from nnsym.errors import InputError, LanguageError
from nnsym.lang.algebra.chains import with_chains
from nnsym.lang.files import load_property

SCALE = 2


@nn.prop
def phi(eps: float = 0.5, label: int = 0, corners: tuple[float, ...] = (0.0, 1.0)) -> Any:
    """About a box."""
    x = nn.Variable(2, name="x")
    return nn.forall(x, where=nn.box(x, corners[0], corners[1]), then=0 <= SCALE * x[label] <= eps)


def test_a_property_function_is_called_with_its_parameters() -> None:
    assert phi().name == "phi"
    assert phi(0.25, label=1)([1, 0.125])
    assert not phi(eps=0.25)([1, 0.125])
    assert phi.__doc__ == "About a box."
    assert list(phi.parameters) == ["eps", "label", "corners"]
    assert repr(phi) == "<property phi(eps, label, corners)>"
    named = nn.prop(lambda: nn.forall(nn.Variable(1), then=True, name="own"))
    assert named().name == "own"


def test_chains_are_conjunctions() -> None:
    p = phi(1)
    assert str(p).endswith("then  (2 * x[0] >= 0) & (2 * x[0] <= 1)")
    assert [p([v, 0]) for v in (0, 0.5, 0.75)] == [True, True, False]


def test_the_code_keeps_its_lines_closure_defaults_and_python_chains() -> None:
    low = Fraction(1, 4)

    def statement(x: Any, high: float = 1.0, *, strict: bool = False) -> Any:
        if 0 < high <= 1 < 2 and not 3 > high > 2:  # chains of numbers are Python's
            parts = [low < v < w <= high for v, w in ((x[0], x[1]),)]
        return parts[0] & (x[0] != 0.5) if strict else parts[0]

    changed = with_chains(statement)
    assert changed is not statement
    assert inspect.signature(changed) == inspect.signature(statement)
    assert changed.__code__.co_firstlineno == statement.__code__.co_firstlineno
    x = nn.Variable(2)
    for point, holds in (([0.5, 0.75], True), ([0.25, 0.5], False), ([0.5, 0.5], False), ([0.5, 1.5], False)):
        assert nn.forall(x, then=changed(x))(point) == holds
    assert not nn.forall(x, then=changed(x, strict=True))([0.5, 0.75])
    with pytest.raises(LanguageError, match="neither true nor false"):
        statement(x)


def test_errors_inside_name_the_users_line() -> None:
    @nn.prop
    def broken(flag: bool = True) -> Any:
        x = nn.Variable(2)
        inside = 0 < x[0] < 1
        return nn.forall(x, then=inside and x[1] > 0)

    line = inspect.getsourcelines(broken.function)[1] + 3  # from def on
    with pytest.raises(LanguageError, match=rf"test_lang_prop.py:{line}: `return nn.forall\(x, then=inside and"):
        broken()


def test_functions_without_source_stay_as_they_are() -> None:
    space: dict[str, Any] = {"nn": nn}
    exec("def f(x):\n    return 0 < x[0] < 1\n", space)
    assert with_chains(space["f"]) is space["f"]

    def plain(x: Any) -> Any:
        return x[0] < 1

    assert with_chains(plain) is plain  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epsilon": "1"}, r"phi: epsilon: no such parameter. Parameters: eps=0.5 \(float\), label=0 \(int\), corners"),
        ({"eps": "wide"}, r"phi: eps: 'wide' is no float. Parameters: eps=0.5"),
        ({"label": "0.5"}, r"phi: label: '0.5' is no int"),
        ({"corners": "0,a"}, r"phi: corners: '0,a' is no tuple"),
    ],
)
def test_wrong_settings_list_the_parameters(settings: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        phi.with_text(settings)


def test_text_is_read_as_the_type_of_the_default() -> None:
    seen: list[Any] = []

    @nn.prop
    def kinds(
        must: Fraction,
        eps: float = 1.0,
        n: int = 3,
        on: bool = False,
        word: str = "a",
        grid: list[int] = [1],  # noqa: B006
    ) -> Any:
        seen.append((must, eps, n, on, word, grid))
        return nn.forall(nn.Variable(1), then=True)

    kinds.with_text({"must": "1/3", "eps": "1e-3", "n": "-4", "on": "yes", "word": "b=c", "grid": "1, 2,3"})
    assert seen == [(Fraction(1, 3), 0.001, -4, True, "b=c", [1, 2, 3])]
    with pytest.raises(InputError, match="kinds: must: has no default and needs a value"):
        kinds.with_text({})
    with pytest.raises(
        LanguageError, match=r"'phi': got an unexpected keyword argument 'epsilon'. Parameters: eps=0.5"
    ):
        phi(epsilon=1)
    empty = nn.prop(lambda: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(LanguageError, match="'<lambda>' returned NoneType, not a property"):
        empty()


FILE = """
import nnsym as nn

@nn.prop
def small(eps=0.5, label=0):
    import limits  # the folder of the file is importable while the property is made
    x = nn.Variable(2, name="x")
    return nn.forall(x, where=nn.box(x, 0, limits.HIGH), then=0 <= x[label] <= eps)

x = nn.Variable(1)
fixed = nn.forall(x, then=x[0] >= 0)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "limits.py").write_text("HIGH = 1\n")
    (tmp_path / "prop.py").write_text(FILE)
    return tmp_path / "prop.py"


def test_files_hold_property_functions(file: Path) -> None:
    assert load_property(f"{file}:small")([0.25, 1])
    assert not load_property(f"{file}:small", {"label": "1"})([0.25, 1])
    with pytest.raises(InputError, match=r"no property 'tiny'. It has: small\(eps, label\), fixed"):
        load_property(f"{file}:tiny")
    with pytest.raises(InputError, match=r"'fixed' has no parameters, so eps cannot be set"):
        load_property(f"{file}:fixed", {"eps": "1"})
    file.write_text(FILE.replace("limits.HIGH", "1 / 0"))
    with pytest.raises(InputError, match=r"prop.py:8: `return nn.forall\(.*ZeroDivisionError"):
        load_property(f"{file}:small")


def test_the_command_line_sets_parameters(file: Path) -> None:
    run = CliRunner()
    target = f"{file}:small"
    verified = run.invoke(app, ["verify", target, "--set", "eps=1.0", "--method", "ibp", "--json"])
    assert verified.exit_code == 0
    assert json.loads(verified.stdout)["status"] == "verified"
    falsified = run.invoke(app, ["verify", target, "--set", "eps=0.75", "--set", "label=1", "--method", "bigm"])
    assert falsified.exit_code == 10
    for wrong in (["--set", "eps"], ["--set", "eps=1", "--set", "eps=2"], ["--set", "size=1"]):
        assert isinstance(run.invoke(app, ["verify", target, *wrong]).exception, InputError)
