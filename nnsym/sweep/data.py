"""Data sets: items in an order, as the arguments that a family of properties takes; and a digest of all of them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import unmasked
from nnsym.ir.words import kind_of
from nnsym.results.files import regular_file
from nnsym.sweep.content import Content

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
        content = Content()
        for name in self.names:
            content.say(name)
        for column in self.columns:
            content.feed(column)
        return content.digest


def _column(values: Any) -> Sequence[Any]:
    detach = getattr(values, "detach", None)
    values = values if detach is None else detach().cpu()
    if hasattr(values, "__array__"):
        array: Any = np.asarray(unmasked(values, "a column", "data"))
        if array.ndim:
            column: Sequence[Any] = array  # of its first axis
            return column
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__iter__"):
        raise InputError(f"a column that is {kind_of(values)}", where="data", remedy=_FORMS)
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
