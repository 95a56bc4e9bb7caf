"""Comparisons as files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

from nnsym.results.saved import write_file

if TYPE_CHECKING:
    from nnsym.ask.compare import Comparison


def write_json(table: Comparison, path: Path) -> None:
    """The whole comparison as one JSON object."""
    write_file(path, json.dumps(table.to_json(), indent=1) + "\n")


def write_csv(table: Comparison, path: Path) -> None:
    """One line per row."""
    import io

    records = table.to_records()
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_file(path, buffer.getvalue())
