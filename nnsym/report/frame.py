"""Flat records as a pandas DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nnsym.results.extras import require

if TYPE_CHECKING:
    import pandas


def frame(records: list[dict[str, Any]]) -> pandas.DataFrame:
    """One row per record; needs the extra ``report``."""
    require("pandas")
    import pandas

    return pandas.DataFrame(records)
