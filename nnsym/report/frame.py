"""Flat records as a pandas DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nnsym.errors import UnsupportedError

if TYPE_CHECKING:
    import pandas


def frame(records: list[dict[str, Any]]) -> pandas.DataFrame:
    """One row per record; needs the extra ``report``."""
    try:
        import pandas
    except ImportError as error:
        raise UnsupportedError("pandas is not installed", remedy="pip install 'nnsym[report]'") from error
    return pandas.DataFrame(records)
