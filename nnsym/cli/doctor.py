"""``nnsym doctor``: one table of what this installation can do, for people and for reports of bugs."""

from __future__ import annotations

import os
import platform

from nnsym.cli.defaults import find_defaults
from nnsym.cli.output import print_rich
from nnsym.read.torch import devices
from nnsym.report.grid import plain_grid
from nnsym.results.versions import all_versions, package_version
from nnsym.solvers.registry import solver_providers, solver_table

#: Packages that are not needed, and what they are for.
_OPTIONAL = {
    "matplotlib": ("pictures", "pip install 'nnsym[report]'"),
    "pandas": ("to_frame", "pip install 'nnsym[report]'"),
    "vnnlib": ("the standard's own parser, in tests", "pip install 'nnsym[vnnlib]'"),
}


def doctor() -> None:
    """What is installed and what is not: versions, solvers and licences, devices, optional packages."""
    print_rich(plain_grid(["what", "found", "how to get it"], findings(), wraps=("found", "how to get it")))


def findings() -> list[list[str]]:
    """Rows (what, found, how to get it); the last is empty where nothing is missing."""
    rows = [["system", f"{platform.system()} {platform.machine()}, {_cores()}", ""]]
    rows += [[name, version, ""] for name, version in all_versions().items()]
    rows += [_optional(name) for name in _OPTIONAL]
    for row in solver_table():
        here = row.availability
        found = " ".join(filter(None, (here.version, here.licence))) if here.available else "not here"
        rows.append([f"solver {row.name}", found, "" if here.available else here.remedy])
    rows += [[f"solvers of {p.name}", "left out", p.error] for p in solver_providers() if p.error]
    rows.append(["devices", _devices(), ""])
    taken = find_defaults()
    rows.append(["defaults", "; ".join([taken.source, *taken.lines()]) if taken.source else "none in this folder", ""])
    return rows


def _optional(name: str) -> list[str]:
    use, remedy = _OPTIONAL[name]
    version = package_version(name)
    return [name, version or f"not here (for {use})", "" if version else remedy]


def _cores() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{usable} usable core{'s' if usable != 1 else ''}"


def _devices() -> str:
    """What ``device=`` may name here."""
    return ", ".join(devices())
