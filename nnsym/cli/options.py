"""Options and exit codes that several commands share."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from nnsym.results import ranges

EXIT = {"verified": 0, "falsified": 10, "unknown": 30}
DISAGREE = 40

Targets = Annotated[
    list[str],
    typer.Argument(metavar="[NET.onnx] SPEC", help="NET.onnx PROP.vnnlib, FILE.py:NAME, or a text that nn.save wrote"),
]
Sets = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the property FILE.py:NAME; repeatable."),
]
Networks = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--network",
        metavar="NAME=FILE.onnx",
        help="The model of a network that the file or text declares.",
    ),
]
Timeout = Annotated[
    float, typer.Option(help="Wall seconds for everything.", callback=lambda value: ranges.seconds(value, "--timeout"))
]
Memory = Annotated[
    float,
    typer.Option(
        help="GiB that reading may take, and a solver's process.",
        callback=lambda value: ranges.gibibytes(value, "--memory"),
    ),
]
Meaning = Annotated[str, typer.Option("--semantics", help="real, or deployed: every run in the model's own dtype.")]
Seed = Annotated[
    int, typer.Option(help="Seed of sampling and solvers.", callback=lambda value: ranges.seed(value, "--seed"))
]
Device = Annotated[
    str, typer.Option(help="cpu, cuda, auto ...", callback=lambda value: ranges.device(value, "--device"))
]
Wide = Annotated[bool, typer.Option("--wide", help="Show every column, however long the lines become.")]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object.")]
