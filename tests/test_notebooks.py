"""The notebooks of the docs run from top to bottom, in a kernel of their own, and show what they promise."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
ROOT = FOLDER.parents[1]

nbformat = pytest.importorskip("nbformat", reason="notebooks run with nbclient and ipykernel (extra dev)")
#: Pictures and tables that each shows, at least.
SHOWN = {
    "bounds": (4, 1),
    "closed_loop": (3, 3),
    "data_sets": (2, 4),
    "encodings": (5, 3),
    "properties": (0, 2),
    "search": (1, 0),
    "surrogate": (0, 0),
    "ten_minutes": (1, 4),
}


def read(path: Path):
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_kept_without_outputs(path: Path):
    cells = read(path).cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    for cell in cells:
        for target in re.findall(r"\]\(([^)#:]+)\)", cell.source) if cell.cell_type == "markdown" else ():
            assert (path.parent / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_run_and_show_pictures_and_tables(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib", reason="pictures need the extra 'report'")
    known = os.pathsep.join(filter(None, (str(ROOT), str(ROOT / "encodings"), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", known)
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = read(path)
    resources = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    data = [output.data for output in outputs if "data" in output]
    pictures = sum("image/png" in one for one in data)
    tables = sum("<table" in one.get("text/html", "") for one in data)
    assert (pictures, tables) >= SHOWN[path.stem]
    assert tables >= SHOWN[path.stem][1]
    errors = [o.text for o in outputs if o.get("name") == "stderr" and "Warning" in o.text]
    assert not errors
