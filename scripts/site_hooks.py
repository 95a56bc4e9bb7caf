"""What `make site` does to the pages: docs/api.md becomes the reference, links out of docs/ become plain names.

No page is written for the site alone: all of them read well as they are. A line ``API: verify compare`` of
docs/api.md is replaced by what mkdocstrings makes of these names; where each lives is read off the imports of
``nnsym/__init__.py`` (or ``.pyi``), without importing anything.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

#: A role of Sphinx in front of code: docstrings have them, and Markdown does not know them.
_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):(<code>)~?")

_LINK = re.compile(r"\[([^\]]+)\]\((?!\w+://|#)([^)#\s]+)(#[^)\s]*)?\)")


def public_names() -> dict[str, str]:
    """The public names of nnsym, each with the path of what it is."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "nnsym").glob("__init__.py*"))]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in imports
        if (node.module or "").partition(".")[0] == "nnsym"
        for alias in node.names
    }


def _reference(found: re.Match[str]) -> str:
    paths = public_names()
    entries = []
    for name in found[1].split():
        shown, path = (name, name) if name.startswith("nnsym.") else (f"nn.{name}", paths[name])
        options = {"heading": shown, "toc_label": shown}
        lines = [f"::: {path}", "    options:", *(f"      {key}: {value}" for key, value in options.items())]
        entries.append("\n".join(lines))
    return "\n\n".join(entries)


def _inside(page: Path) -> Any:
    def replaced(link: re.Match[str]) -> str:
        target = (page.parent / link[2]).resolve()
        return link[0] if target.is_relative_to(ROOT / "docs") else link[1]

    return replaced


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by MkDocs for the text of every page."""
    if page.file.src_uri == "api.md":
        markdown = re.sub(r"^API: (.*)$", _reference, markdown, flags=re.M)
    return _LINK.sub(_inside(ROOT / "docs" / page.file.src_uri), markdown)


def on_page_content(html: str, *, page: Any, **_: Any) -> str:
    """Called by MkDocs for the rendered page. Signatures have the public names: ``max``, not ``max_``."""
    if page.file.src_uri == "api.md":
        for name, path in public_names().items():
            html = html.replace(f">{path.rpartition('.')[2]}</span>", f">{name}</span>")
    return _ROLE.sub(r"\1", html)
