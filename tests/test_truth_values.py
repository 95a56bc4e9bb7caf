"""What ``if`` would take for true whatever it says is refused, with what to write instead."""

from __future__ import annotations

import pytest

import nnsym as nn
from nnsym.errors import LanguageError
from nnsym.results.result import NoTruthValue


def answers() -> list[object]:
    f = nn.sequential([([[1.0, 0.0], [0.0, 1.0]], None), ([[1.0, -1.0]], None)], name="f")
    x = nn.Variable(2, name="x")
    y, where = f(x), nn.box(x, -1, 1)
    p = nn.forall(x, where=where, then=y <= 0.5)
    table = nn.compare(p, ["ibp"])
    return [
        nn.verify(p, "ibp"),
        table,
        table.rows[0],
        nn.minimize(y[0], "ibp", where=where),
        nn.reach(y, "ibp", where=where),
        nn.bounds(p),
        nn.largest(
            lambda eps: nn.forall(x, where=nn.box(x, -eps, eps), then=y <= 0.5), "ibp", low=0, high=1, precision=0.5
        ),
        nn.explain(p, "bigm", neuron="relu_1[0]"),
    ]


def test_no_answer_is_true_or_false() -> None:
    for answer in answers():
        assert isinstance(answer, NoTruthValue)
        with pytest.raises(LanguageError, match="is neither true nor false") as caught:
            bool(answer)
        assert caught.value.remedy
    with pytest.raises(TypeError, match=r"nn.verify\(p\).verified"):
        assert not answers()[0]
