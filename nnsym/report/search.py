"""The record of a search as text: how many parts by depth, what became of them, what was split most."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from nnsym.errors import InputError

_WIDTH, _MOST = 40, 5


def story(path: str | Path) -> str:
    """A table by depth, a bar for what is closed, and the places that were split most.

    Raises :class:`InputError` for a file that is no record of a search.
    """
    depth: dict[int, int] = {}
    closed, split, most = Counter[int](), Counter[int](), Counter[tuple[int, int]]()
    text = Path(path).read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    if not lines or "search" not in lines[0]:
        raise InputError("no record of a search", where=str(path), remedy="Give a file that --log wrote")
    depth.update(dict.fromkeys(range(lines[0]["roots"]), 0))
    number = lines[0]["roots"]
    for line in lines[1:]:
        for node, place, element, *_ in line.get("split", ()):
            level = depth.pop(node)
            split[level] += 1
            most[place, element] += 1
            depth[number] = depth[number + 1] = level + 1
            number += 2
        for node, _ in line.get("close", ()):
            closed[depth.pop(node)] += 1
    opened = Counter(depth.values())
    mass = sum(n / 2**d for d, n in closed.items()) / lines[0]["roots"]
    levels = range(max((*closed, *split, *opened), default=0) + 1)
    largest = max((closed[d] + split[d] + opened[d] for d in levels), default=1)
    table = [f"{'depth':>5} {'split':>8} {'closed':>8} {'open':>8}"]
    for d in levels:
        bar = "#" * round(_WIDTH * closed[d] / largest) + "." * round(_WIDTH * (split[d] + opened[d]) / largest)
        table.append(f"{d:>5} {split[d]:>8} {closed[d]:>8} {opened[d]:>8}  {bar}")
    often = ", ".join(f"place {p} element {e}: {n}" for (p, e), n in most.most_common(_MOST))
    return "\n".join((*table, f"closed {mass:.4%} of the domain; split most: {often or 'nothing'}"))
