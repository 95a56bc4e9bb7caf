"""Packages that only a part of nnsym needs: what for, and how to get them. Whoever needs one asks before the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, final

from nnsym.errors import UnsupportedError


@final
@dataclass(frozen=True)
class Extra:
    """What one package is for; ``package`` is what it is called where it is installed from."""

    package: str
    use: str
    remedy: str


#: By the name that is imported.
EXTRAS: Final[Mapping[str, Extra]] = {
    "torch": Extra("torch", "bounds, attacks, modules", "pip install torch (README.md, Installing: the CPU wheel)"),
    "matplotlib": Extra("matplotlib", "pictures", "pip install 'nnsym[report]'"),
    "pandas": Extra("pandas", "to_frame", "pip install 'nnsym[report]'"),
    "pyarrow": Extra("pyarrow", "to_parquet", "pip install pyarrow"),
    "vnnlib": Extra("vnnlib", "VNN-LIB 2.0 files", "pip install 'nnsym[vnnlib]'"),
    "distributed": Extra("distributed", "tables on workers of dask", "pip install 'nnsym[sweep]'"),
    "ppl": Extra("pplpy", "krelu cuts of flat groups", "pip install 'nnsym[hull]'"),
}


def require(*names: str, where: str = "") -> None:
    """Raise :class:`UnsupportedError`, with the remedy, where one of :data:`EXTRAS` is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise absent(name, where)


def absent(name: str, where: str = "") -> UnsupportedError:
    """The error for a package that cannot be imported, one of :data:`EXTRAS` or not."""
    known = EXTRAS.get(name, Extra(name, "nnsym", f"pip install {name}"))
    return UnsupportedError(f"{known.package} is not installed (for {known.use})", where=where, remedy=known.remedy)
