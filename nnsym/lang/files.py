"""Properties from Python files: ``file.py:name``."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from nnsym.errors import InputError, NnsymError
from nnsym.lang.decorator import PropertyFunction
from nnsym.lang.property import Property
from nnsym.lang.writing.dump import dumps
from nnsym.results.saved import write_file


def load_property(spec: str, settings: Mapping[str, str] | None = None) -> Property:
    """The property ``name`` that the file of ``file.py:name`` defines; the file is run as a module.

    ``settings`` are values of the parameters of a property function (``@nn.prop``), as text; see
    :meth:`nnsym.lang.decorator.PropertyFunction.with_text`. The file's folder is on the import path while it runs; data
    files are found by paths relative to ``__file__``. Raises :class:`InputError` naming the line that failed, or
    listing the properties the file has.
    """
    path, name = _split(spec)
    with _running(Path(path)) as module:
        name, chosen = _chosen(module, path, name)
        if isinstance(chosen, PropertyFunction):
            return chosen.with_text(settings or {})
    if settings:
        reason = f"'{name}' has no parameters, so {', '.join(settings)} cannot be set"
        raise InputError(reason, where=path, remedy="Decorate a function by @nn.prop that returns the property")
    return chosen.called(name)


def load_family(spec: str) -> Callable[..., Any]:
    """The function ``name`` that the file of ``file.py:name`` defines, from an item to a property; it is not called.

    The file is run as :func:`load_property` runs it. Raises :class:`InputError` listing the functions the file has.
    """
    path, name = _split(spec)
    with _running(Path(path)) as module:
        own: dict[str, Callable[..., Any]] = {
            k: v
            for k, v in vars(module).items()
            if callable(v) and not k.startswith("_") and getattr(v, "__module__", module.__name__) == module.__name__
        }
        if name not in own and callable(getattr(module, name, None)):
            own[name] = getattr(module, name)
    if not name and len(own) == 1:
        return next(iter(own.values()))
    if name not in own:
        reason = f"has no function '{name}'" if name else "name the function to take"
        listed = f"It has: {', '.join(own)}" if own else "It has none; def family(x, label, eps): return nn.props..."
        raise InputError(reason, where=path, remedy=listed)
    return own[name]


def _split(spec: str) -> tuple[str, str]:
    """Path and name of ``file.py:name``; raises where there is no such file."""
    path, colon, name = str(spec).rpartition(":")
    if not colon or not path or path.endswith(("/", "\\")):
        path, name = str(spec), ""
    if not Path(path).is_file():
        raise InputError("no such file", where=path, remedy="Write file.py:property")
    return path, name


def _chosen(module: ModuleType, path: str, name: str) -> tuple[str, Property | PropertyFunction]:
    found = {k: v for k, v in vars(module).items() if isinstance(v, (Property, PropertyFunction))}
    if not name and len(found) == 1:
        return next(iter(found.items()))
    if name not in found:
        if name and callable(getattr(module, name, None)):
            remedy = "Decorate it by @nn.prop, and --set gives its parameters; a family is for nnsym table"
            raise InputError(f"'{name}' is a function", where=path, remedy=remedy)
        shown = [f"{k}({', '.join(v.parameters)})" if isinstance(v, PropertyFunction) else k for k, v in found.items()]
        listed = f"It has: {', '.join(shown)}" if found else "It has none; bind one by p = nn.forall(...)"
        reason = f"has no property '{name}'" if name else "name the property to take"
        raise InputError(reason, where=path, remedy=listed)
    return name, found[name]


@contextmanager
def _running(file: Path) -> Iterator[ModuleType]:
    """The file's module, run; whatever fails in it, or in the body of the block, is its own line's error."""
    spec = importlib.util.spec_from_file_location(f"nnsym_property_file_{file.stem}", file.resolve())
    if spec is None or spec.loader is None:
        raise InputError("not a Python file", where=str(file), remedy="Write file.py:property")
    module = importlib.util.module_from_spec(spec)
    with _importable(module, file.resolve().parent):
        try:
            spec.loader.exec_module(module)
            yield module
        except NnsymError:
            raise
        except SyntaxError as error:
            raise InputError(f"{error.msg}", where=f"{error.filename}:{error.lineno}") from error
        except (Exception, SystemExit) as error:
            raise InputError(f"{type(error).__name__}: {error}", where=_line(error, file)) from error


def _line(error: BaseException, file: Path) -> str:
    """The last line of the file itself in the traceback."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file.resolve())]
    return f"{file}:{frames[-1].lineno}: `{frames[-1].line}`" if frames else str(file)


@contextmanager
def _importable(module: ModuleType, folder: Path) -> Iterator[None]:
    """The module registered, and its folder on the path, while it runs."""
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(module.__name__, None)


def save(prop: Property, path: str | Path) -> Path:
    """Write a property's full text (:func:`nnsym.dumps`); networks stand in it by name and hash.

    ``nnsym verify FILE --network NAME=FILE.onnx`` runs it, :func:`nnsym.parse` reads its text.
    """
    return write_file(path, dumps(prop))
