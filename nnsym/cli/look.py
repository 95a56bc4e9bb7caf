"""What there is to see of a property, a network or a search: lines of a program, the method to ask, the graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from nnsym.ask import choose as choosing
from nnsym.ask import explain as explaining
from nnsym.cli.options import Json, Networks, Sets, Targets
from nnsym.cli.output import check_files, check_pictures, print_line, print_rich
from nnsym.cli.targets import load_network, load_query
from nnsym.ir.text import dump_network
from nnsym.report.pictures.graph import to_svg
from nnsym.report.search import draw_search, story
from nnsym.results import ranges
from nnsym.results.clock import Clock
from nnsym.results.saved import write_file

_LEAST = 1e-3  # seconds, where reading took all of them


def explain(
    targets: Targets,
    neuron: Annotated[str, typer.Option(help="relu_2[7], max_1[0], spec[3] ...")],
    sets: Sets = None,
    encoding: Annotated[str, typer.Option(help="bigm, triangle, smt ... (see: nnsym methods).")] = "bigm",
    bounds: Annotated[str, typer.Option(help="What feeds the encoding.")] = "crown",
    network: Networks = None,
) -> None:
    """One neuron's columns and rows in the program, with its numbers and where each row comes from."""
    query = load_query(targets, sets or (), network or ())
    print_rich(explaining.explain(query, encoding, neuron=neuron, bounds=bounds))


def choose(
    targets: Targets,
    sets: Sets = None,
    timeout: Annotated[
        float,
        typer.Option(
            help="Wall seconds that the question will have; the look takes a part of them.",
            callback=lambda value: ranges.seconds(value, "--timeout"),
        ),
    ] = 60.0,
    as_json: Json = False,
    network: Networks = None,
) -> None:
    """The method to ask, and why, from a look at the question by cheap bounds."""
    clock = Clock(timeout)  # reading counts
    query = load_query(targets, sets or (), network or (), timeout=clock.left)
    found = choosing.choose(query, timeout=max(clock.left, _LEAST))
    print_line(json.dumps(found.to_dict()) if as_json else str(found))


def show(
    network: Annotated[str, typer.Argument(metavar="NET.onnx", help="A network file.")],
    output: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Write here, not to stdout; .svg is drawn.")
    ] = None,
    svg: Annotated[bool, typer.Option("--svg", help="Draw the graph as SVG.")] = False,
) -> None:
    """The network's IR as text, or drawn."""
    check_files(output)
    found = load_network(network)
    drawn = svg or (output is not None and output.suffix == ".svg")
    text = to_svg(found) if drawn else dump_network(found)
    if output is None:
        print_line(text.rstrip())
    else:
        write_file(output, text)


def search(
    record: Annotated[Path, typer.Argument(metavar="RECORD", help="The record of a search, from --log.")],
    plot: Annotated[Optional[Path], typer.Option("--plot", metavar="FILE", help="Draw it too: svg, png, pdf.")] = None,  # noqa: UP045
) -> None:
    """A recorded search: parts by depth, the first splits, what was split most and what that gained."""
    check_pictures(plot)
    print_line(story(record))
    if plot is not None:
        draw_search(record, plot)
