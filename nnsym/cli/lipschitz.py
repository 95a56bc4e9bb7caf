"""``nnsym lipschitz``: a network's Lipschitz constant, as a table of methods or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nnsym.errors import InputError
from nnsym.ir.digits import fraction
from nnsym.ir.network import Network

_LARGEST = 2**1000  # sums of such numbers are still float64


def run_lipschitz(
    network: Network,
    limits: tuple[str | None, str | None],
    norms: tuple[str, str],
    methods: list[str],
    timeout: float,
    seed: int,
    as_json: bool,
    show: Callable[[Any], None],
    say: Callable[[str], None],
) -> bool:
    """Ask; ``show`` prints a table, ``say`` a line. True if an upper bound was found."""
    from nnsym.ask.constant import LipschitzConstant
    from nnsym.ask.lipschitz import lipschitz
    from nnsym.report.optima import records_grid

    lower, upper = (None if text is None else _numbers(text) for text in limits)
    found = lipschitz(
        network,
        lower,
        upper,
        methods or None,
        p=_norm(norms[0]),
        q=_norm(norms[1]),
        timeout=timeout,
        seed=seed,
    )
    assert isinstance(found, LipschitzConstant)  # nothing was bisected
    if as_json:
        say(json.dumps(found.to_json()))
    else:
        for line in found.lines():
            say(line)
        show(records_grid("upper bounds", found.to_records()))
    return found.trust is not None


def _norm(text: str) -> object:
    if text not in ("1", "2", "inf"):
        raise InputError(f"a norm of '{text}'", remedy="Use 1, 2 or inf")
    return text if text == "inf" else int(text)


def _numbers(text: str) -> Any:
    """A number, or one for every element, with commas."""
    try:
        found = [fraction(part.strip()) for part in text.split(",")]
        if not all(abs(number) <= _LARGEST for number in found):
            raise ValueError("beyond float64")
    except (ValueError, ArithmeticError):
        raise InputError(
            f"'{text[:60]}' are no numbers", remedy="Write -1, or one number for every element: 0,0.5,1"
        ) from None
    return found[0] if len(found) == 1 else found
