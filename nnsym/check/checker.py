"""A certificate from its file to the verdict on it."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from .errors import OutOfRange, Refused, need, number, whole
from .functions import Pieces
from .graph import Affine, Input
from .problem import Case, Problem
from .rule import SEMANTICS, Reference
from .tree import Leaves, Tree

FORMAT = "nnsym-cert/1"
VERSION = "1"  # of the checker: counted up when it accepts, or refuses, other certificates than before
PRECISION = 56
_LARGEST = 1 << 30  # bytes of a file, unpacked
_SMOOTH = 256  # binary places of functions that are no lines
_WIDEST = 1 << 16  # bits of an exact forward pass
ENGINES = ("fast", "reference")


@dataclass(frozen=True)
class Report:
    """An accepted claim: what was asked of which files, and how it was checked."""

    claim: str
    semantics: str
    engine: str
    leaves: int
    rows: int
    least: Fraction | None
    seconds: float
    failures: Sequence[tuple[int, Fraction]] = ()

    def __str__(self) -> str:
        least = "" if self.least is None else f", least value {float(self.least):.3g}"
        work = f"{self.leaves} leaves, {self.rows} rows{least}, " if self.claim == "unsat" else ""
        verdict = f"{len(self.failures)} leaves fail" if self.failures else "accepted"
        by = f"checker {VERSION}, {self.engine} engine, {self.seconds:.2f} s"
        return f"{verdict}: {self.claim}, {self.semantics}; {work}{by}"


class Checker:
    """One certificate with the files that it speaks of, by the SHA-256 of their content.

    ``engine`` is ``fast`` (needs NumPy), ``reference`` (the standard library), or None: the fast
    one where NumPy is and its range is kept, else the reference.
    """

    def __init__(self, certificate: Mapping[str, Any], files: Mapping[str, bytes], engine: str | None = None) -> None:
        need(isinstance(certificate, Mapping) and certificate.get("format") == FORMAT, f"not of the format {FORMAT}")
        self.certificate, self.started = certificate, time.process_time()
        self.claim, self.semantics = str(certificate.get("claim")), str(certificate.get("semantics", "real"))
        need(self.claim in ("unsat", "sat"), f"a claim {self.claim!r}")
        need(self.semantics in SEMANTICS, f"semantics {self.semantics!r}")
        try:
            self.problem = Problem(certificate, files)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise Refused(f"the certificate is damaged: {error!r}") from None
        coarsest = min((m.precision for m in self.problem.models.values()), default=0)
        fits = SEMANTICS[self.semantics].precision <= coarsest
        need(fits, f"a network whose runs meet coarser floats than {self.semantics}")
        self.asked, self.engine = engine, self._engine(engine)

    def _engine(self, name: str | None) -> Any:
        need(name in (None, *ENGINES), f"no engine '{name}'; one of {', '.join(ENGINES)}")
        bits = whole(self.certificate.get("precision", PRECISION), 16, 401, "precision")
        if name != "reference" and self.claim == "unsat":
            try:
                from .fast import Fast
            except ImportError:
                need(name is None, "the fast engine needs NumPy")
            else:
                return Fast(self.problem.nodes, min(bits, Fast.finest), SEMANTICS[self.semantics])
        return Reference(self.problem.nodes, bits, SEMANTICS[self.semantics])

    def run(self, failures: bool = False, stop: Callable[[], bool] = lambda: False) -> Report:
        """Check the claim; raises :class:`Refused` where it does not hold. ``failures`` collects leaves instead.

        ``stop`` is asked between batches of leaves: where it says so, the certificate is refused as "stopped".
        """
        least, leaves, failed = None, 0, list[tuple[int, Fraction]]()
        if self.claim == "unsat":
            found = self._walk(failures, stop)
            least, leaves, failed = found.least, found.count, found.failures
        else:
            self.replay()
        seconds = time.process_time() - self.started
        return Report(self.claim, self.semantics, self.engine.name, leaves, self.engine.rows, least, seconds, failed)

    def _walk(self, failures: bool, stop: Callable[[], bool]) -> Leaves:
        tokens = self.certificate.get("tree", [])
        try:
            return Tree(self.problem, self.engine, tokens, failures, stop).run()
        except (OutOfRange, OverflowError) as error:
            if self.asked:
                raise OutOfRange(str(error)) from None
        self.engine = self._engine("reference")
        return Tree(self.problem, self.engine, tokens, failures, stop).run()

    def root(self, tokens: Sequence[Any] = ()) -> Case:
        """The case that tokens with one child each lead to."""
        tree = Tree(self.problem, self.engine, [])
        case = tree.root
        for place, token in enumerate(tokens):
            (case,) = tree.children(place, token, case)
        return tree.refreshed([case])[0] if tokens else case

    def opened(self, case: Case, name: int) -> list[bool]:
        """Which elements of the curve ``names[name]`` are open in a case that has bounds: those that slopes are for."""
        return list(self.engine.open_elements(self.problem.names[name].node, case.known))

    # Witnesses

    def replay(self) -> None:
        """Whether the point satisfies every assertion: a forward pass that loses nothing, or encloses."""
        need(self.semantics == "real", "a point in floats is a matter of running the model")
        point = self.point()
        case = Case(point, point)
        values = self.forward(case)
        unit = 1 << values[0]

        def holds(part: Any) -> bool:
            if hasattr(part, "every"):
                return (all if part.every else any)(map(holds, part.parts))
            fact = self.problem.fact(part)
            total = fact.constant + sum(q * point[k] ** 2 for k, q in fact.squares.items())
            for node, terms in fact.terms.items():
                for i, a in terms.items():
                    if isinstance(node, Input):
                        total += a * point[node.first + i]
                    else:
                        bounds = values[1][node]
                        total += a * Fraction((bounds.upper if a > 0 else bounds.lower)[i], unit)
            return total < 0 or (total == 0 and not fact.strict)

        for k in self.problem.integers:
            need(point[k].denominator == 1, f"input element {k} is no whole number")
        need(holds(self.problem.property.formula), "the point does not satisfy the property's assertions")

    def point(self) -> tuple[Fraction, ...]:
        """The point of a sat claim, over all input elements."""
        given, found = self.certificate.get("point"), list[Fraction]()
        listed = isinstance(given, Mapping) and all(isinstance(values, list) for values in given.values())
        need(listed, "a sat claim without a point")
        rest = {name: list(values) for name, values in given.items()}  # type: ignore[union-attr]
        for name, value in self.problem.inputs:
            need(len(rest.get(name, ())) >= value.node.size, f"the point has too few values for '{name}'")
            found += [number(v, "point") for v in rest[name][: value.node.size]]
            rest[name] = rest[name][value.node.size :]
        need(not any(rest.values()), "the point has more values than inputs")
        return tuple(found)

    def forward(self, case: Case) -> tuple[int, Mapping[Any, Any]]:
        """Bits, and bounds of all nodes at a point: equal where only dyadic numbers and lines are met."""
        nodes, places = self.problem.nodes, dict[Any, int]()  # binary places that hold a node's values
        for node in nodes:
            places[node] = self._places(node, places, case)
        bits = max(places.values()) + 64
        need(bits < _WIDEST, "an exact forward pass would need too many digits")
        engine, current = Reference(nodes, bits, SEMANTICS["real"]), dict[Any, Any]()
        for node in nodes:
            current[node] = engine.interval(node, case, current)
        return bits, current

    def _places(self, node: Any, places: Mapping[Any, int], case: Case) -> int:
        if isinstance(node, Input):
            values = case.lower[node.first : node.first + node.size]
            return max([v.denominator.bit_length() for v in values if v is not None], default=0)
        if isinstance(node, Affine):
            biases = [b.as_integer_ratio()[1].bit_length() for b in node.bias or ()]
            return int(max([places[p] + m.integers[0] for p, m in node.parts] + biases))
        if isinstance(node.function, Pieces):
            return int(places[node.parents[0]] + 2 * node.function.d.bit_length())
        return int(max(2 * max(places[p] for p in node.parents), _SMOOTH))


def read_json(data: bytes) -> Any:
    """A certificate's object; numbers are exact, names stand once."""

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len({k for k, _ in pairs}) == len(pairs), "a name stands twice in one object")
        return dict(pairs)

    def refuse(word: str) -> Any:
        raise Refused(f"the number {word}")

    def integer(word: str) -> int:
        need(len(word) < 4000, "a number of too many digits")
        return int(word)

    try:
        return json.loads(
            data, parse_float=number, parse_int=integer, parse_constant=refuse, object_pairs_hook=object_of
        )
    except (ValueError, RecursionError) as error:
        raise Refused(f"the certificate is no JSON: {error}") from None


