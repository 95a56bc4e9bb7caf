"""Mutants of VNN-LIB files and of property texts: from valid seeds, by steps that often leave them valid."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

_TOKEN = re.compile(r"\s+|[()\[\],]|[^\s()\[\],]+")
# fmt: off
_NUMBERS = (
    "0", "1", "-1", "0.5", ".5", "5.", "+1", "-0.0", "1e3", "1e-3", "1E5", "1e400", "-1e400", "1e-400",
    "1e999999999", "0.1", "00012", "1_000", "0x10", "inf", "nan", "-inf", "1/3", "1.0.0", "\u0663", "\uff13",
    "1\u0660", "4294967296", "18446744073709551616", "100000000000000000000000", "9007199254740993",
    "0.30000000000000000000001",
)
# fmt: on
# fmt: off
_WORDS = (
    "and", "or", "not", "=>", "<=", ">=", "<", ">", "=", "==", "!=", "+", "-", "*", "/", "assert", "declare-const",
    "declare-fun", "Real", "Int", "true", "false", "X_0", "X_1", "Y_0", "Y_9", "X_00", "X_-1",
    "X_99999999999999999999", "Z_0", "ite", "let", ";", "(", ")", "[", "]", '"', "'", "\\", "\x00", "\x1b", "\xe4",
    "\u2265", "\U0001f600", "\xa0", "\u2028", "\ufeff", "declare-network", "declare-input", "declare-output",
    "declare-hidden", "equal-to", "isomorphic-to", "float32", "float64", "real", "X", "Y", "x", "y", "f", "g",
    "vnnlib-version", "<2.0>", "<1.0>",
)
# fmt: on


def version1(random_: random.Random) -> str:
    """A valid 1.0 file about 2 inputs and 2 outputs."""
    r = random_
    lines = [f"(declare-const {v} Real)" for v in ("X_0", "X_1", "Y_0", "Y_1")]
    lines += [f"(assert (<= X_{k} {_number(r)}))\n(assert (>= X_{k} -{_number(r)}))" for k in range(2)]
    if r.random() < 0.4:
        lines += [f"(assert {_plain(r)})" for _ in range(r.randint(1, 4))]
    else:
        lines += [f"(assert {_condition1(r, r.randint(0, 3))})" for _ in range(r.randint(1, 4))]
    return _spaced(r, "\n".join(lines) + "\n")


def _number(r: random.Random) -> str:
    return r.choice([str(r.randint(0, 9)), _decimal(r), f"{r.randint(0, 99)}e-{r.randint(0, 12)}"])


def _term1(r: random.Random, depth: int) -> str:
    if depth <= 0 or r.random() < 0.5:
        return r.choice(["X_0", "X_1", "Y_0", "Y_1", _number(r), f"-{_number(r)}"])
    if r.random() < 0.3:
        return f"(* {_number(r)} {_term1(r, depth - 1)})"
    parts = " ".join(_term1(r, depth - 1) for _ in range(r.randint(1, 3)))
    return f"({r.choice('+-')} {parts})"


def _atom(r: random.Random) -> str:
    return f"({r.choice(['<=', '>=', '<', '>'])} {r.choice(['Y_0', 'Y_1'])} {r.choice([_number(r), 'Y_1', 'X_0'])})"


def _plain(r: random.Random) -> str:
    """What long files are made of: comparisons, disjunctions of boxes."""
    if r.random() < 0.3:
        return _atom(r)
    cases = []
    for _ in range(r.randint(1, 4)):
        box = [f"({s} X_{k} {_number(r)})" for k in range(2) for s in ("<=", ">=") if r.random() < 0.7]
        inner = [f"(or {_atom(r)} {_atom(r)})"] if r.random() < 0.3 else []
        cases.append(f"(and {' '.join([*box, _atom(r), *inner])})")
    return f"(or {' '.join(cases)})"


def _condition1(r: random.Random, depth: int) -> str:
    if depth <= 0 or r.random() < 0.4:
        return f"({r.choice(['<=', '>=', '<', '>', '='])} {_term1(r, 1)} {r.choice(['Y_0', 'Y_1'])})"
    if r.random() < 0.2:
        return f"(not {_condition1(r, depth - 1)})"
    return f"({r.choice(['and', 'or'])} {' '.join(_condition1(r, depth - 1) for _ in range(r.randint(1, 3)))})"


def version2(random_: random.Random) -> str:
    """A valid 2.0 file about one or two networks of 2 inputs and 2 outputs."""
    r = random_
    names = [("f", "x", "y")] + ([("g", "a", "b")] if r.random() < 0.5 else [])
    lines = ["(vnnlib-version <2.0>)"]
    for f, x, y in names:
        lines.append(f"(declare-network {f} (declare-input {x} real [2]) (declare-output {y} real [2]))")
    for k, (_, x, _y) in enumerate(names):
        choice = r.randrange(3) if k else 0
        for i in range(2):
            if choice == 0:
                lines.append(f"(assert (<= {x}[{i}] {_decimal(r)}))\n(assert (>= {x}[{i}] -{_decimal(r)}))")
            else:
                lines.append(f"(assert (== {x}[{i}] {'x' if choice == 1 else 'y'}[{i}]))")
    leaves = [f"{v}[{i}]" for _, x, y in names for v in (x, y) for i in range(2)]
    lines += [f"(assert {_condition2(r, r.randint(0, 3), leaves)})" for _ in range(r.randint(1, 4))]
    return _spaced(r, "\n".join(lines) + "\n")


def _decimal(r: random.Random) -> str:
    return f"{r.uniform(0, 2):.{r.randint(1, 15) if r.random() < 0.95 else 25}f}"


def _condition2(r: random.Random, depth: int, leaves: Sequence[str]) -> str:
    if depth <= 0 or r.random() < 0.4:
        sign = r.choice(["<=", ">=", "<", ">", "==", "!="])
        return f"({sign} {_term2(r, 1, leaves)} {r.choice([leaves[2], leaves[3]])})"
    return f"({r.choice(['and', 'or'])} {' '.join(_condition2(r, depth - 1, leaves) for _ in range(r.randint(2, 3)))})"


def _term2(r: random.Random, depth: int, leaves: Sequence[str]) -> str:
    if depth <= 0 or r.random() < 0.5:
        return r.choice([*leaves, _decimal(r)])
    return f"({r.choice('+-*')} {_term2(r, depth - 1, leaves)} {_term2(r, depth - 1, leaves)})"


def _spaced(r: random.Random, text: str) -> str:
    """Comments, other line ends, more space: what changes no meaning."""
    if r.random() < 0.2:
        text = text.replace("\n", r.choice(["\r\n", "\n\n", " \t\n", "\n; größer ( (\n"]))
    return text


def mutated(random_: random.Random, text: str, *, words: Sequence[str] = _WORDS) -> str:
    """One to three small steps on the tokens of a text; sometimes on its characters."""
    r = random_
    tokens = _TOKEN.findall(text)
    for _ in range(r.choice([1, 1, 1, 2])):
        if not tokens:
            break
        place = r.randrange(len(tokens))
        _step(r)(r, tokens, place, words)
    found = "".join(tokens)
    if r.random() < 0.05 and found:
        place = r.randrange(len(found))
        found = found[:place] + chr(r.choice([0, 10, 34, 40, 41, 59, 955, 0x663, 0xD7FF, 0x1F600])) + found[place + 1 :]
    return found[: r.randrange(len(found) + 1)] if r.random() < 0.03 else found


def _step(r: random.Random) -> Callable[[random.Random, list[str], int, Sequence[str]], None]:
    return r.choice([_number_step, _number_step, _number_step, _word, _copy, _swap, _drop, _group, _nest])


def _number_step(r: random.Random, tokens: list[str], place: int, words: Sequence[str]) -> None:
    numeric = [k for k, t in enumerate(tokens) if re.fullmatch(r"-?[0-9.]+", t)]
    if numeric:
        fresh = r.choice(_NUMBERS) if r.random() < 0.3 else f"{r.uniform(-3, 3):.{r.randint(0, 30)}f}"
        tokens[r.choice(numeric)] = fresh


def _word(r: random.Random, tokens: list[str], place: int, words: Sequence[str]) -> None:
    tokens[place] = r.choice([*words, *tokens])


def _copy(r: random.Random, tokens: list[str], place: int, words: Sequence[str]) -> None:
    tokens.insert(place, tokens[r.randrange(len(tokens))])


def _swap(r: random.Random, tokens: list[str], place: int, words: Sequence[str]) -> None:
    other = r.randrange(len(tokens))
    tokens[place], tokens[other] = tokens[other], tokens[place]


def _drop(r: random.Random, tokens: list[str], place: int, words: Sequence[str]) -> None:
    del tokens[place]


def _groups(tokens: list[str]) -> list[tuple[int, int]]:
    """The places of balanced parentheses."""
    found, stack = [], []
    for k, token in enumerate(tokens):
        if token == "(":
            stack.append(k)
        elif token == ")" and stack:
            found.append((stack.pop(), k + 1))
    return found


def _group(r: random.Random, tokens: list[str], place: int, words: Sequence[str]) -> None:
    """A group is dropped, or put in the place of another, or beside it."""
    groups = _groups(tokens)
    if groups:
        (a, b), (c, d) = r.choice(groups), r.choice(groups)
        tokens[a : r.choice([a, b])] = r.choice([[], tokens[c:d], [" ", *tokens[c:d], " "]])


def _nest(r: random.Random, tokens: list[str], place: int, words: Sequence[str]) -> None:
    groups = _groups(tokens)
    if groups:
        a, b = r.choice(groups)
        times = r.choice([1, 1, 2, 50, 1500])
        word = r.choice(["and", "or", "not", "+", "-"])
        tokens[a:b] = [f"({word} "] * times + tokens[a:b] + [")"] * times
