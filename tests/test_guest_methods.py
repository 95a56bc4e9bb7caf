"""``check_method`` refuses methods that say what is not so, and passes ours and a guest's."""

from __future__ import annotations

import pytest

import nnsym as nn
from nnsym.errors import InputError
from nnsym.judge.methods import crown
from nnsym.judge.portfolio import Usual
from nnsym.judge.programs import milp
from nnsym.testing.check_method import ConformanceError, check_method
from tests.depth import drawn
from tests.guest_methods import WRONG, Halves, Wrong


@pytest.mark.parametrize("fault", [fault for fault in WRONG if fault != "endless"])
def test_a_wrong_method_is_refused(fault: str) -> None:
    with pytest.raises(ConformanceError, match=rf"{fault} on "):
        check_method(Wrong(name=fault, boxes=40), kinds=("dense", "leaky", "abs"))


def test_a_clock_of_its_own_is_refused() -> None:
    with pytest.raises(ConformanceError, match=r"endless had a clock of 0\.2 s and goes on"):
        check_method(Wrong(name="endless"), kinds=(), grace=1.0)


def test_a_right_method_passes_and_decides() -> None:
    done = check_method(Halves(boxes=40), kinds=("dense",), seeds=range(drawn(2, 1)))
    assert done.decided > done.questions / 4


@pytest.mark.parametrize(
    "method", [crown(), nn.attack(), milp("bigm"), nn.smt(), Usual()], ids=lambda method: str(method.name)
)
def test_ours_pass(method: object) -> None:
    assert check_method(method, kinds=("leaky",), seeds=range(1)).questions == 6


def test_what_was_not_asked_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    done = check_method("ibp", kinds=("dense", "tanh"), seeds=range(1))
    assert done.skipped == (("tanh", "no oracle knows its least margin"),)
    assert "check_method(ibp) skipped tanh" in capsys.readouterr().err


def test_a_guest_is_used_wherever_ours_are() -> None:
    x = nn.Variable(2, name="x")
    f = nn.zoo.random_mlp(5, widths=(2, 6, 6, 2))
    y, guest = f(x), Halves(boxes=100)
    p = nn.forall(x, where=nn.box(x, -1, 1), then=y[0] - y[1] >= -3, name="small")
    alone, result = nn.verify(p, "ibp"), nn.verify(p, guest)
    assert (result.method, result.bounds, result.encoding, result.solver) == ("halves", "ibp", "", "")
    assert result.lower > alone.lower
    row = nn.compare(p, ["crown", guest]).rows[1]
    assert (row.method, row.bounds, row.exact, row.error) == ("halves", "ibp", False, "")
    right = nn.minimize(y[0] - y[1], where=nn.box(x, -1, 1))
    least = nn.minimize(y[0] - y[1], guest, where=nn.box(x, -1, 1))
    assert nn.minimize(y[0] - y[1], "ibp", where=nn.box(x, -1, 1)).lower < least.lower <= right.upper
    assert least.upper >= right.lower
    with pytest.raises(InputError, match="takes no solver"):
        nn.verify(p, "attack", solver="highs")
