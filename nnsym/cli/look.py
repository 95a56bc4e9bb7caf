"""What there is to see of a property, a network or a search: bounds, lines of a program, constants, the graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from nnsym.cli.options import (
    EXIT,
    Device,
    Json,
    Networks,
    Seed,
    Sets,
    Targets,
    Timeout,
)
from nnsym.cli.output import (
    check_files,
    print_line,
    print_rich,
    split,
)

_LEAST = 1e-3  # seconds, where reading took all of them


def explain(
    targets: Targets,
    neuron: Annotated[str, typer.Option(help="relu_2[7], max_1[0], spec[3] ...")],
    sets: Sets = None,
    encoding: Annotated[str, typer.Option(help="bigm, triangle, smt ... (see: nnsym methods).")] = "bigm",
    bounds: Annotated[str, typer.Option(help="What feeds the encoding.")] = "crown",
) -> None:
    """One neuron's columns and rows in the program, with its numbers and where each row comes from."""
    from nnsym.ask.explain import explain as run
    from nnsym.cli.targets import load_query

    print_rich(run(load_query(targets, sets or ()), encoding, neuron=neuron, bounds=bounds))


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
    from nnsym.cli.bounds import run_bounds
    from nnsym.cli.targets import load_query

    query = load_query(targets, sets or (), network or ())
    run_bounds(query, split(method), device, dtype, plot_file, as_json, print_rich, print_line)


def choose(
    targets: Targets,
    sets: Sets = None,
    timeout: Timeout = 60.0,
    as_json: Json = False,
    network: Networks = None,
) -> None:
    """The method to ask, and why, from a look at the question by cheap bounds."""
    from nnsym.results.clock import Clock

    clock = Clock(timeout)  # imports and reading count
    from nnsym.ask.choose import choose as run
    from nnsym.cli.targets import load_query

    query = load_query(targets, sets or (), network or (), timeout=clock.left)
    found = run(query, timeout=max(clock.left, _LEAST))
    print_line(json.dumps(found.to_dict()) if as_json else str(found))


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
    from nnsym.results.clock import Clock

    clock = Clock(timeout)  # imports and reading count
    from nnsym.cli.lipschitz import run_lipschitz
    from nnsym.cli.targets import load_network

    limits, norms, methods = (lower, upper), (p, q), split(method)
    net = load_network(network, timeout=clock.left)
    held = run_lipschitz(net, limits, norms, methods, clock, seed, as_json, print_rich, print_line)
    raise typer.Exit(0 if held else EXIT["unknown"])


def show(
    network: Annotated[str, typer.Argument(metavar="NET.onnx", help="A network file.")],
    output: Annotated[Optional[Path], typer.Argument(metavar="[FILE]", help="Write here, not to stdout.")] = None,  # noqa: UP045
    svg: Annotated[bool, typer.Option("--svg", help="Draw the graph as SVG.")] = False,
) -> None:
    """The network's IR as text, or drawn: nnsym show net.onnx --svg net.svg."""
    from nnsym.cli.targets import load_network
    from nnsym.ir.text import dump_network
    from nnsym.report.graph import to_svg

    check_files(output)
    found = load_network(network)
    text = to_svg(found) if svg else dump_network(found)
    if output is None:
        print_line(text.rstrip())
    else:
        output.write_text(text, encoding="utf-8")


def search(
    record: Annotated[Path, typer.Argument(metavar="RECORD", help="The record of a search, from --log.")],
    plot: Annotated[Optional[Path], typer.Option("--plot", metavar="FILE", help="Draw it too: svg, png, pdf.")] = None,  # noqa: UP045
) -> None:
    """A recorded search: parts by depth, the first splits, what was split most and what that gained."""
    from nnsym.report.search import draw_search, story

    check_files(plot)
    print_line(story(record))
    if plot is not None:
        draw_search(record, plot)
