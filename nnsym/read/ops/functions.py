"""Functions of one variable with parameters, as ONNX defines them; what takes none is in the table alone."""

from __future__ import annotations

from nnsym.ir.functions.exponentials import Elu, Softplus, celu, selu
from nnsym.ir.functions.gates import Gelu, HardSwish, Mish, Silu, TanhGelu
from nnsym.ir.functions.shrinks import shrink
from nnsym.ir.functions.steps import Atan, Erf, Softsign
from nnsym.ir.functions.waves import Cos, Sin
from nnsym.ir.univariate import Univariate
from nnsym.read.ops.activations import applied, pointwise_of
from nnsym.read.ops.base import Call
from nnsym.read.tensors import Value

sine, cosine, arc_tangent = pointwise_of(Sin()), pointwise_of(Cos()), pointwise_of(Atan())
error_function, softsign, softplus = pointwise_of(Erf()), pointwise_of(Softsign()), pointwise_of(Softplus())
mish, hard_swish = pointwise_of(Mish()), pointwise_of(HardSwish())


def elu(call: Call) -> list[Value]:
    """``x`` right of 0, ``alpha (e^x - 1)`` left of it."""
    return [applied(Elu(call.number("alpha", 1.0)), call.tensor(0))]


def scaled_elu(call: Call) -> list[Value]:
    """``gamma`` times an ELU; the defaults are those of operator set 6."""
    alpha = call.number("alpha", 1.67326319217681884765625)
    return [applied(selu(alpha, call.number("gamma", 1.05070102214813232421875)), call.tensor(0))]


def continuous_elu(call: Call) -> list[Value]:
    """``max(0, x) + min(0, alpha (e^(x / alpha) - 1))``."""
    return [applied(celu(call.number("alpha", 1.0)), call.tensor(0))]


def gelu(call: Call) -> list[Value]:
    """Either form, by the attribute ``approximate``."""
    form = call.text("approximate", "none")
    forms: dict[str, Univariate] = {"none": Gelu(), "tanh": TanhGelu()}
    if form not in forms:
        raise call.refuse(f"approximate='{form}'", "The forms are 'none' and 'tanh'")
    return [applied(forms[form], call.tensor(0))]


def swish(call: Call) -> list[Value]:
    """``x / (1 + e^(-alpha x))``."""
    return [applied(Silu(call.number("alpha", 1.0)), call.tensor(0))]


def quick_gelu(call: Call) -> list[Value]:
    """ONNX Runtime's own: ``x / (1 + e^(-alpha x))``, with 1.702 where nothing is said."""
    return [applied(Silu(call.number("alpha", 1.702)), call.tensor(0))]


def shrinking(call: Call) -> list[Value]:
    """``x + bias`` left of ``-lambd``, ``x - bias`` right of ``lambd``, 0 between."""
    limit, bias = call.number("lambd", 0.5), call.number("bias", 0.0)
    if limit < 0:
        raise call.refuse(f"lambd = {limit:g}", "It is no interval then")
    return [applied(shrink(limit, bias), call.tensor(0))]
