"""Where a search stands, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Snapshot:
    """Certified ``lower``, the ``best`` replayed margin, closed ``mass``, ``opened`` parts and ``nodes`` so far."""

    lower: float
    best: float
    mass: float
    opened: int
    nodes: int
