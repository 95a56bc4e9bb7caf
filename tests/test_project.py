"""Rules of the repository that nothing else would notice."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_standard_library_keeps_the_name_encodings() -> None:
    """With these files on PYTHONPATH the interpreter, or pytest, would not start."""
    assert not (ROOT / "encodings" / "__init__.py").exists()
    assert not (ROOT / "tests" / "encodings").exists()


def test_an_interpreter_starts_with_the_repository_on_its_path() -> None:
    code = "import encodings, nnsym, nnsym_encodings; print(encodings.__file__)"
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'encodings'}", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert str(ROOT) not in done.stdout


def test_importing_nnsym_loads_nothing_heavy() -> None:
    code = (
        "import sys, nnsym, nnsym.cli.main\n"
        "heavy = set('torch onnx onnxruntime scipy z3 pyomo highspy gurobipy pandas matplotlib'.split())\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_constraints_pin_every_dependency() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    names = {re.split(r"[<>=\[ ]", line)[0].lower() for line in wanted} - {"nnsym"}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower(): line.split("==")[1] for line in lines if "==" in line}
    assert names <= set(pinned)
    assert not any("+" in version for version in pinned.values())
    assert pinned["torch"] == "2.13.0"


def test_the_version_is_said_once_everywhere() -> None:
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
