"""Activations by name: our own, and what installed packages offer under the entry point ``nnsym.activations``.

An entry point names a :class:`~nnsym.ir.univariate.Univariate`, or a module with ``ACTIVATIONS``, a tuple of them. One
that cannot be used is left out, and said to be where a name is not found.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, ModuleType

from nnsym.errors import InputError, did_you_mean
from nnsym.ir.functions.exponentials import Elu, Exp, Log, LogSigmoid, Softplus, celu, selu
from nnsym.ir.functions.gates import Gelu, HardSwish, Mish, Silu, TanhGelu
from nnsym.ir.functions.powers import Reciprocal, Sqrt
from nnsym.ir.functions.shrinks import shrink
from nnsym.ir.functions.steps import Atan, Erf, Softsign
from nnsym.ir.functions.waves import Cos, Sin
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import Univariate, absolute, hard_tanh, leaky_relu, relu, relu6, sign
from nnsym.ir.words import kind_of

GROUP = "nnsym.activations"


def find_activation(activation: str | Univariate) -> Univariate:
    """The function that a name stands for; a function is itself.

    Raises :class:`InputError` for a name that is unknown or offered twice.
    """
    if isinstance(activation, Univariate):
        return activation
    if not isinstance(activation, str):
        what = activation.__name__ if isinstance(activation, type) else type(activation).__name__
        made = ", made: write its brackets" if isinstance(activation, type) else ""
        raise InputError(f"'{what}' is no activation", remedy=f"Give a name or an nnsym.ir.univariate.Univariate{made}")
    known, left_out = activations()
    if activation not in known:
        others = "".join(f". Left out: {name}: {why}" for name, why in left_out.items())
        meant = did_you_mean(activation, known)
        raise InputError(
            f"unknown activation '{activation}'", remedy=f"{meant}Choose one of: {', '.join(known)}{others}"
        )
    return known[activation]


@cache
def activations() -> tuple[Mapping[str, Univariate], Mapping[str, str]]:
    """Every activation by name, ours first, and the entry points that cannot be used, each with the reason."""
    own: tuple[Univariate, ...] = (
        *(relu(), leaky_relu(0.01), absolute(), relu6(), hard_tanh(), sign(), shrink(0.5, 0.5), shrink(0.5)),
        *(Sigmoid(), Tanh(), Erf(), Atan(), Softsign(), Exp(), Log(), Sqrt(), Reciprocal(), Sin(), Cos()),
        *(Softplus(), LogSigmoid(), Elu(), selu(), celu(), Gelu(), TanhGelu(), Silu(), Mish(), HardSwish()),
    )
    found: dict[str, Univariate] = {fn.name: fn for fn in own}
    left_out: dict[str, str] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.value):
        try:
            offered = _offered(point)
        except (Exception, SystemExit) as error:  # a package that fails must not take the rest down
            left_out[point.value] = f"{type(error).__name__}: {error}"
            continue
        for fn in offered:
            if fn.name in found:
                left_out[point.value] = f"InputError: '{fn.name}' is offered already"
            else:
                found[fn.name] = fn
    return MappingProxyType(found), MappingProxyType(left_out)


def _offered(point: EntryPoint) -> tuple[Univariate, ...]:
    loaded = point.load()
    offered = tuple(getattr(loaded, "ACTIVATIONS", ())) if isinstance(loaded, ModuleType) else (loaded,)
    for fn in offered:
        if not isinstance(fn, Univariate) or not isinstance(fn.name, str):
            raise InputError(f"offers {kind_of(fn)}, expected an nnsym.ir.univariate.Univariate with a name")
    if not offered:
        raise InputError("the module has no ACTIVATIONS")
    return offered
