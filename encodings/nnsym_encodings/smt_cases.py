"""SMT as textbooks write it: every open neuron defined by cases over its own two lines, without helper Booleans.

For ``y = a h`` left of 0 and ``b h`` right of it (ReLU: a = 0, b = 1), over exact rationals, one of

    smt-textbook   (h <= 0 and y = a h) or (h > 0 and y = b h)
    smt-ite        y = ite(h >= 0, b h, a h)
    smt-implies    (h >= 0 => y = b h) and (h < 0 => y = a h)

All three say the same, and the same as the guarded form of ``smt``. They are here to be compared with it: a solver has
to invent the atoms that the guarded form names, asserts no fact outside of a branch, and gets two bounds a branch
instead of one. Stable neurons are substituted and bounds are asserted as in ``smt``, so that what is
compared is the form alone. Maxima and products are those of ``smt``.

Emits: linear rows, definitions by cases; for maxima Boolean columns, implications, clauses. Needs no bounds.

Source: the disjunction is the definition in Katz et al., Reluplex, CAV 2017, section 3; the other two are its
equivalents in SMT-LIB's core theory.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from nnsym.encode.rules import BILINEAR, open_hinges
from nnsym.encoding import Context, Encoding, Exactness, Form, NodeRule, Rule
from nnsym.ir.node import Max, Pointwise
from nnsym.ir.univariate import Hinge
from nnsym.program import CaseBlock, CaseForm, Feature
from nnsym_encodings.smt import maximum

Array = NDArray[Any]


def hinge(form: CaseForm) -> Rule:
    """The rule for ReLU and its relatives in one of the forms."""

    def rule(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
        ids, o = open_hinges(ctx, node, args[0])
        fn = node.fn
        assert isinstance(fn, Hinge)  # rules are looked up by the type of fn
        left, right = (slope[o.index] for slope in fn.slopes(node.size))
        ctx.builder.functions(CaseBlock(o.y, o.h, left, right, form, f"{ctx.names[node]}: {form.value}"))
        return ids

    return rule


def _encoding(name: str, form: CaseForm) -> Encoding:
    return Encoding(
        name=name,
        summary=f"exact SMT, {form.value}",
        source="Katz et al., CAV 2017, section 3",
        form=Form.BOOLEAN,
        emits=frozenset(
            {
                Feature.ROWS,
                Feature.BINARIES,
                Feature.IMPLICATIONS,
                Feature.CLAUSES,
                Feature.CASES,
                Feature.TRUTH,
            }
        ),
        rules=(
            NodeRule(Pointwise, Exactness.EXACT, hinge(form), Hinge),
            NodeRule(Max, Exactness.EXACT, maximum),
            BILINEAR,
        ),
        needs_bounds=False,
    )


TEXTBOOK = _encoding("smt-textbook", CaseForm.OR)
ITE = _encoding("smt-ite", CaseForm.ITE)
IMPLIES = _encoding("smt-implies", CaseForm.IMPLIES)
