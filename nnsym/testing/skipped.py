"""What a kit did not ask, said aloud: a test that passes because it was skipped is worth nothing unnoticed."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def say_skipped(kit: str, skipped: Iterable[tuple[str, str]]) -> None:
    """Print pairs of name and reason, a line a reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in skipped:
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        sys.stdout.write(f"{kit} skipped {', '.join(names)}: {reason}\n")
