"""Digests of what items and families hold: equal content gives equal digests, and other content gives others."""

from __future__ import annotations

import hashlib
import numbers
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, final

import numpy as np

import nnsym
from nnsym.errors import InputError
from nnsym.ir.query import Query
from nnsym.lang.decorator import PropertyFunction


class Content:
    """A digest that values are fed to, with their kinds and sizes; a value without content is refused."""

    def __init__(self) -> None:
        self._total = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256 of what was fed, in its order."""
        return self._total.hexdigest()

    def say(self, line: str) -> None:
        """Add a line of text."""
        self._total.update(f"{line}\n".encode(errors="surrogatepass"))

    def feed(self, value: object) -> None:
        """Add a value: numbers, texts, arrays, paths, networks, properties, and collections of them.

        Raises:
            InputError: a value of another kind.
        """
        value = _as_array(value)
        if isinstance(value, np.ndarray) and value.dtype.kind not in _LISTED:
            self.say(f"array {value.dtype.str} {value.shape}")
            self._total.update(value.tobytes() if value.dtype.kind in "mM" else np.ascontiguousarray(value).data)
        elif isinstance(value, (list, tuple, range)) or (isinstance(value, np.ndarray) and value.ndim):
            self._each(f"{'tuple' if isinstance(value, tuple) else 'list'} {len(value)}", value)
        elif isinstance(value, Mapping):
            self._each(f"map {len(value)}", ((str(key), part) for key, part in value.items()))
        elif isinstance(value, Path):
            self.say(f"file {value.name}")
            if value.is_file():
                self._total.update(hashlib.sha256(value.read_bytes()).digest())
        elif (text := _text(value)) is not None:
            self.say(f"{type(value).__name__} {text}")
        else:
            self.other(value)

    def other(self, value: object) -> None:
        """Add a value that has no content of its own."""
        raise InputError(
            f"an item of the type {type(value).__name__} has no content that could be told from another's",
            where="data",
            remedy="Use numbers, texts, arrays, paths, networks, properties, and lists and dictionaries of them",
        )

    def _each(self, head: str, values: Iterable[object]) -> None:
        self.say(head)
        for value in values:
            self.feed(value)


@final
class Held(Content):
    """The content of a function: its code, and all data that the code reaches without opening a file.

    That is what was given to it in advance (``partial``, defaults, closures, attributes), the globals that it names,
    and the same of functions among them. Installed packages and objects of theirs count by name.
    """

    def __init__(self) -> None:
        super().__init__()
        self._met: dict[int, object] = {}  # each kept alive, so that no identity is given twice

    def feed(self, value: object) -> None:
        if not isinstance(value, (bool, str, bytes, numbers.Number)) and value is not None:
            if id(value) in self._met:
                self.say("met before")
                return
            self._met[id(value)] = value
        super().feed(value)

    def other(self, value: object) -> None:
        self.say(f"a {type(value).__name__}")
        if isinstance(value, CodeType):
            self._total.update(value.co_code)
        for part in _reached(value):
            self.feed(part)


def _reached(value: object) -> Iterator[object]:
    """What a value without content of its own refers to."""
    if isinstance(value, CodeType):
        yield value.co_names
        yield value.co_consts
    elif isinstance(value, FunctionType):
        yield from _reached_by(value) if _own(value) else [f"{value.__module__}.{value.__qualname__}"]
    elif isinstance(value, PropertyFunction):
        yield value.function
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, (set, frozenset)):
        yield sorted(map(repr, value))
    elif isinstance(value, (type, ModuleType)):
        yield value.__name__
    elif callable(value) and isinstance(wrapped := getattr(value, "__wrapped__", None), FunctionType):
        yield wrapped  # of functools.cache
    elif _own(type(value)):
        yield getattr(value, "__dict__", None)
        yield [function for function in vars(type(value)).values() if isinstance(function, FunctionType)]


def _reached_by(function: FunctionType) -> Iterator[object]:
    yield function.__code__
    yield function.__defaults__
    yield function.__kwdefaults__
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not bound yet
            continue
    names = list(dict.fromkeys(_names(function.__code__)))
    for name in names:
        found = function.__globals__.get(name)
        yield found
        if isinstance(found, ModuleType) and _own(found):
            yield [getattr(found, other, None) for other in names]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _own(thing: FunctionType | ModuleType | type) -> bool:
    """True for what a user wrote; False for Python's library, installed packages and nnsym: a version tells those."""
    if isinstance(thing, FunctionType):
        file: str | None = thing.__code__.co_filename
    else:  # a file of families is no module any more once it was run
        module = thing if isinstance(thing, ModuleType) else sys.modules.get(thing.__module__)
        file = None if getattr(module, "__name__", "") in sys.builtin_module_names else getattr(module, "__file__", "")
    return file is not None and not file.startswith(("<frozen", *_INSTALLED))


_FOLDERS = ("stdlib", "platstdlib", "purelib", "platlib")
_INSTALLED = tuple(f"{folder}/" for folder in (*map(sysconfig.get_path, _FOLDERS), Path(nnsym.__file__).parent))
_LISTED = "OT"  # kinds of arrays whose elements are objects


def _as_array(value: object) -> Any:
    """What calls itself an array as one of numpy's; tensors, which may want gradients, too.

    A symbolic term is asked for an array only to refuse, and is itself.
    """
    if isinstance(value, (np.ndarray, np.generic, type)) or not hasattr(value, "__array__"):
        return value
    detach = getattr(value, "detach", None)
    try:
        return np.asarray(value if detach is None else detach().cpu())
    except Exception:
        return value


def _text(value: object) -> str | None:
    """The content of a single value as text; None where it has none."""
    query = value if isinstance(value, Query) else getattr(value, "query", None)
    if isinstance(query, Query):
        return query.hash
    network = getattr(value, "hash", None)
    if isinstance(network, str):
        return network
    if value is None or isinstance(value, (bool, str, bytes, numbers.Number, Fraction, np.generic)):
        return repr(value.item() if isinstance(value, np.generic) else value)
    return None
