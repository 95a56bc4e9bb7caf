"""``nnsym bounds``: tables, one JSON object, or a picture with methods side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, cast

import typer

from nnsym.bounds.sources import Dtype
from nnsym.cli.options import Device, Json, Networks, Sets, Targets
from nnsym.cli.output import check_pictures, print_line, print_rich, split
from nnsym.cli.targets import load_query
from nnsym.errors import InputError
from nnsym.judge.methods import check_bounds
from nnsym.report import property_bounds
from nnsym.report.bounds import bounds_json


def bounds(
    targets: Targets,
    sets: Sets = None,
    method: Annotated[str, typer.Option(help="ibp, crown, alpha:20 ..., or several with commas.")] = "crown",
    device: Device = "cpu",
    dtype: Annotated[str, typer.Option(help="float64, or float32: faster on a GPU, as sound, looser.")] = "float64",
    plot_file: Annotated[
        Path | None, typer.Option("--plot", help="Draw widths and open neurons as .png or .svg (extra: report).")
    ] = None,
    as_json: Json = False,
    network: Networks = None,
) -> None:
    """Widths and open neurons per layer, and the specification's bounds."""
    check_pictures(plot_file)
    query = load_query(targets, sets or (), network or ())
    methods = split(method)
    if as_json and len(methods) > 1:
        raise InputError("one JSON object holds the bounds of one method", remedy="Give one --method")
    for name in methods:
        check_bounds(name)
    found = [property_bounds.bounds(query, method=name, device=device, dtype=cast("Dtype", dtype)) for name in methods]
    for one in found:
        if as_json:
            print_line(json.dumps(bounds_json(query, one.found, one.lower, one.found.seconds)))
        else:
            print_rich(one)
    if plot_file is not None:
        found[0].plot(plot_file, *found[1:])
