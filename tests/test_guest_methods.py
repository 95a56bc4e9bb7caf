"""``check_method`` refuses methods that say what is not so, and passes ours and a guest's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

import nnsym as nn
from nnsym.bounds.sources import FloatBoxes
from nnsym.errors import InputError
from nnsym.ir.domain import Box
from nnsym.ir.node import Pointwise, Product
from nnsym.ir.query import Query
from nnsym.judge.conclude import Established
from nnsym.judge.method import Settings, established
from nnsym.judge.methods import crown
from nnsym.judge.portfolio import Usual
from nnsym.judge.programs.methods import milp
from nnsym.results.clock import Clock
from nnsym.testing.check_method import ConformanceError, check_method
from tests.depth import drawn
from tests.guest_methods import WRONG, Halves, Wrong


@pytest.mark.parametrize("fault", [fault for fault in WRONG if fault != "endless"])
def test_a_wrong_method_is_refused(fault: str) -> None:
    with pytest.raises(ConformanceError, match=rf"{fault} on "):
        check_method(Wrong(name=fault, boxes=40), kinds=("dense", "leaky", "abs"), sizes=())


#: What a method is right about everywhere but where this is so.
WHERE: Mapping[str, Callable[[Query], bool]] = {
    "many inputs": lambda q: sum(x.size for x in q.inputs) > 6,
    "several inputs": lambda q: len(q.inputs) > 1,
    "whole inputs": lambda q: any(x.integer.any() for x in q.inputs),
    "points": lambda q: all((box.lower == box.upper).all() for box in q.boxes.values()),
    "wide boxes": lambda q: all((box.upper - box.lower > 30).all() for box in q.boxes.values()),
    "negative inputs": lambda q: all((box.upper < 0).all() for box in q.boxes.values()),
    "ends that are no floats": lambda q: any(box.lower.dtype == object for box in q.boxes.values()),
    "smooth functions": lambda q: any(isinstance(n, Pointwise) and not n.fn.exact for n in q.nodes),
    "products": lambda q: any(isinstance(n, Product) for n in q.nodes),
    "strict conclusions": lambda q: q.strict,
    "no neurons": lambda q: not any(isinstance(n, Pointwise) for n in q.nodes),
    "large networks": lambda q: max(n.size for n in q.nodes) > 110,
}


@pytest.mark.slow
@pytest.mark.parametrize("where", WHERE)
def test_a_method_that_is_wrong_in_one_kind_of_place_is_refused(where: str) -> None:
    class Careless(Halves):
        def establish(self, query: Query, clock: Clock, settings: Settings) -> Established:
            told = super().establish(query, clock, settings)
            return replace(told, facts=replace(told.facts, certified=1e6)) if WHERE[where](query) else told

    with pytest.raises(ConformanceError, match=r"careless on "):
        check_method(Careless(name="careless", boxes=4), kinds=())


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["all of a batch are the first", "a batch is right by itself"])
def test_what_is_said_of_a_batch_is_judged(fault: str) -> None:
    class Careless(Halves):
        def establish_each(
            self, query: Query, boxes: FloatBoxes, clock: Clock, settings: Settings
        ) -> Sequence[Established]:
            (low, high), = boxes.values()  # fmt: skip
            if fault == "a batch is right by itself":
                return [established(query, clock, lower=7.0)] * len(low)
            point = replace(query, boxes={x: Box(high[-1], high[-1]) for x in query.inputs})
            return [self.establish(point, clock, settings)] * len(low)

    with pytest.raises(ConformanceError, match="careless on box"):
        check_method(Careless(name="careless", boxes=10), kinds=("dense", "leaky"), seeds=range(2), sizes=())


def test_a_clock_of_its_own_is_refused() -> None:
    with pytest.raises(ConformanceError, match=r"endless had a clock of 0\.2 s and goes on"):
        check_method(Wrong(name="endless"), kinds=(), sizes=(), grace=1.0)


def test_a_right_method_passes_and_decides() -> None:
    done = check_method(Halves(boxes=40), kinds=("dense",), seeds=range(drawn(2, 1)), sizes=())
    assert done.decided > done.questions / 4


@pytest.mark.parametrize(
    "method", [crown(), nn.attack(), milp("bigm"), nn.smt(), Usual()], ids=lambda method: str(method.name)
)
def test_ours_pass(method: object) -> None:
    assert check_method(method, kinds=("leaky",), seeds=range(1), sizes=()).questions == 6


def test_what_was_not_asked_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    done = check_method("ibp", kinds=("dense", "tanh"), seeds=range(1), sizes=())
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
