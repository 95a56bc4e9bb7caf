"""Arguments that need no reading pass as they are; whatever is unusual, or wrong, is Typer's to read and to refuse.

Typer reads every argument, defaults too, by models of pydantic from 0.28 on: a fifth of the time of an easy run.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, final

import typer
from typer.core import TyperCommand, TyperGroup

from nnsym.cli.commands import COMMANDS
from nnsym.cli.defaults import Defaults, find_defaults, of_command
from nnsym.cli.streams import complain

#: Where a context keeps when its command was called for, before the command was imported.
BEGAN = "nnsym.began"

_WHOLE, _NUMBER = re.compile("[0-9]{1,15}", re.ASCII), re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)


@final
class Command(TyperCommand):
    """A command that reads plain words, numbers and paths without Typer's models."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _named(_eased(super().get_params(ctx)))

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """With the defaults of the working folder, which are said on stderr."""
        asks_help = any(arg in ("-h", "--help") for arg in args)
        if not asks_help and isinstance(parent and parent.command, Commands):
            found = find_defaults()
            taken = parent.command.defaults(found, info_name or "")
            extra["default_map"] = dict(taken.values())
            if taken:
                given = ", ".join(f"{name} = {value}" for name, (_, value) in taken.items())
                complain(f"defaults of {found.source}: {given}")
        return super().make_context(info_name, args, parent, **extra)


@final
class Commands(TyperGroup):
    """A group that imports a command when it runs; its own options are read like those of :class:`Command`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=known.line) for name, known in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself, where ``--help`` is content with its line."""
        ctx.meta[BEGAN] = time.perf_counter()
        name, line, rest = super().resolve_command(ctx, args)
        return name, None if line is None else find_command(str(name)), rest

    def get_params(self, ctx: Any) -> list[Any]:
        return _eased(super().get_params(ctx))

    def defaults(self, found: Defaults, command: str) -> dict[str, tuple[str, str]]:
        """What a file of defaults says to one command, by option: the parameter and its value."""
        if not found.table:
            return {}
        return of_command(found, command, _Options())


def find_command(name: str) -> Any:
    """A command of :data:`COMMANDS`, with its parameters."""
    known = COMMANDS[name]
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.command(name, cls=Command, epilog=f"Example: {known.example}")(getattr(import_module(known.module), name))
    return typer.main.get_command(alone)


class _Options(Mapping[str, Mapping[str, str]]):
    """By command, its options that are given once, by the name that a file uses: ``json-file`` for ``--json-file``."""

    def __getitem__(self, command: str) -> Mapping[str, str]:
        params = find_command(command).params
        single = [p for p in params if p.param_type_name == "option" and not p.multiple and not p.required]
        return {max(p.opts, key=len).lstrip("-"): p.name for p in single}

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _eased(params: list[Any]) -> list[Any]:
    for param in params:
        if hasattr(param, "get_runtime_param") and "get_runtime_param" not in vars(param):  # an older Typer has none
            param.get_runtime_param = partial(_Reader, param, param.get_runtime_param)
    return params


def _named(params: list[Any]) -> list[Any]:
    """With arguments that help calls what their metavar says, brackets and all, and no type behind it."""
    for param in params:
        if param.param_type_name == "argument":
            param.get_usage_pieces = lambda _, name=param.metavar: [name]
            param.display_type_rich = lambda **_: ""
    return params


@final
class _Reader:
    """What reads the values of one parameter."""

    def __init__(self, param: Any, models: Callable[[], Any]) -> None:
        self.annotation, self.models = param.type_descriptor.annotation, models

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:  # left out
            return () if param.multiple or param.nargs == -1 else None
        found = plain(self.annotation, value)
        return self.models().coerce(value, param=param, ctx=ctx) if found is None else found


def plain(annotation: Any, value: Any) -> Any:
    """The value of a parameter where nothing about it can be wrong; None where it takes more than this to tell."""
    if annotation == list[str]:
        several = isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)
        return list(value) if several else None
    if isinstance(annotation, type) and isinstance(value, annotation):
        return value
    if not isinstance(value, str):
        return None
    if annotation is float and _NUMBER.fullmatch(value):
        return float(value)
    if annotation is int and _WHOLE.fullmatch(value):
        return int(value)
    if annotation is Path and (not os.path.exists(value) or os.access(value, os.R_OK)):
        return Path(value)
    return None
