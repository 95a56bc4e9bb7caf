"""Names of columns in exported files: unique, legal in the format, and traceable to the symbolic keys.

A column's key is ``relu_1[17].pre`` (:meth:`nnsym.program.ColumnBlock.name`). SMT-LIB keeps it as a quoted
symbol; LP and MPS files get ``relu_1_17_pre``, because some readers refuse brackets or cut names at dots.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from nnsym.program import Program, Role

_ILLEGAL = re.compile(r"[^A-Za-z0-9_]+")
_UNQUOTABLE = str.maketrans({"|": "!", "\\": "/"})

#: Names longer than 100 are refused by CBC, 255 by GLPK and CPLEX; a number may be added to make them unique.
LONGEST = 80

#: Lines of comment are cut here: CPLEX reads 560 characters a line.
_WIDEST = 500


def symbols(program: Program, roles: Collection[Role] | None = None) -> list[str]:
    """Symbolic names that may stand between bars in SMT-LIB (without the bars), one per column.

    With ``roles`` only those of columns in these roles: they are the same, since a name ends with its role.
    """
    blocks = [b for b in program.blocks if roles is None or b.role in roles]
    return unique(one_line(b.name(k)).translate(_UNQUOTABLE) for b in blocks for k in range(len(b.index)))


def identifiers(program: Program) -> list[str]:
    """Letters, digits and underscores only, one name per column: legal in LP and MPS files."""
    return unique(identifier(name) for name in program.column_names())


def identifier(text: str) -> str:
    """``relu_1[17].pre`` as ``relu_1_17_pre``; never empty, never a number or a keyword of the LP format.

    A name that starts with ``e``, a digit, ``inf`` or ``nan`` could be read as a number or its first part (HiGHS hands
    every word to ``strtod``), so those get a prefix.
    """
    plain = _ILLEGAL.sub("_", text).strip("_")[-LONGEST:].lstrip("_")  # place and role stand at the end
    low = plain.lower()
    if not plain or plain[0].isdigit() or low.startswith(("e", "inf", "nan")) or low in _KEYWORDS:
        return f"v_{plain}"
    return plain


def one_line(text: str) -> str:
    """The text without what a reader could take for the end of a line or of the file.

    Line breaks, tabs and other space become blanks, control characters and lone surrogates become underscores.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "_" for c in text)


def comments(mark: str, texts: Iterable[str]) -> list[str]:
    """Lines of comment that start with ``mark``: every line of every text, long ones in pieces."""
    found = []
    for text in texts:
        for line in text.splitlines() or ("",):
            shown = one_line(line)
            pieces = [shown[k : k + _WIDEST] for k in range(0, len(shown), _WIDEST)] or [""]
            found += [f"{mark} {piece}".rstrip() for piece in pieces]
    return found


def unique(names: Iterable[str]) -> list[str]:
    """The names in order; a repeated one gets a number."""
    taken: dict[str, int] = {}
    out = []
    for wanted in names:
        name = wanted
        while name in taken:
            taken[wanted] += 1
            name = f"{wanted}__{taken[wanted]}"
        taken[name] = 1
        out.append(name)
    return out


#: First words of sections in LP files, as any of the readers knows them.
_KEYWORDS = frozenset(
    (
        *("max", "maximize", "maximise", "maximum", "min", "minimize", "minimise", "minimum", "obj", "end"),
        *("subject", "such", "st", "s", "t", "bound", "bounds", "free", "inf", "infinity", "infinite"),
        *("bin", "binary", "binaries", "gen", "general", "generals", "int", "integer", "integers"),
        *("semi", "semis", "sec", "sos", "sos1", "sos2", "sin", "lazy", "user"),
    )
)
