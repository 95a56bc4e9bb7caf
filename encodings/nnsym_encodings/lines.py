"""Single lines: an open neuron between its chord and one line through the origin, as linear propagation sees it.

For an open ReLU ``y = max(0, h)``, ``l < 0 < u``, the chord of the triangle above and below only

    y >= s h,    s = 0 (zero),  u / (u - l) (parallel),  1 if u >= -l else 0 (adaptive)

and for any hinge ``max(a h, b h)``, a < b, the slope in [a, b] nearest to 0, that of the chord, and the one of the two
lines that leaves the smaller area. Everything else is as in the triangle.

To compare: with these lines the LP over the whole network is what backward linear bounds (``crown-zero``,
``fastlin``, ``crown``) solve by substitution, for the same bounds of hidden neurons, by LP duality. As an LP it is a
little stronger, because the columns keep their bounds; the triangle takes both lines at once and contains them all.

Emits: linear rows. Needs finite bounds of everything that is open.

Source: Weng et al., Towards Fast Computation of Certified Robustness for ReLU Networks, ICML 2018 (parallel); Zhang et
al., Efficient Neural Network Robustness Certification with General Activation Functions, NeurIPS 2018 (zero, adaptive);
Salman et al., A Convex Relaxation Barrier, NeurIPS 2019, section 4 (the duality).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nnsym.encode.hinges import OpenHinges
from nnsym.encode.rules import open_hinges, require_finite
from nnsym.encoding import Context, Encoding, Exactness, NodeRule
from nnsym.ir.array import Array
from nnsym.ir.node import Pointwise
from nnsym.ir.univariate import Hinge
from nnsym_encodings.triangle import TRIANGLE, chord

Slope = Callable[[OpenHinges], Array]


def zero(o: OpenHinges) -> Array:
    """The flattest slope."""
    return np.asanyarray(np.clip(0.0, o.a, o.b))


def parallel(o: OpenHinges) -> Array:
    """The slope of the chord; any float near it between a and b will do."""
    return np.asanyarray(np.clip((o.b * o.u - o.a * o.l) / (o.u - o.l), o.a, o.b))


def adaptive(o: OpenHinges) -> Array:
    """The slope of the line with the smaller area."""
    return np.where(o.u >= -o.l, o.b, o.a)


def _encoding(name: str, slope: Slope, source: str) -> Encoding:
    def hinge(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
        ids, o = open_hinges(ctx, node, args[0])
        require_finite(ctx, node.parents[0], o.l, o.u, o.index)
        ctx.rows(node, [(o.sign, o.y), (-slope(o), o.h)], lower=0.0, says="y above a line through the origin")
        chord(ctx, node, o)
        return ids

    others = tuple(rule for rule in TRIANGLE.rules if rule.fn is not Hinge)
    rules = (NodeRule(Pointwise, Exactness.OUTER, hinge, Hinge), *others)
    summary = f"LP, one line below every neuron ({name})"
    return replace(TRIANGLE, name=f"line-{name}", summary=summary, source=source, rules=rules)


LINES = (
    _encoding("zero", zero, "Zhang et al., NeurIPS 2018"),
    _encoding("parallel", parallel, "Weng et al., ICML 2018"),
    _encoding("adaptive", adaptive, "Zhang et al., NeurIPS 2018"),
)
