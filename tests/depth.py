"""How much of its random cases a run of the suite draws."""

from __future__ import annotations

import os


def depth() -> float:
    """``NNSYM_DEPTH``, from 0 to 1: ``make test`` 0.125, ``.ci/run`` 0.25; else 1 (``make slow``)."""
    return float(os.environ.get("NNSYM_DEPTH", "1"))


def drawn(full: int, least: int) -> int:
    """The number of random cases that this run draws: that share of ``full``, at least ``least``, never above ``full``.

    Read while tests are collected or run, so a parametrisation may use it: ``range(drawn(6, 3))``.
    """
    return min(full, max(least, round(full * depth())))
