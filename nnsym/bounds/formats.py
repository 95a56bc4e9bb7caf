"""Float formats that bounds are computed in, by what arithmetic in them may lose (docs/rounding.md, "Bounds").

A sum of ``k`` products, added in any order, with or without fused operations, differs from the exact one by at
most ``gamma_k sum |a_i||x_i|``, ``gamma_k = k u / (1 - k u)`` (Higham, Accuracy and Stability of Numerical Algorithms,
2nd ed., section 3.1), apart from underflow. Values beyond ``huge`` count as unbounded, so that underflow is covered by
an absolute ``tiny`` whatever the hardware does with subnormal numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class FloatFormat:
    """The unit roundoff ``u`` and the limits that keep underflow apart from everything else.

    ``pad`` is added to magnitudes, so that a relative error of them covers underflow in what they bound; ``tiny`` is
    what a pass pays for underflow once.
    """

    u: float
    huge: float
    pad: float
    tiny: float

    def gamma(self, additions: int) -> float:
        """At least gamma_k for k ``additions``, with enough to spare to evaluate the error term itself in floats.

        That is ``k u (1 + 2^-5)`` where k u is at most 2^-8 (a second error of that size is well below 2^-5),
        ``2 k u`` up to 1/8, and infinite beyond.
        """
        size = additions * self.u
        if size <= 2.0**-8:
            return size * (1.0 + 2.0**-5)
        return 2.0 * size if size <= 0.125 else math.inf


def settle(xp: Any, lower: Any, upper: Any, huge: float) -> tuple[Any, Any]:
    """Bounds whose NaN and magnitudes beyond ``huge`` are unbounded; both only widen the interval.

    ``xp`` is the library of the arrays, as in :mod:`nnsym.bounds.planes`.
    """
    if bool((xp.maximum(abs(lower), abs(upper)) <= huge).all()):  # no NaN either
        return lower, upper
    lower = xp.clip(xp.nan_to_num(lower, nan=-math.inf, posinf=huge, neginf=-math.inf), None, huge)
    upper = xp.clip(xp.nan_to_num(upper, nan=math.inf, posinf=math.inf, neginf=-huge), -huge, None)
    return xp.where(lower < -huge, -math.inf, lower), xp.where(upper > huge, math.inf, upper)


DOUBLE = FloatFormat(u=2.0**-53, huge=2.0**100, pad=2.0**-700, tiny=2.0**-800)
SINGLE = FloatFormat(u=2.0**-24, huge=2.0**40, pad=2.0**-60, tiny=2.0**-44)
