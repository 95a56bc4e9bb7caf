"""SMT as textbooks write it: every open neuron defined by cases over its own two lines, without helper Booleans.

For ``y = a h`` left of 0 and ``b h`` right of it (ReLU: a = 0, b = 1), over exact rationals, one of

    smt-textbook   (h <= 0 and y = a h) or (h > 0 and y = b h)
    smt-ite        y = ite(h >= 0, b h, a h)
    smt-implies    (h >= 0 => y = b h) and (h < 0 => y = a h)

A piecewise-linear function (clip, sign) has a case for every line and every jump's value, whose tests are strict where
the function is.

All three say the same, and the same as the guarded form of ``smt``. They are here to be compared with it: a solver has
to invent the atoms that the guarded form names, asserts no fact outside of a branch, and gets two bounds a branch
instead of one. Stable neurons are substituted and bounds are asserted as in ``smt``, so that what is
compared is the form alone. Maxima and products are those of ``smt``.

Emits: linear rows, definitions by cases; for maxima Boolean columns, implications, clauses. Needs no bounds.

Source: the disjunction is the definition in Katz et al., Reluplex, CAV 2017, section 3; the other two are its
equivalents in SMT-LIB's core theory.
"""

from __future__ import annotations

import numpy as np

from nnsym.encode.common import COMMON_CASES
from nnsym.encode.pieces import open_pieces
from nnsym.encode.rules import open_hinges
from nnsym.encoding import Context, Encoding, Exactness, Form, NodeRule, Rule
from nnsym.ir.array import Array
from nnsym.ir.node import Max, Pointwise
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.program import CaseBlock, CaseForm, Feature
from nnsym_encodings.smt import maximum


def hinge(form: CaseForm) -> Rule:
    """The rule for ReLU and its relatives in one of the forms."""

    def rule(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
        ids, o = open_hinges(ctx, node, args[0])
        fn = node.fn
        assert isinstance(fn, Hinge)  # rules are looked up by the type of fn
        slopes = np.stack([slope[o.index] for slope in fn.slopes(node.size)])
        start = np.zeros((1, len(o.index)))
        strict = np.full(start.shape, form is CaseForm.OR)
        ctx.builder.functions(
            CaseBlock(o.y, o.h, slopes, 0 * slopes, start, strict, form, f"{ctx.names[node]}: {form.value}")
        )
        return ids

    return rule


def pieces(form: CaseForm) -> Rule:
    """The rule for clip, sign and their relatives in one of the forms."""

    def rule(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
        ids, open_ = open_pieces(ctx, node, args[0])
        for o in open_:
            starts, strict, origin = o.low[1:], o.open_low[1:], f"{ctx.names[node]}: y = a h + b by cases"
            ctx.builder.functions(CaseBlock(o.y, o.h, o.slope, o.offset, starts, strict, form, origin))
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
            NodeRule(Pointwise, Exactness.EXACT, pieces(form), Piecewise),
            NodeRule(Max, Exactness.EXACT, maximum),
            *COMMON_CASES,
        ),
        needs_bounds=False,
    )


TEXTBOOK = _encoding("smt-textbook", CaseForm.OR)
ITE = _encoding("smt-ite", CaseForm.ITE)
IMPLIES = _encoding("smt-implies", CaseForm.IMPLIES)
