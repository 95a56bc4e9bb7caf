"""What every file of the house imports, by its syntax tree: at its top, inside functions, or for annotations alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import networkx as nx

#: Libraries that take long to load: none of them stands in the way of a command that does without.
HEAVY = frozenset(
    {"cvc5", "gurobipy", "highspy", "matplotlib", "networkx", "numpy", "onnx", "onnxruntime", "onnxscript"}
    | {"pandas", "pyomo", "rich", "scipy", "torch", "z3"}
)
_REASON = re.compile(r"# (heavy|circle|start): (\w+)")


@dataclass(frozen=True, kw_only=True)
class Import:
    """``where`` is top, function or types; ``reason`` and ``word`` are those of the comment on its line."""

    file: str
    target: str
    where: str
    line: int
    reason: str = ""
    word: str = ""


def modules_of(*roots: Path) -> dict[str, Path]:
    """Every module under the folders of packages, by its full name."""
    found = {}
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(modules: Mapping[str, Path]) -> list[Import]:
    """All imports of modules by modules, and of heavy libraries."""
    return [one for name, path in modules.items() for one in _of_file(name, path, modules)]


def _of_file(name: str, path: Path, modules: Mapping[str, Path]) -> Iterator[Import]:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node, where in _nodes(ast.parse(text), "top"):
        said = _REASON.search(" ".join(lines[node.lineno - 1 : node.end_lineno]))
        reason, word = said.groups() if said else ("", "")
        for target in _targets(node, package, modules):
            if target != name:
                yield Import(file=name, target=target, where=where, line=node.lineno, reason=reason, word=word)


def _nodes(node: ast.AST, where: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, where
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _nodes(child, "types")
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _nodes(child, where if where == "types" else "function")
        elif isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield from _nodes(child, where)


def _targets(node: ast.Import | ast.ImportFrom, package: str, modules: Mapping[str, Path]) -> set[str]:
    if isinstance(node, ast.Import):
        named = {a.name for a in node.names}
    else:
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *filter(None, [node.module])])
        named = {f"{base}.{a.name}" if f"{base}.{a.name}" in modules else base for a in node.names}
    return {n if n in modules else n.split(".")[0] for n in named if n in modules or n.split(".")[0] in HEAVY}


class House:
    """The files and what loads what: importing a file imports the packages that it lies in."""

    def __init__(self, modules: Mapping[str, Path]) -> None:
        self.imports = imports_of(modules)
        self.loads = nx.DiGraph()
        self.loads.add_nodes_from(modules)
        for one in self.imports:
            if one.where == "top":
                self.loads.add_edges_from((one.file, t) for t in self._with_packages(one))

    def _with_packages(self, one: Import) -> set[str]:
        return {one.target, *_packages(one.target)} - {one.file, *_packages(one.file)}

    def loaded_by(self, *files: str) -> set[str]:
        """Everything that importing the files loads."""
        return set(files).union(*(nx.descendants(self.loads, f) for f in files))

    def circles(self, *where: str) -> set[frozenset[str]]:
        """Files that import each other, one way or another, by imports of these kinds."""
        graph = nx.DiGraph((one.file, one.target) for one in self.imports if one.where in where)
        return {frozenset(c) for c in nx.strongly_connected_components(graph) if len(c) > 1}

    def unfounded(self, *starts: str) -> list[str]:
        """Imports inside functions without a reason, or with one that is not true.

        ``heavy: LIBRARY`` is true where the import loads the library and the file alone does not; ``circle`` where what
        is imported imports the file; ``start`` where one of ``starts`` loads the file and not what is imported.
        """
        light = [self.loaded_by(start) for start in starts]
        return [self._said(one) for one in self.imports if one.where == "function" and not self._founded(one, light)]

    def _founded(self, one: Import, light: list[set[str]]) -> bool:
        if one.target in HEAVY:
            return True
        loaded = self.loaded_by(*self._with_packages(one))
        match one.reason:
            case "heavy":
                return one.word in loaded & HEAVY and one.word not in self.loaded_by(one.file)
            case "circle":
                return one.file in loaded
            case "start":
                return any(one.file in some and one.target not in some for some in light)
        return False

    @staticmethod
    def _said(one: Import) -> str:
        why = f"'{one.reason}: {one.word}' is not so" if one.reason else "no reason"
        return f"{one.file}:{one.line} imports {one.target} inside a function: {why}"


def _packages(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[:k]) for k in range(2, len(parts))}
