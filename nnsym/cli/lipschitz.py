"""``nnsym lipschitz``: a network's Lipschitz constant, as a table of methods or one JSON object."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from nnsym.ask.lipschitz import lipschitz as asking
from nnsym.ask.lipschitz.constant import LipschitzConstant
from nnsym.cli.options import EXIT, Json, Seed, Timeout
from nnsym.cli.output import print_line, print_rich, split
from nnsym.cli.targets import load_network
from nnsym.errors import InputError
from nnsym.ir.digits import fraction
from nnsym.report.optima import records_grid
from nnsym.results.clock import Clock

_LARGEST = 2**1000  # sums of such numbers are still float64


def lipschitz(
    network: Annotated[str, typer.Argument(metavar="NET.onnx", help="A network file.")],
    lower: Annotated[
        str | None, typer.Option(help="Lower limit of the inputs, or one for each with commas; all inputs if left out.")
    ] = None,
    upper: Annotated[str | None, typer.Option(help="Upper limit of the inputs, likewise.")] = None,
    p: Annotated[str, typer.Option("-p", help="Norm of the inputs: 1, 2 or inf.")] = "2",
    q: Annotated[str, typer.Option("-q", help="Norm of the outputs: 1, 2 or inf.")] = "2",
    method: Annotated[
        str, typer.Option(help="norms, sdp, jacobian, exact, crown, bigm ..., or several with commas.")
    ] = "norms,sdp,jacobian",
    timeout: Timeout = 60.0,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """A network's Lipschitz constant: certified above (0), a slope of two points below; 30 without an upper bound."""
    clock = Clock(timeout)  # reading counts
    found = asking.lipschitz(
        load_network(network, timeout=clock.left),
        None if lower is None else _numbers(lower),
        None if upper is None else _numbers(upper),
        split(method) or None,
        p=_norm(p),
        q=_norm(q),
        clock=clock,
        seed=seed,
    )
    assert isinstance(found, LipschitzConstant)  # nothing was bisected
    if as_json:
        print_line(json.dumps(found.to_json()))
    else:
        for line in found.lines():
            print_line(line)
        print_rich(records_grid("upper bounds", found.to_records()))
    raise typer.Exit(EXIT["unknown"] if found.trust is None else 0)


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
