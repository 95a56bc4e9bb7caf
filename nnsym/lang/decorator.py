"""``@nn.prop``: properties with parameters, as functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import FunctionType
from typing import Any, final

from nnsym.errors import InputError
from nnsym.lang.algebra.chains import with_chains
from nnsym.lang.guard import misread
from nnsym.lang.property import Property

_REQUIRED = inspect.Parameter.empty
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@final
class PropertyFunction:
    """A property with parameters: calling it with values, or without, gives the property.

    ``parameters`` are the names and defaults. Inside the function ``0 < y[0] < 1`` is the conjunction that it reads as.
    """

    def __init__(self, function: FunctionType) -> None:
        self.function = with_chains(function)
        self.name = function.__name__
        self.__doc__ = function.__doc__
        self._signature = inspect.signature(function, eval_str=False)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The default of every parameter; ``inspect.Parameter.empty`` where it has none."""
        return {name: parameter.default for name, parameter in self._signature.parameters.items()}

    def __call__(self, *values: Any, **named: Any) -> Property:
        try:
            self._signature.bind(*values, **named)
        except TypeError as error:
            raise misread(f"'{self.name}': {error}", f"Parameters: {self.listed()}") from None
        found = self.function(*values, **named)
        if not isinstance(found, Property):
            raise misread(
                f"'{self.name}' returned {type(found).__name__}, not a property", "End with return nn.forall(...)"
            )
        return found.called(self.name)

    def with_text(self, settings: Mapping[str, str]) -> Property:
        """The property with parameters from text, each read as its default's type (a command line's ``--set``).

        Raises :class:`InputError`, which lists the parameters, for an unknown name, a value of another type, or a
        parameter that has neither a value nor a default.
        """
        parameters = self._signature.parameters
        for name in settings:
            if name not in parameters:
                raise self._wrong(name, "no such parameter")
        values = {name: self._read(name, text) for name, text in settings.items()}
        for name, default in self.parameters.items():
            if default is _REQUIRED and name not in values:
                raise self._wrong(name, "has no default and needs a value")
        return self(**values)

    def listed(self) -> str:
        """``eps=0.03 (float), label=0 (int)``."""
        parts = []
        for name, default in self.parameters.items():
            kind = self._kind(name)
            shown = name if default is _REQUIRED else f"{name}={default!r}"
            parts.append(f"{shown} ({kind.__name__})" if kind is not None else shown)
        return ", ".join(parts) or "none"

    def _kind(self, name: str) -> type | None:
        """The type of the default, else the annotation if it is a type that text can be read as."""
        parameter = self._signature.parameters[name]
        if parameter.default is not _REQUIRED:
            return type(parameter.default)
        known = {kind.__name__: kind for kind in _READERS}
        noted = parameter.annotation
        return known.get(noted if isinstance(noted, str) else getattr(noted, "__name__", ""))

    def _read(self, name: str, text: str) -> Any:
        kind, default = self._kind(name), self.parameters[name]
        if kind is not str and not text.isascii():
            raise self._wrong(name, f"{text!r} is not written in the digits 0 to 9")
        try:
            if kind in (list, tuple) and default:
                return kind(_READERS[type(default[0])](part.strip()) for part in text.split(","))
            if kind is not None:
                return _READERS[kind](text)
        except KeyError:
            raise self._wrong(name, f"a {kind.__name__ if kind else 'value'} cannot be read from {text!r}") from None
        except (ValueError, ArithmeticError):
            raise self._wrong(name, f"{text!r} is no {kind.__name__ if kind else 'value'}") from None
        raise self._wrong(name, "has neither a default nor a type, so text cannot be read as its value")

    def _wrong(self, name: str, reason: str) -> InputError:
        return InputError(reason, where=f"{self.name}: {name}", remedy=f"Parameters: {self.listed()}")

    def __repr__(self) -> str:
        return f"<property {self.name}({', '.join(self.parameters)})>"


def _truth(text: str) -> bool:
    return _TRUTHS[text.strip().lower()]


_READERS: dict[type, Callable[[str], Any]] = {
    bool: _truth,
    int: int,
    float: float,
    str: str,
    Decimal: Decimal,
    Fraction: Fraction,
    Path: Path,
}


def prop(function: Callable[..., Property]) -> PropertyFunction:
    """Decorator: a function that returns a property becomes a :class:`PropertyFunction`."""
    if not isinstance(function, FunctionType):
        raise misread("nn.prop decorates a function that returns a property", "Write @nn.prop above def")
    return PropertyFunction(function)
