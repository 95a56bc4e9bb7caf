"""Every Python block of the docs runs, and prints what its comments say.

The blocks of a file share one namespace, in order. After ``print(...)`` a trailing ``# text`` is the expected
output of that line, each time it runs.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import re
from pathlib import Path

import pytest

import nnsym as nn
from nnsym import demo

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


def blocks(page: Path) -> list[tuple[int, str]]:
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start(1)), found[1]) for found in BLOCK.finditer(text)]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "docs"}
    for start, source in blocks(page):
        lines = source.splitlines()
        expected = {
            k: line.split("  # ", 1)[1] for k, line in enumerate(lines, 1) if re.match(r" *print\(.*  # ", line)
        }
        printed: list[tuple[int, str]] = []

        def show(*values: object, _printed: list[tuple[int, str]] = printed, **options: object) -> None:
            import sys

            text = io.StringIO()
            with contextlib.redirect_stdout(text):
                print(*values, **options)
            _printed.append((sys._getframe(1).f_lineno, text.getvalue().rstrip("\n")))

        namespace["print"] = show
        name = f"{page.name}, block at line {start}"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)  # as notebooks do
        exec(compile(source, name, "exec", dont_inherit=True), namespace)
        for line, text in printed:
            assert text == expected.get(line, text), f"{page.name}:{start + line}"
        assert set(expected) <= {line for line, _ in printed}


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_shows_the_table_that_is_printed() -> None:
    f, (image, label) = nn.load(demo.NETWORK), demo.digit(1)
    p = nn.props.robust(f, image, label, 3 / 64, within=(0, 1), name="close")
    shown = (ROOT / "README.md").read_text(encoding="utf-8").partition("```text\nclose\n")[2].partition("\n```")[0]
    printed = str(nn.compare(p, ["ibp", "crown", "triangle", "bigm", "bab", "smt"])).splitlines()[1:]
    assert [line.rstrip() for line in shown.splitlines()] == [line.rstrip() for line in printed]
