"""Rules of the repository that nothing else would notice."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from system_programs import PROGRAMS, asked_for, path_without

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
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == version  # type: ignore[index]


def test_the_entry_of_the_solver_database_is_of_this_version() -> None:
    folder = ROOT / "scripts" / "vnnlib-database"
    install = (folder / "install.sh").read_bytes()
    assert install.startswith(b"#!/usr/bin/env bash\n")
    assert b"\r" not in install
    assert os.access(folder / "install.sh", os.X_OK)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion={version}\n" in install.decode()
    assert f"nnsym {version} for" in install.decode()
    entry = tomllib.loads((folder / "solver.toml").read_text())
    assert {"name", "license", "repo"} <= set(entry)
    assert f"nnsym-vnnlib/{version}" in (folder / "solver.toml").read_text()


def test_the_package_says_its_version_as_a_module_and_as_an_attribute() -> None:
    import nnsym
    from nnsym.results.versions import package_version

    assert nnsym.__version__ == package_version("nnsym") != ""
    asked = subprocess.run([sys.executable, "-m", "nnsym", "--version"], capture_output=True, text=True, check=True)
    assert asked.stdout.splitlines()[0] == f"nnsym {nnsym.__version__}"


def test_every_page_of_the_docs_stands_in_the_menu_of_the_site() -> None:
    menu = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    listed = re.findall(r"(\S+\.md)$", menu, re.M)
    notebooks = [p.with_suffix(".md") for p in (ROOT / "docs").rglob("*.ipynb")]  # scripts/site_notebooks.py
    pages = [*(ROOT / "docs").rglob("*.md"), *notebooks]
    assert sorted(listed) == sorted(str(p.relative_to(ROOT / "docs")) for p in pages)


def test_the_reference_lists_every_public_name_once() -> None:
    import nnsym

    text = (ROOT / "docs" / "api.md").read_text()
    listed = [name for line in re.findall(r"^API: (.*)$", text, re.M) for name in line.split()]
    assert sorted(n for n in listed if not n.startswith("nnsym.")) == sorted(dir(nnsym))
    code = compile((ROOT / "scripts" / "site_hooks.py").read_text(), "site_hooks.py", "exec")
    hooks: dict[str, Any] = {"__file__": str(ROOT / "scripts" / "site_hooks.py")}
    exec(code, hooks)
    assert set(dir(nnsym)) <= set(hooks["public_names"]())


def test_hooks_of_commits_need_no_network() -> None:
    assert "://" not in (ROOT / ".pre-commit-config.yaml").read_text()


def imported(tree: ast.AST) -> Iterator[str]:
    """The top names of all modules that a file imports, wherever, and of ``pytest.importorskip``."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name.partition(".")[0] for alias in node.names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield module.partition(".")[0]
            case ast.Call(func=ast.Attribute(attr="importorskip"), args=[ast.Constant(value=str(name)), *_]):
                yield name.partition(".")[0]


#: What `make bench` compares with where it is there, and says to be absent where it is not.
PEERS = frozenset({"omlt", "auto_LiRPA"})


def declared() -> set[str]:
    """The distributions that ``pip install nnsym[dev]`` brings, by name."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    return {re.split(r"[<>=\[ ]", line)[0].lower().replace("_", "-") for line in wanted}


@cache
def trees() -> dict[Path, ast.Module]:
    """The syntax of every file of the tests."""
    return {path: ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("*.py")}


def test_no_test_imports_more_than_the_declared_dependencies() -> None:
    local = {path.stem for path in trees()} | {"tests", "nnsym", "nnsym_encodings", "encodings"}
    sources, known = packages_distributions(), declared()
    for path, tree in trees().items():
        for name in set(imported(tree)) - local - PEERS - sys.stdlib_module_names:
            brought = {d.lower().replace("_", "-") for d in sources.get(name, [name])}
            assert brought & known, f"{path.relative_to(ROOT)} imports {name}, which no extra declares"


def test_no_test_starts_a_program_that_may_be_missing() -> None:
    """What is run is Python, comes with the environment, is in every POSIX system, or is skipped where it is absent."""
    everywhere = {"sleep", "true", "sh", "mkfifo"}
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            first = node.args[0].elts[0] if isinstance(node.args[0], ast.List) and node.args[0].elts else None
            if node.func.attr in ("run", "Popen", "check_output", "check_call") and isinstance(first, ast.Constant):
                assert first.value in everywhere, f"{path.name}:{node.lineno} starts '{first.value}'"


@pytest.mark.skipif(asked_for(), reason="the system's solvers are asked for")
@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_optional_programs_of_the_system_are_hidden(name: str) -> None:
    found = shutil.which(name)
    assert found is None or Path(found).parent == Path(sys.executable).parent


def test_a_folder_with_a_hidden_program_keeps_all_others(tmp_path: Path) -> None:
    folder, shadows = tmp_path / "bin", tmp_path / "shadows"
    folder.mkdir()
    shadows.mkdir()
    for name in ("cbc", "other"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    path = path_without(os.pathsep.join([str(folder), str(tmp_path), ""]), shadows)
    assert shutil.which("cbc", path=path) is None
    assert shutil.which("other", path=path) is not None
    assert path.split(os.pathsep)[1:] == [str(tmp_path), ""]


def test_mutation_testing_names_files_tests_and_mutants_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    mutate = import_module("mutate")
    for file, tests in mutate.TESTS.items():
        assert (ROOT / file).is_file(), file
        assert all((ROOT / "tests" / f"{name}.py").is_file() for name in tests), tests
    known = mutate.equivalent()
    named = {key.partition(":")[0] for key in known}
    made = {mutant.key for file in mutate.TESTS if Path(file).name in named for mutant in mutate.mutants(file)}
    assert known <= made
