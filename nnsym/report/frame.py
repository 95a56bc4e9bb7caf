"""A comparison as a pandas DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnsym.errors import UnsupportedError

if TYPE_CHECKING:
    import pandas

    from nnsym.ask.compare import Comparison


def frame(table: Comparison) -> pandas.DataFrame:
    """One row per method; needs the extra ``report``."""
    try:
        import pandas
    except ImportError as error:
        raise UnsupportedError("pandas is not installed", remedy="pip install 'nnsym[report]'") from error
    return pandas.DataFrame(table.to_records())
