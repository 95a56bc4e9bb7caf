"""What docstrings refer to by its full name is there: a file that moves takes the references to it along."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from imports_of import modules_of

ROOT = Path(__file__).resolve().parents[1]
#: ``:class:`nnsym.ir.query.Query``` and its kin.
_ROLE = re.compile(r":(?:mod|class|func|data|attr|meth):`~?((?:nnsym_encodings|nnsym)(?:\.\w+)*)")


def references(text: str) -> Iterator[str]:
    for found in _ROLE.finditer(text):
        yield found[1]


def names_of(tree: ast.Module | ast.ClassDef) -> dict[str, ast.stmt]:
    """The names that a module or class binds, by what binds them; attributes of ``self`` are a class's."""
    found: dict[str, ast.stmt] = {}
    for node in ast.walk(tree) if isinstance(tree, ast.ClassDef) else tree.body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found[name] = node
            case ast.Assign(targets=targets):
                found |= {name: node for target in targets for name in _bound(target)}
            case ast.AnnAssign(target=target):
                found |= dict.fromkeys(_bound(target), node)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                found |= {alias.asname or alias.name: node for alias in aliases}
    return found


def _bound(target: ast.expr) -> list[str]:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return [name]
        case ast.Tuple(elts=parts):
            return [name for part in parts for name in _bound(part)]
    return []


def there(name: str, modules: Mapping[str, Path]) -> bool:
    """True for a module, a name that one binds, and a member of a class; what a class inherits is not looked for."""
    parts = name.split(".")
    known = next(k for k in range(len(parts), -1, -1) if ".".join(parts[:k]) in modules or not k)
    path, rest = modules.get(".".join(parts[:known])), parts[known:]
    if path is None or not rest:
        return path is not None
    stub = path.with_suffix(".pyi")  # the public names of the package
    bound = names_of(ast.parse((stub if stub.exists() else path).read_text(encoding="utf-8")))
    node = bound.get(rest[0])
    if len(rest) == 1 or not isinstance(node, ast.ClassDef):
        return node is not None
    return bool(node.bases) or rest[1] in names_of(node)


def test_what_is_referred_to_is_there() -> None:
    modules = modules_of(ROOT / "nnsym", ROOT / "encodings" / "nnsym_encodings")
    found = {(name, path) for path in modules.values() for name in references(path.read_text(encoding="utf-8"))}
    assert len(found) > 200
    missing = sorted(f"{path.relative_to(ROOT)}: {name}" for name, path in found if not there(name, modules))
    assert not missing, "\n".join(missing)


def test_names_that_are_not_there_are_found(tmp_path: Path) -> None:
    package = tmp_path / "p"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text(
        "import os\nA, B = 1, 2\nclass C:\n    x: int\n    def f(self):\n        self.y = 1\n"
    )
    modules = modules_of(package)
    assert all(
        there(name, modules) for name in ("p", "p.a", "p.a.A", "p.a.B", "p.a.C", "p.a.C.x", "p.a.C.f", "p.a.C.y")
    )
    assert not any(there(name, modules) for name in ("q", "p.b", "p.a.D", "p.a.C.z", "p.a.f"))
    text = "See :mod:`p.a`, :class:`nnsym.ir.query.Query` and :meth:`~nnsym.ir.rows.Rows.node`."
    assert list(references(text)) == ["nnsym.ir.query.Query", "nnsym.ir.rows.Rows.node"]
