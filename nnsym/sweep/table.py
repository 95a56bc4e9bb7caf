"""``table``: a family of properties over a data set, by methods in stages, one record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from fractions import Fraction
from pathlib import Path
from typing import Any

from nnsym.errors import InputError
from nnsym.judge.method import Method, Settings
from nnsym.judge.methods import BoundsChoice
from nnsym.judge.registry import MethodChoice, resolve
from nnsym.report.progress import stage_progress
from nnsym.results import ranges as options
from nnsym.results.files import path_of
from nnsym.results.versions import package_version
from nnsym.sweep.answered import Table
from nnsym.sweep.data import Data
from nnsym.sweep.entry import CLEAN
from nnsym.sweep.family import Family, check_call, families_of, fingerprint
from nnsym.sweep.pool import Workers
from nnsym.sweep.record import Header, Record
from nnsym.sweep.schedule import Heard, Schedule


def table(
    family: Family | Mapping[str, Family],
    data: object,
    methods: Sequence[MethodChoice] | MethodChoice = ("crown", "portfolio"),
    *,
    eps: Sequence[Any] | Any = None,
    file: str | Path | None = None,
    timeout: float | Sequence[float] = 60.0,
    staged: bool = True,
    clean: bool = True,
    executor: Executor | Workers | None = None,
    bounds: BoundsChoice = "crown",
    memory: int = 8 * 2**30,
    relaxation: bool = False,
    shortcut: bool = True,
    seed: int = 0,
    device: str = "cpu",
    progress: bool | Heard | None = None,
) -> Table:
    """Judge a property of every item of a data set, at every radius, by methods in turn.

    Queries that differ only in boxes are bounded as batches, and radii that follow from others are not asked.

    Args:
        family: a function from an item to a property, such as ``partial(nn.props.robust, f, within=(0, 1))``; with
            ``eps`` it is also given ``eps=``. Several by name are asked one after the other.
        data: columns, ``(images, labels)`` or ``{"x": images, "label": labels}``, a list of items, or an .npz file.
        methods: as :func:`nnsym.verify` takes them, the quick ones first.
        eps: the radii, numbers or exact text such as ``"8/255"``; None for a family that has none.
        file: the record (JSON lines). What it holds is not asked again; it has to be of the same question.
        timeout: wall seconds of one question, or of each item's questions.
        staged: ask each method only what those before it left open. Without it every method is asked everything.
        clean: with radii, look first whether the property holds at the item itself (radius 0); an item where it fails
            is wrong, and no method is asked about it.
        executor: where tasks run, any :class:`concurrent.futures.Executor`; this process where there is none.
        bounds: what feeds methods that are named and need bounds.
        memory: bytes that a solver's process may use.
        relaxation: also note the bound of programs without integrality.
        shortcut: stop before encoding where the bounds decide; comparisons of encodings do without.
        seed: seed of sampling and of solvers.
        device: where bounds are computed.
        progress: a bar on stderr where that is a terminal (None), always or never, or a function that hears the stage,
            how many of its items are done, and of how many.

    Returns:
        A :class:`nnsym.sweep.answered.Table`. An interrupt is raised; the record keeps what was answered.

    Raises:
        InputError: data, family or options that do not fit together, or the record of something else.
    """
    if executor is not None and not hasattr(executor, "submit"):
        raise InputError(f"executor={executor!r} runs nothing", remedy="Use concurrent.futures.ProcessPoolExecutor(2)")
    items, families = Data.of(data), families_of(family)
    radii = _radii(eps)
    chosen = _methods(methods, bounds)
    timeouts = _timeouts(timeout, len(items))
    header = _header(
        families, items, radii, tuple(chosen), timeouts, staged=staged, clean=clean, seed=options.seed(seed)
    )
    settings = Settings(memory=memory, seed=seed, relaxation=relaxation, shortcut=shortcut, device=device)
    record = Record(None if file is None else path_of(file), header)
    run = Schedule(header, families, items, radii, chosen, timeouts, settings, record)
    try:
        with heard(progress) as hear:
            run.finish(executor, hear)
    finally:
        record.close()
    return Table(header=header, entries=tuple(run.entries))


def _header(
    families: Mapping[str, Family],
    items: Data,
    radii: tuple[Any, ...],
    methods: tuple[str, ...],
    timeouts: Sequence[float],
    *,
    staged: bool,
    clean: bool,
    seed: int,
) -> Header:
    """What a record says of the question, once every family takes the items."""
    for one in families.values():
        check_call(one, items.arguments(0), radius=radii != (None,))
    prints = {name: fingerprint(one, items, radii) for name, one in families.items()}
    return Header(
        families={name: digest for name, (digest, _) in prints.items()},
        data=items.digest,
        count=len(items),
        networks=tuple(dict.fromkeys(n for _, networks in prints.values() for n in networks)),
        methods=methods,
        eps=tuple(float(v) for v in radii if v is not None),
        staged=staged,
        clean=clean and radii != (None,),
        timeouts=(min(timeouts), max(timeouts)),
        seed=seed,
        version=package_version("nnsym"),
    )


def heard(progress: bool | Heard | None) -> Any:
    """Who hears of the progress, as a context."""
    from contextlib import nullcontext

    if callable(progress):
        return nullcontext(progress)
    return stage_progress(progress)


def _radii(given: Any) -> tuple[Any, ...]:
    """Radii in increasing order, text as exact numbers; ``(None,)`` for none."""
    if given is None:
        return (None,)
    some = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    try:
        radii = sorted({Fraction(v) if isinstance(v, str) else v for v in some})
        fit = bool(radii) and all(0 <= float(v) < float("inf") for v in radii)
    except (TypeError, ValueError, ArithmeticError):
        fit = False
    if not fit:
        remedy = 'Give one or more numbers from 0 on, or exact text: eps=[0.02, "8/255"], or --eps 0.02,8/255'
        raise InputError(f"eps is {given!r}", remedy=remedy)
    return tuple(radii)


def _methods(given: Sequence[MethodChoice] | MethodChoice, bounds: BoundsChoice) -> dict[str, Method]:
    """Methods by what they are called in the table."""
    some = [given] if isinstance(given, str) or not isinstance(given, Sequence) else list(given)
    found: dict[str, Method] = {}
    for choice in some:
        method = resolve(choice, bounds=bounds)
        label = label_of(method)
        if label in found or label == CLEAN:
            raise InputError(f"two methods are called '{label}'", where="methods", remedy="Name each once")
        found[label] = method
    if not found:
        raise InputError("no methods", where="methods", remedy="Name one at least, such as crown")
    return found


def label_of(method: Method) -> str:
    """What a method is called in a table: its name, the bounds that feed it, and its goal where it optimises."""
    fed = f" on {method.bounds}" if method.encoded and method.bounds else ""
    return f"{method.name}{fed}{' (optimise)' if method.goal == 'optimise' else ''}"


def _timeouts(given: float | Sequence[float], count: int) -> tuple[float, ...]:
    if not isinstance(given, Iterable):
        return (options.seconds(given),) * count
    found = tuple(options.seconds(v) for v in given)
    if len(found) != count:
        raise InputError(f"{len(found)} timeouts for {count} items", remedy="Give one number, or one for each item")
    return found
