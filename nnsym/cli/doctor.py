"""``nnsym doctor``: one table of what this installation can do, for people and for reports of bugs."""

from __future__ import annotations

import os
import platform
from importlib.util import find_spec
from typing import Annotated, Optional

import typer

from nnsym.cli.defaults import find_defaults
from nnsym.cli.devices import compared
from nnsym.cli.output import print_rich
from nnsym.ir.words import count_of
from nnsym.read.torch import devices
from nnsym.report.grid import plain_grid
from nnsym.results import ranges
from nnsym.results.extras import EXTRAS, Extra, require
from nnsym.results.versions import all_versions, package_version
from nnsym.solvers.registry import solver_providers, solver_table


def doctor(
    device: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Compare this device's bounds and times with the processor's.",
            callback=lambda value: value if value is None else ranges.device(value, "--device"),
        ),
    ] = None,
) -> None:
    """What is installed and what is not: versions, solvers and licences, devices, optional packages."""
    print_rich(plain_grid(["what", "found", "how to get it"], findings(), wraps=("found", "how to get it")))
    if device is None:
        return
    require("torch")
    found = compared(device)
    heads = ["the same boxes", "cpu", device, "apart", "runs of the network"]
    print_rich(plain_grid(heads, [one.row for one in found]))
    if any(one.outside for one in found):
        raise typer.Exit(1)


def findings() -> list[list[str]]:
    """Rows (what, found, how to get it); the last is empty where nothing is missing."""
    rows = [["system", f"{platform.system()} {platform.machine()}, {_cores()}", ""]]
    installed = all_versions()
    rows += [[name, version, ""] for name, version in installed.items()]
    rows += [_optional(extra) for extra in EXTRAS.values() if extra.package not in installed]
    for row in solver_table():
        here = row.availability
        found = " ".join(filter(None, (here.version, here.licence))) if here.available else "not here"
        rows.append([f"solver {row.name}", found, "" if here.available else here.remedy])
    rows += [[f"solvers of {p.name}", "left out", p.error] for p in solver_providers() if p.error]
    rows.append(["devices", ", ".join(devices()) if find_spec("torch") else "none without torch", ""])
    taken = find_defaults()
    rows.append(["defaults", "; ".join([taken.source, *taken.lines()]) if taken.source else "none in this folder", ""])
    return rows


def _optional(extra: Extra) -> list[str]:
    version = package_version(extra.package)
    return [extra.package, version or f"not here (for {extra.use})", "" if version else extra.remedy]


def _cores() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return count_of(usable, "usable core")
