"""Defaults of commands' options, from ``nnsym.toml`` or ``[tool.nnsym]`` of pyproject.toml in the working folder.

Only commands read them, never the Python functions; every run says on stderr what it took. What stands on the command
line goes before.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from nnsym.errors import InputError, did_you_mean
from nnsym.results.files import read_text

OWN, SHARED = "nnsym.toml", "pyproject.toml"
_LARGEST = 2**24  # bytes of either


@final
@dataclass(frozen=True)
class Defaults:
    """Where defaults were found, and the table there: options of every command that has them, and tables by command."""

    source: str = ""
    table: Mapping[str, Any] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """``timeout = 30`` and ``verify.method = bab``, a line each."""
        return [f"{'.'.join(path)} = {shown(value)}" for path, value in _leaves(self.table)]


def find_defaults() -> Defaults:
    """The defaults of the working folder; none where neither file has any.

    Raises :class:`InputError` for a file that is no TOML, or has no table where one is expected.
    """
    for name, keys in ((OWN, ()), (SHARED, ("tool", "nnsym"))):
        path = Path(name)
        if not os.path.lexists(path):  # what lies there and is no file that can be read is told, not passed over
            continue
        found: Any = _read(path)
        for key in keys:
            found = found.get(key, {}) if isinstance(found, dict) else found
        if not isinstance(found, dict):
            raise InputError(
                "[tool.nnsym] is no table", where=str(path), remedy="Write [tool.nnsym] and lines below it"
            )
        if found or name == OWN:
            return Defaults(source=str(path), table=found)
    return Defaults()


def of_command(found: Defaults, command: str, options: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, str]]:
    """For one command, by option as the file names it, the parameter and its value as a command line would say it.

    ``options`` maps, for every command, the names that a file uses (``json-file``) to parameters (``json_file``);
    another command than this one is looked up where a key is not this one's. Raises :class:`InputError` for a key
    that no command has.
    """
    own, values = options[command], dict[str, tuple[str, str]]()
    for key, value in found.table.items():
        if isinstance(value, dict):
            if key not in options:
                remedy = f"{did_you_mean(key, options)}Commands: {', '.join(options)}"
                raise InputError(f"no command is called '{key}'", where=found.source, remedy=remedy)
            for name in value:
                _require(found.source, f"{key}.{name}", name, own if key == command else options[key])
        elif key not in own:
            _require(found.source, key, key, frozenset[str]().union(*options.values()))
    for table in (found.table, found.table.get(command, {})):
        values |= {key: (own[key], as_given(found.source, key, v)) for key, v in table.items() if key in own}
    return values


def _require(source: str, shown_: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        remedy = f"{did_you_mean(name, known)}Options: {', '.join(sorted(known))}"
        raise InputError(f"no option is called '{shown_}'", where=source, remedy=remedy)


def as_given(source: str, key: str, value: Any) -> str:
    """A value of the file as the command line would have it."""
    if isinstance(value, (str, int, float)):
        return shown(value)  # "true" is no number of seconds, where True would be 1
    raise InputError(f"'{key}' is {shown(value)}", where=source, remedy="Give text, a number, true or false")


def shown(value: Any) -> str:
    """As TOML writes it, nearly."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(read_text(path, limit=_LARGEST))
    except RecursionError:
        raise InputError("not TOML that can be read: it is nested too deeply", where=str(path)) from None
    except ValueError as error:  # TOMLDecodeError, and numbers of too many digits
        raise InputError(f"not TOML: {error}", where=str(path)) from error


def _leaves(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value
