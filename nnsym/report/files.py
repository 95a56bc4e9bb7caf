"""Flat records as a file of comma-separated values."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from nnsym.results.saved import write_file


def write_csv(records: list[dict[str, Any]], path: Path) -> None:
    """One line a record, under the names of all fields that any of them has."""
    names = dict.fromkeys(name for record in records for name in record)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_file(path, text.getvalue())
