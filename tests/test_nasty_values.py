"""Values that nobody means, in every place of the public functions: an answer, or an error that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym.errors import InputError, MissingBoundsError, NnsymError, UnsupportedError
from tests.models import single

F = nn.sequential([(np.array([[1.0, -1.0], [0.5, 2.0]]), np.zeros(2)), (np.eye(2), np.array([0.0, 0.1]))], name="f")
X = nn.Variable(2, name="x")
Y = F(X)
BOX = nn.box(X, -1, 1)
PROPERTY = nn.forall(X, where=BOX, then=Y[0] <= 10)
NOISY = nn.smooth(F, nn.gaussian(1))
DATA = (np.zeros((2, 2)), np.zeros(2, int))
EVIDENCE = nn.evidence(NOISY, [0, 0], n=100, n0=10)


def robust(x: Any, label: Any, eps: Any) -> Any:
    return nn.props.robust(F, x, label, eps)


JUNK: Mapping[str, Any] = {
    "None": None, "a number": 3, "negative": -1, "NaN": np.nan, "infinity": np.inf, "a word": "zz", "no text": "",
    "a list": [], "a dictionary": {}, "an object": object(), "bytes": b"\xff", "a matrix": np.zeros((3, 3)),
    "a long integer": 10**400, "a complex number": 1j, "a function": lambda *_: None, "texts": np.array(["a"]),
    "ragged": [[1], [2, 3]], "a long decimal": Decimal("1e400"), "half a character": "\ud800", "a null byte": "\0",
    "a digit of another script": "٣", "a property": PROPERTY, "a term": Y, "a network": F, "a set": {1, 2},
    "a long float": np.longdouble(1) / 3, "a date": np.datetime64("2020-01-01"),
    "masked": np.ma.array([0.0, 1.0], mask=[0, 1]),
}  # fmt: skip

#: Questions with what is right, and the places where nothing is checked but by what the value is used for.
QUESTIONS: Mapping[str, tuple[Callable[..., Any], Mapping[str, Any]]] = {
    "verify": (nn.verify, {"prop": PROPERTY, "method": "ibp", "solver": None, "timeout": 5, "memory": 2**30}),
    "minimize": (nn.minimize, {"term": Y[0], "method": "ibp", "where": BOX, "precision": 1e-3, "threads": 1}),
    "reach": (nn.reach, {"terms": Y, "method": "ibp", "where": BOX}),
    "radius": (nn.radius, {"f": F, "x0": [0.0, 0.0], "label": 1, "method": "ibp", "high": 1.0, "p": 1, "within": None}),
    "largest": (nn.largest, {"family": lambda eps: robust([0, 0], 1, eps), "method": "ibp", "high": 1.0}),
    "lipschitz": (nn.lipschitz, {"f": F, "lower": -1, "upper": 1, "method": "norms", "p": 2, "q": 2}),
    "margins": (nn.margin_table, {"f": F, "x0": [0, 0], "label": 0, "eps": 0.1, "method": "ibp", "within": (-1, 1)}),
    "table": (nn.table, {"family": robust, "data": DATA, "methods": "ibp", "eps": 0.1, "timeout": 5}),
    "explain": (nn.explain, {"prop": PROPERTY, "encoding": "bigm", "neuron": "spec[0]", "bounds": "ibp"}),
    "evidence": (nn.evidence, {"g": NOISY, "x": [0, 0], "n": 100, "n0": 10}),
    "certified accuracy": (nn.certified_accuracy, {"evidence": [EVIDENCE], "labels": [0], "radii": [0.1]}),
    "sequential": (nn.sequential, {"layers": [(np.eye(2), None)], "activation": "relu"}),
    "Variable": (nn.Variable, {"shape": 2, "name": "x", "integer": False, "names": ()}),
    "box": (nn.box, {"x": X, "lower": -1, "upper": 1}),
    "ball": (nn.ball, {"x": X, "x0": [0, 0], "eps": 1, "p": np.inf, "within": (-1, 1)}),
    "parse": (nn.parse, {"text": ""}),
    "evaluate": (F.evaluate, {"argument": [0, 0]}),
    "a comparison": (lambda right: right >= Y, {"right": 1}),
}  # fmt: skip

PLACES = [(name, place) for name, (_, given) in QUESTIONS.items() for place in given]


@pytest.mark.slow
@pytest.mark.parametrize(("question", "place"), PLACES)
def test_no_value_raises_what_is_no_error_of_ours(question: str, place: str) -> None:
    ask, given = QUESTIONS[question]
    for what, value in JUNK.items():
        arguments = [value] if question == "evaluate" else []
        named = {} if question == "evaluate" else {**given, place: value}
        try:
            ask(*arguments, **named)
        except NnsymError as error:
            if "report" in str(error):
                pytest.fail(f"{what}: {error}")
        except Exception as error:  # what is raised is said with the value that did it
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error


@pytest.mark.parametrize("value", [np.longdouble(1) / 3, Decimal("0.1"), Decimal("1e400"), np.longdouble(2) ** 5000])
def test_numbers_of_any_type_keep_their_value(value: Any) -> None:
    exactly = Fraction(*value.as_integer_ratio())
    x = nn.Variable(1, name="x")
    above = nn.forall(x, where=nn.box(x, 0, None), then=x[0] <= value)
    for prop in (above, nn.parse(nn.dumps(above))):
        assert prop([exactly])
        assert not prop([exactly + Fraction(1, 10**30)])


@pytest.mark.parametrize("method", ["alpha:٣", "search:٣", "bab:steps=٣", "alpha:" + "9" * 5000, "bab:workers=100000"])
def test_parameters_are_short_numbers_in_digits_of_ours(method: str) -> None:
    with pytest.raises(InputError):
        nn.verify(PROPERTY, method)


@pytest.mark.parametrize("method", ["norms", "sdp", "jacobian", "crown"])
@pytest.mark.parametrize("box", [(-1, 1), (None, None)])
def test_what_overflows_has_no_constant_and_no_traceback(method: str, box: tuple[Any, Any]) -> None:
    f = nn.sequential([(np.eye(2) * 1e200, np.zeros(2)), (np.eye(2) * 1e200, np.zeros(2))])
    if method != "crown" or box[0] is not None:
        assert nn.lipschitz(f, *box, method).certified == np.inf


def test_a_classifier_that_is_never_right_has_a_table() -> None:
    found = nn.certified_accuracy([EVIDENCE], [1 - EVIDENCE.top], [0.0, 0.5])
    assert not found.certified.any()


def test_a_number_is_its_own_minimum() -> None:
    found = nn.minimize(3)
    assert (found.lower, found.upper) == (3, 3)


def test_a_command_that_cannot_be_split_is_an_input_error() -> None:
    with pytest.raises(InputError, match="quotation"):
        nn.verify(PROPERTY, "smt", solver="smtlib:'")


MASKED = np.ma.array([[0.1, 0.2], [0.3, 0.4]], mask=[[0, 1], [0, 0]])

#: Everything that takes numbers from a user, each with numbers of which some are masked.
OF_MASKED: Mapping[str, Callable[[], Any]] = {
    "a box": lambda: nn.box(X, MASKED[0], 1),
    "a constant": lambda: MASKED @ X,
    "one number": lambda: X[0] + np.ma.masked,
    "a limit": lambda: nn.clip(X, MASKED[0], 1),
    "a centre": lambda: nn.radius(F, MASKED[0], 0, high=1),
    "weights": lambda: nn.sequential([(MASKED, None)]),
    "a bias": lambda: nn.sequential([(np.eye(2), MASKED[0])]),
    "a value": lambda: F.evaluate(MASKED[0]),
    "slack": lambda: nn.verify(PROPERTY, "ibp", slack=np.ma.masked),
    "data": lambda: nn.table(robust, (MASKED, [0, 1]), "ibp", eps=0.1),
    "labels": lambda: nn.table(robust, (DATA[0], np.ma.array([0, 1], mask=[0, 1])), "ibp", eps=0.1),
    "noise": lambda: nn.gaussian(np.ma.masked),
    "radii": lambda: nn.certified_accuracy([EVIDENCE], [0], MASKED[0]),
    "right classes": lambda: nn.certified_accuracy([EVIDENCE], [np.ma.masked], [0.1]),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("what", OF_MASKED, ids=str)
def test_masked_numbers_are_refused_in_one_way_and_without_a_warning(what: str) -> None:
    """NumPy hands out what stands behind a mask, or warns and gives NaN."""
    with pytest.raises(InputError, match="masked elements"):
        OF_MASKED[what]()


@pytest.mark.parametrize("method", [None, "ibp", "attack", "smt", "bab"])
@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(
    "box", [("0", "1e400"), ("1e400", "2e400"), ("-1e400", "1e400"), ("1e39", "1e40"), ("0", "1e-390")]
)
def test_boxes_beyond_floats_are_decided_or_said_to_need_bounds(
    method: str | None, stored: bool, box: tuple[str, str]
) -> None:
    """Whatever floats can be had of such limits, nothing ends in an error of Python, and no verdict is wrong."""
    f = nn.load(single("Relu", (2,))) if stored else nn.sequential([(np.eye(2), np.zeros(2))] * 2, activation="relu")
    x = nn.Variable(2, name="x")
    for then, truth in ((f(x)[0] >= -1, True), (f(x)[0] <= 1, box[1] == "1e-390")):
        p = nn.forall(x, where=nn.box(x, Decimal(box[0]), Decimal(box[1])), then=then)
        try:
            found = nn.verify(p, method, timeout=20)
        except MissingBoundsError:
            continue
        assert found.status.value in ("unknown", "verified" if truth else "falsified")
        assert found.reason != "solver_error"
        if method == "smt":
            assert found.status.value != "unknown"


@pytest.mark.parametrize(
    "number", ["nan", "-NaN", Decimal("NaN"), np.nan, [0, "nan"], [Decimal("NaN"), 1], [np.nan, "0.1"]]
)
def test_nan_is_no_limit_however_it_is_written(number: Any) -> None:
    for make in (
        lambda: nn.box(X, 0, number),
        lambda: nn.box(X, number, 1),
        lambda: nn.ball(X, number, 1),
        lambda: number >= X,
    ):
        with pytest.raises(InputError, match="NaN"):
            make()


@pytest.mark.parametrize("limits", [("-1e400", "1e400"), (-1e300, 1e300)])
@pytest.mark.parametrize("scale", [1e-300, 0.5])
def test_samples_say_nothing_of_domains_beyond_floats(limits: tuple[Any, Any], scale: float) -> None:
    g = nn.smooth(F, nn.gaussian(scale))
    p = nn.forall(X, where=nn.box(X, *limits), then=nn.argmax(g(X)) == 1)
    assert nn.verify(p, nn.sampling(n=100, n0=10)).status.value == "unknown"
    far = nn.forall(X, where=nn.box(X, 0, "1e400"), then=nn.argmax(g(X)) == 1)
    with pytest.raises(UnsupportedError, match="the centre of the domain of 'x' is beyond floats"):
        nn.verify(far, nn.sampling(n=100, n0=10))
