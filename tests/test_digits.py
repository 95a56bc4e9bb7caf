"""Numbers as text: any length, exactly, in the digits 0 to 9 and nothing else."""

from __future__ import annotations

from fractions import Fraction

import pytest

import nnsym as nn
from nnsym.errors import InputError, NnsymError
from nnsym.ir import digits
from nnsym.ir.text import number

NET = nn.sequential([([[1, -1]], [0])], name="f")
HEAD = "".join(f"(declare-const {v} Real)\n" for v in ("X_0", "X_1", "Y_0"))
BOX = "".join(f"(assert (>= X_{k} 0))(assert (<= X_{k} 1))\n" for k in range(2))
TWO = "(vnnlib-version <2.0>)\n(declare-network f (declare-input x real [2]) (declare-output y real [1]))\n"


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("-1.50", Fraction(-3, 2)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("+2e-3", Fraction(1, 500)),
        ("1E+002", Fraction(100)),
        ("0." + "0" * 3000 + "1", Fraction(1, 10**3001)),
        ("9" * 3999, Fraction(10**3999 - 1)),
    ],
)
def test_decimals(word: str, value: Fraction) -> None:
    assert digits.decimal(word) == digits.fraction(word) == value
    assert Fraction(digits.fraction(number(value))) == value


@pytest.mark.parametrize(
    "word", ["", ".", "-", "1_0", "0x1", "1e", "٣", "３", "1٠", "1.٣", "1e٣", "²", "inf", "1 0", "1/2"]
)
def test_no_decimals(word: str) -> None:
    assert digits.decimal(word) is None


@pytest.mark.parametrize("word", ["9" * 4001, "1e999999999", "1e-5000", "1." + "3" * 4000])
def test_too_many_digits(word: str) -> None:
    with pytest.raises(OverflowError, match="at most 4000 digits"):
        digits.decimal(word)
    for text in (f"{HEAD}{BOX}(assert (>= Y_0 {word}))", f"{HEAD}(assert (<= X_0 {word}))(assert (>= Y_0 1))"):
        with pytest.raises(InputError, match=r"line [4-7]: .*at most 4000 digits"):
            nn.load_vnnlib(text.replace("(assert (>= Y", "\n(assert (>= Y").encode(), NET)


@pytest.mark.parametrize("word", ["1e400", "-1e400", "9" * 400, "1e-400"])
def test_beyond_the_range_of_floats(word: str) -> None:
    for text in (f"{HEAD}{BOX}(assert (>= Y_0 {word}))", f"{HEAD}(assert (<= X_0 {word}))(assert (>= Y_0 1))"):
        with pytest.raises(InputError, match="no float64 comes near"):
            nn.load_vnnlib(text.encode(), NET)
    text = f"{HEAD}{BOX}(assert (>= (* 1e200 Y_0) (* 1e200 1e200)))"
    with pytest.raises(InputError, match="no float64 comes near"):
        nn.load_vnnlib(text.encode(), NET)


@pytest.mark.parametrize("word", ["٣", "３", "1٠", "1.٣"])
def test_digits_of_other_scripts(word: str) -> None:
    with pytest.raises(InputError, match=f"line 6.*'{word}'"):
        nn.load_vnnlib(f"{HEAD}{BOX}(assert (>= Y_0 {word}))".encode(), NET)
    with pytest.raises(InputError, match="line 3"):
        nn.load_vnnlib(f"{TWO}(assert (>= y[0] {word}))".encode(), NET)
    x = nn.Variable(2, name="x")
    with pytest.raises(NnsymError, match="is not a number"):
        nn.box(x, 0, word)
    text = nn.forall(x, where=nn.box(x, 0, "0.1"), then=NET(x)[0] <= 2).text()
    for old, new in (("'0.1'", f"'{word}'"), ("'0.1'", word)):
        with pytest.raises(NnsymError):
            nn.parse(text.replace(old, new), [NET])
    with pytest.raises(InputError, match="is not a finite"):
        nn.forall(x, where=nn.box(x, 0, 1), then=NET(x)[0] <= 2).query.relaxed(word)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("größer (assert (>= y[0] 3.0))", "cannot be read at 'öß'"),
        ("(assert (≥ y[0] 3.0))", "cannot be read at '≥'"),
        ("(assert (>= y[" + "9" * 23 + "] 3.0))", "an index or length out of range"),
        ("(assert (>= y[4294967296] 3.0))", "an index or length out of range"),
        ("(assert (>= y[-1] 3.0))", "an index or length out of range at '-1'"),
        ("(assert (>= y[0] " + "9" * 400 + ".0))", "beyond the range of floats"),
        ("(assert " + "(and " * 100_000 + "(>= y[0] 3.0)" + ")" * 100_001, "nested more than 2000 deep"),
        ("(assert (>= " + "(- " * 3000 + "y[0]" + ")" * 3000 + " 3.0))", "nested more than 2000 deep"),
        ("(" * 100_000, "nested more than 2000 deep"),
    ],
)
def test_version_2_before_its_parser(line: str, reason: str) -> None:
    with pytest.raises(InputError, match=r"line 4: .*" + reason.replace("(", r"\(")):
        nn.load_vnnlib(f"{TWO}; größer ((((\n{line}\n".encode(), NET)


@pytest.mark.slow
def test_version_2_in_pieces() -> None:
    """A long file is handed over in parts; lines of errors stay those of the file."""
    lines = "".join(f"(assert (<= x[{k % 2}] {k}.5)) ; größer (\n" for k in range(300_000))
    good = f"{TWO}{lines}(assert (>= x[0] 0.0)) (assert (>= x[1] 0.0))\n(assert (>= y[0] 3.0))"
    query = nn.load_vnnlib(good.encode(), NET)
    assert [b.upper.tolist() for b in query.boxes.values()] == [[0.5, 1.5]]
    with pytest.raises(InputError, match="line 300004"):
        nn.load_vnnlib((good[:-2] + " 1.0))").encode(), NET)
