"""What a run draws of its random cases: all by default, and never fewer than a test needs."""

from __future__ import annotations

import pytest

from tests.depth import drawn


@pytest.mark.parametrize(
    ("depth", "full", "least", "cases"),
    [
        (None, 12, 3, 12),
        ("1", 12, 3, 12),
        ("0.5", 12, 3, 6),
        ("0.125", 12, 3, 3),
        ("0.25", 300, 3, 75),
        ("0", 12, 1, 1),
        ("0.125", 2, 3, 2),
        ("4", 12, 3, 12),
    ],
)
def test_a_run_draws_its_share(
    depth: str | None, full: int, least: int, cases: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NNSYM_DEPTH", raising=False)
    if depth is not None:
        monkeypatch.setenv("NNSYM_DEPTH", depth)
    assert drawn(full, least) == cases
