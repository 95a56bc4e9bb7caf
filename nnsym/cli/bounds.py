"""``nnsym bounds``: tables, one JSON object, or a picture with methods side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nnsym.errors import InputError
from nnsym.ir.query import Query

if TYPE_CHECKING:
    from nnsym.bounds.sources import Dtype


def run_bounds(
    query: Query,
    methods: list[str],
    device: str,
    dtype: str,
    picture: Path | None,
    as_json: bool,
    show: Callable[[Any], None],
    say: Callable[[str], None],
) -> None:
    """Bound by each method; ``show`` prints a table, ``say`` a line."""
    from nnsym.ask.export import check_writable
    from nnsym.judge.methods import check_bounds
    from nnsym.report.bounds import bounds_json
    from nnsym.report.property_bounds import bounds

    if as_json and len(methods) > 1:
        raise InputError("one JSON object holds the bounds of one method", remedy="Give one --method")
    for method in methods:
        check_bounds(method)
    if picture is not None:
        check_writable(picture)
    found = [bounds(query, method=method, device=device, dtype=cast("Dtype", dtype)) for method in methods]
    if picture is not None:
        found[0].plot(picture, *found[1:])
    for one in found:
        if as_json:
            say(json.dumps(bounds_json(query, one.found, one.lower, one.found.seconds)))
        else:
            show(one)
