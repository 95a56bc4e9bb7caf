# ruff: noqa: A004, F401
"""nnsym: state a property of neural networks once, compile it to every proof technique, trust the verdict.

Names load when they are first used, so that ``import nnsym`` is fast and needs neither torch nor onnx.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnsym.compare import compare as compare
    from nnsym.errors import InputError as InputError
    from nnsym.errors import LanguageError as LanguageError
    from nnsym.errors import MissingBoundsError as MissingBoundsError
    from nnsym.errors import NnsymError as NnsymError
    from nnsym.errors import SolverUnavailableError as SolverUnavailableError
    from nnsym.errors import UnsupportedError as UnsupportedError
    from nnsym.explain import explain as explain
    from nnsym.export import export as export
    from nnsym.export import to_pyomo as to_pyomo
    from nnsym.export import to_vnnlib as to_vnnlib
    from nnsym.ir.network import Network as Network
    from nnsym.lang import props as props
    from nnsym.lang import zoo as zoo
    from nnsym.lang.assume import assume as assume
    from nnsym.lang.dump import dumps as dumps
    from nnsym.lang.files import load_property as load_property
    from nnsym.lang.formulas import reduce_all as all
    from nnsym.lang.formulas import reduce_any as any
    from nnsym.lang.functions import abs_ as abs
    from nnsym.lang.functions import clip as clip
    from nnsym.lang.functions import concat as concat
    from nnsym.lang.functions import max_ as max
    from nnsym.lang.functions import min_ as min
    from nnsym.lang.functions import norm as norm
    from nnsym.lang.functions import relu_ as relu
    from nnsym.lang.functions import sign as sign
    from nnsym.lang.parse import parse as parse
    from nnsym.lang.prop import prop as prop
    from nnsym.lang.property import Property as Property
    from nnsym.lang.property import exists as exists
    from nnsym.lang.property import forall as forall
    from nnsym.lang.ranking import argmax as argmax
    from nnsym.lang.ranking import argmin as argmin
    from nnsym.lang.ranking import topk as topk
    from nnsym.lang.ranking import wins as wins
    from nnsym.lang.sets import ball as ball
    from nnsym.lang.sets import box as box
    from nnsym.lang.variables import Variable as Variable
    from nnsym.lang.variables import one_hot as one_hot
    from nnsym.methods import alpha as alpha
    from nnsym.methods import attack as attack
    from nnsym.methods import crown as crown
    from nnsym.methods import ibp as ibp
    from nnsym.methods import lp as lp
    from nnsym.methods import milp as milp
    from nnsym.methods import smt as smt
    from nnsym.optimise import maximize as maximize
    from nnsym.optimise import minimize as minimize
    from nnsym.radius import largest as largest
    from nnsym.radius import lipschitz as lipschitz
    from nnsym.radius import radius as radius
    from nnsym.radius import smallest as smallest
    from nnsym.reach import margin_table as margin_table
    from nnsym.reach import reach as reach
    from nnsym.read.arrays import sequential as sequential
    from nnsym.read.onnx import load as load
    from nnsym.read.torch import from_torch as from_torch
    from nnsym.read.vnnlib import load_vnnlib as load_vnnlib
    from nnsym.report.draw import draw as draw
    from nnsym.report.draw import draw_reach as draw_reach
    from nnsym.report.property_bounds import bounds as bounds
    from nnsym.vacuity import vacuous as vacuous
    from nnsym.verify import verify as verify
    from nnsym.witness import write_witness as write_witness

_HOMES = {
    "nnsym.errors": "InputError LanguageError MissingBoundsError NnsymError SolverUnavailableError UnsupportedError",
    "nnsym.compare": "compare",
    "nnsym.explain": "explain",
    "nnsym.export": "export to_pyomo to_vnnlib",
    "nnsym.ir.network": "Network",
    "nnsym.lang.dump": "dumps",
    "nnsym.lang.assume": "assume",
    "nnsym.lang.files": "load_property",
    "nnsym.lang.formulas": "reduce_all:all reduce_any:any",
    "nnsym.lang.functions": "abs_:abs clip concat max_:max min_:min norm relu_:relu sign",
    "nnsym.lang.parse": "parse",
    "nnsym.lang.prop": "prop",
    "nnsym.lang.property": "Property exists forall",
    "nnsym.lang.ranking": "argmax argmin topk wins",
    "nnsym.lang.sets": "ball box",
    "nnsym.lang.variables": "Variable one_hot",
    "nnsym.methods": "alpha attack crown ibp lp milp smt",
    "nnsym.optimise": "maximize minimize",
    "nnsym.read.arrays": "sequential",
    "nnsym.read.onnx": "load",
    "nnsym.read.torch": "from_torch",
    "nnsym.read.vnnlib": "load_vnnlib",
    "nnsym.radius": "largest lipschitz radius smallest",
    "nnsym.reach": "margin_table reach",
    "nnsym.report.draw": "draw draw_reach",
    "nnsym.vacuity": "vacuous",
    "nnsym.verify": "verify",
    "nnsym.witness": "write_witness",
}
_MODULES = {"bounds": "nnsym.bounds", "props": "nnsym.lang.props", "zoo": "nnsym.lang.zoo"}
_NAMES = {
    public or own: (module, own)
    for module, names in _HOMES.items()
    for own, _, public in (entry.partition(":") for entry in names.split())
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = importlib.import_module(_MODULES[name])
    elif name in _NAMES:
        module, own = _NAMES[name]
        value = getattr(importlib.import_module(module), own)
    else:
        raise AttributeError(f"module 'nnsym' has no attribute '{name}'")
    globals()[name] = value
    return value


class _Callable(ModuleType):
    """``nnsym.bounds`` is a package, whose modules people import, and a function, which people call."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return importlib.import_module("nnsym.report.property_bounds").bounds(*args, **options)


class _Package(ModuleType):
    """``nnsym.verify`` is the function even after something imported the module of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "bounds" and isinstance(value, ModuleType):
            value.__class__ = _Callable
        if not (isinstance(value, ModuleType) and name in _NAMES):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted((*_NAMES, *_MODULES))
