"""Data sets: items in an order, as the arguments that a family of properties takes; and a digest of all of them."""

from __future__ import annotations

import hashlib
import numbers
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.query import Query
from nnsym.results.files import regular_file

Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]

_LARGEST = 2**33  # bytes of the arrays of a file

_FORMS = (
    "Give columns, (images, labels) or {'x': images, 'label': labels}, a list of items, or the path of an .npz file"
)


@final
@dataclass(frozen=True, eq=False)
class Data:
    """``count`` items: columns of equal length, by place or by name, or the items themselves.

    A column's element is one argument of the family; an item that is a tuple is several.
    """

    columns: tuple[Sequence[Any], ...]
    names: tuple[str, ...] = ()
    spread: bool = False

    @staticmethod
    def of(given: object) -> Data:
        """The data set that a user handed over.

        Raises:
            InputError: columns of different lengths, no items, or something that has none.
        """
        if isinstance(given, Data):
            return given
        if isinstance(given, (str, Path)):
            return _read(Path(given))
        if isinstance(given, Mapping):
            data = Data(tuple(_column(v) for v in given.values()), tuple(map(str, given)))
        elif isinstance(given, tuple):
            data = Data(tuple(_column(v) for v in given))
        else:
            data = Data((_column(given),), spread=not hasattr(given, "__array__"))
        lengths = {len(column) for column in data.columns}
        if len(lengths) != 1 or lengths == {0}:
            said = "no items" if not lengths or lengths == {0} else f"columns of {sorted(lengths)} items"
            raise InputError(said, where="data", remedy=_FORMS)
        return data

    def __len__(self) -> int:
        return len(self.columns[0])

    def arguments(self, index: int) -> Arguments:
        """What the family is called with for an item: positional and named arguments."""
        values = tuple(_plain(column[index]) for column in self.columns)
        if self.names:
            return (), dict(zip(self.names, values, strict=True))
        if self.spread and isinstance(values[0], tuple):
            return values[0], {}
        return values, {}

    def head(self, count: int) -> Data:
        """The first items."""
        return Data(tuple(column[:count] for column in self.columns), self.names, self.spread)

    @property
    def digest(self) -> str:
        """SHA-256 over the content of all items, in their order."""
        total = hashlib.sha256()
        for name in self.names:
            total.update(f"{name}\n".encode())
        for column in self.columns:
            _feed(total, column)
        return total.hexdigest()


def _column(values: Any) -> Sequence[Any]:
    detach = getattr(values, "detach", None)
    values = values if detach is None else detach().cpu()
    if hasattr(values, "__array__"):
        array: Any = np.asarray(values)
        if array.ndim:
            return array  # type: ignore[no-any-return]
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__iter__"):
        raise InputError(f"a column that is a {type(values).__name__}", where="data", remedy=_FORMS)
    return values if isinstance(values, (list, tuple, range)) else tuple(values)


def _plain(value: object) -> Any:
    """A number of numpy's as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def _read(path: Path) -> Data:
    with regular_file(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size > _LARGEST:
                raise ValueError(f"{size} bytes unpacked, at most {_LARGEST} are read")
            with np.load(file, allow_pickle=False) as arrays:
                return Data.of({name: arrays[name] for name in arrays.files})
        except InputError:
            raise
        except Exception as error:  # zipfile, zlib and NumPy raise whatever they like on damaged files
            reason = str(error) or type(error).__name__
            raise InputError(f"not an .npz file of plain arrays: {reason}", where=str(path), remedy=_FORMS) from error


def _feed(total: Any, value: object) -> None:
    """Add the content of a value to a digest, with its kind and size, so that different values differ."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        total.update(f"array {value.dtype.str} {value.shape}\n".encode())
        total.update(np.ascontiguousarray(value).data)
        return
    if isinstance(value, (list, tuple, range)) or (isinstance(value, np.ndarray) and value.ndim):
        total.update(f"{'tuple' if isinstance(value, tuple) else 'list'} {len(value)}\n".encode())
        for part in value:
            _feed(total, part)
        return
    if isinstance(value, Mapping):
        total.update(f"map {len(value)}\n".encode())
        for key, part in value.items():
            _feed(total, (str(key), part))
        return
    if isinstance(value, Path):
        total.update(f"file {value.name}\n".encode())
        if value.is_file():
            total.update(hashlib.sha256(value.read_bytes()).digest())
        return
    total.update(f"{type(value).__name__} {_text(value)}\n".encode())


def _text(value: object) -> str:
    """The content of a single value as text."""
    query = value if isinstance(value, Query) else getattr(value, "query", None)
    if isinstance(query, Query):
        return query.hash
    network = getattr(value, "hash", None)
    if isinstance(network, str):
        return network
    if value is None or isinstance(value, (bool, str, bytes, numbers.Number, Fraction, np.generic)):
        return repr(_plain(value))
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        return f"{array.dtype.str} {array.shape} {hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()}"
    raise InputError(
        f"an item of the type {type(value).__name__} has no content that could be told from another's",
        where="data",
        remedy="Use numbers, texts, arrays, paths, networks, properties, and lists and dictionaries of them",
    )