def content(path: Path) -> bytes:
    """A file's bytes, unpacked if it is gzipped."""
    try:
        need(path.is_file(), f"{path}: {'is no file' if path.exists() else 'there is no such file'}")
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as stream:
            data = bytes(stream.read(_LARGEST + 1))
    except (OSError, EOFError) as error:
        raise Refused(f"{path}: {error}") from None
    need(len(data) <= _LARGEST, f"{path} is larger than {_LARGEST} bytes")
    return data


def opened(path: Path, given: Iterable[Path] = ()) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A certificate and the files that it speaks of, by their hashes.

    Files that the certificate names are looked for beside it where they are not given.
    """
    certificate = read_json(content(path))
    need(isinstance(certificate, dict), f"not of the format {FORMAT}")
    files = {hashlib.sha256(data).hexdigest(): data for data in map(content, given)}
    networks = certificate.get("networks")
    for entry in [*(networks if isinstance(networks, list) else []), certificate.get("property")]:
        if isinstance(entry, dict) and "file" in entry and str(entry.get("sha256")) not in files:
            for name in (str(entry["file"]), f"{entry['file']}.gz"):
                if (path.parent / name).is_file():
                    data = content(path.parent / name)
                    files[hashlib.sha256(data).hexdigest()] = data
    return certificate, files


def check(path: Path, given: Iterable[Path] = (), engine: str | None = None) -> Report:
    """Check a certificate's file with files of networks and properties, found by their hashes or beside it."""
    return Checker(*opened(path, given), engine).run()


__all__ = ["Checker", "Report", "check", "content", "opened", "read_json"]
