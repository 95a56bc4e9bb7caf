"""What somebody else's package leaves on a machine: the files of docs/guests.md, a ``dist-info``, and a path."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "guests.md").read_text(encoding="utf-8")

#: The text of every file, by its module.
FILES: Mapping[str, str] = dict(re.findall(r"`(acme_\w+)\.py`:\n\n```python\n(.*?)```", PAGE, re.S))

#: Its entry points, group by group.
POINTS: Mapping[str, Mapping[str, str]] = tomllib.loads(re.findall(r"```toml\n(.*?)```", PAGE, re.S)[0])["project"][
    "entry-points"
]

#: Wrong twins: the module, what is written instead of what, and what its kit says.
TWINS = re.findall(r"^\| `(acme_\w+)\.py` \| `(.+?)` \| `(.+?)` \| (.+?) \|$", PAGE, re.M)

PROPERTY = """
import nnsym as nn

x = nn.Variable(3, name="x")
f = nn.zoo.random_mlp(5, widths=(3, 6, 6, 2))
y = f(x)
p = nn.forall(x, where=nn.box(x, -1, 1), then=y[0] - y[1] >= -3, name="small")
"""


def install(
    site: Path, distribution: str, modules: Mapping[str, str], points: Mapping[str, Mapping[str, str] | str]
) -> None:
    """What an installer leaves of a package: its modules, and a dist-info with its entry points, group by group."""
    for module, source in modules.items():
        (site / f"{module}.py").write_text(source)
    info = site / f"{distribution.replace('-', '_')}-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.3\n")
    lines = []
    for group, named in points.items():
        each = {"x": named} if isinstance(named, str) else named
        lines += [f"[{group}]", *(f"{name} = {module}" for name, module in each.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def python(site: Path, *arguments: str, text: str | None = None, code: int = 0) -> str:
    """What a process prints whose path has the site; both streams where it is to fail."""
    path = os.pathsep.join(map(str, (site, ROOT, ROOT / "encodings")))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=site,
        input=text,
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == code, done.stderr
    return done.stdout + (done.stderr if code else "")
