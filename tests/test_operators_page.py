"""docs/operators.md is what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from nnsym.read.ops import LOWERINGS

ROOT = Path(__file__).parent.parent


def test_the_page_is_current():
    run = subprocess.run([sys.executable, ROOT / "scripts" / "operators.py", "--check"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_every_operator_says_what_it_is():
    lines = (ROOT / "docs" / "operators.md").read_text().splitlines()
    rows = dict(
        line.removeprefix("| `").removesuffix(" |").split("` | ", 1) for line in lines if line.startswith("| `")
    )
    rows = {name: said for name, said in rows.items() if name in LOWERINGS}
    assert rows.keys() == LOWERINGS.keys()
    assert [name for name, said in rows.items() if len(said) < 4] == []
