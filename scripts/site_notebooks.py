"""What `make site` does to the notebooks: each is run in a folder of its own, and stands on the site as a page.

Pages have the outputs beside the cells: tables, pictures, text; no script and no style from elsewhere.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import PurePosixPath
from typing import Any

#: Forms of an output, the best first. Formulas would need a script from elsewhere, so their text is shown.
_FORMS = ("text/html", "image/svg+xml", "image/png", "text/markdown", "text/plain")
_SECONDS = 120  # a cell


def on_files(files: Any, *, config: Any) -> Any:
    """Called by MkDocs with all files: notebooks give way to pages and their pictures."""
    from mkdocs.structure.files import File

    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(notebook)
        name = PurePosixPath(notebook.src_uri)
        text, pictures = page_of(notebook.abs_src_path, prefix=name.stem)
        files.append(File.generated(config, str(name.with_suffix(".md")), content=text))
        for picture, data in pictures.items():
            files.append(File.generated(config, str(name.with_name(picture)), content=data))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links to notebooks lead to their pages."""
    del page
    return re.sub(r"(\]\((?!\w+://)[^)\s#]+)\.ipynb", r"\1.md", markdown)


def page_of(path: str, *, prefix: str) -> tuple[str, dict[str, bytes]]:
    """The Markdown of a notebook that was run, and its pictures by file name."""
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import MarkdownExporter

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=_SECONDS, resources=resources, coalesce_streams=True).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "data" in output:
                best = next(form for form in _FORMS if form in output.data)
                output.data = {best: output.data[best]}
    text, resources = MarkdownExporter().from_notebook_node(notebook, {"unique_key": prefix})
    return text, resources["outputs"]
