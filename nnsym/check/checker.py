"""A certificate from its file to the verdict on it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from .errors import OutOfRange, nearly, need, number, printable, reading, whole
from .files import FORMAT, content, opened
from .functions import Pieces
from .graph import Affine, Input
from .limits import MEMORY, SECONDS, limited
from .problem import Case, Problem
from .rule import SEMANTICS, Reference
from .tree import Tree

VERSION = "7"  # of the checker: counted up when it accepts, or refuses, other certificates than before
PRECISION = 56
_SMOOTH = 256  # binary places of functions that are no lines
_WIDEST = 1 << 16  # bits of an exact forward pass
ENGINES = ("fast", "reference")


@dataclass(frozen=True)
class Report:
    """An accepted claim: what was asked of which files (names and digests), and how it was checked."""

    claim: str
    semantics: str
    engine: str
    leaves: int
    rows: int
    least: Fraction | None
    seconds: float
    subjects: Sequence[tuple[str, str]]
    failures: Sequence[tuple[int, Fraction]] = ()

    def __str__(self) -> str:
        least = "" if self.least is None else f", least value {nearly(self.least):.3g}"
        work = f"{self.leaves} leaves, {self.rows} rows{least}, " if self.claim == "unsat" else ""
        verdict = f"{len(self.failures)} leaves fail" if self.failures else "accepted"
        by = f"checker {VERSION}, {self.engine} engine, {self.seconds:.2f} s"
        about = "".join(f"\n  {printable(name)}: SHA-256 {digest}" for name, digest in self.subjects)
        return f"{verdict}: {self.claim}, {self.semantics}; {work}{by}{about}"


class Checker:
    """One certificate with the files that it speaks of, by the SHA-256 of their content.

    ``engine`` is ``fast`` (needs NumPy), ``reference`` (the standard library), or None: the fast
    one where NumPy is, and the reference for leaves that it does not accept, and where its range
    is left. ``stop`` is asked between nodes of the networks, and between rows: where it says so,
    the certificate is refused as "stopped".
    """

    def __init__(
        self,
        certificate: Mapping[str, Any],
        files: Mapping[str, bytes],
        engine: str | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        need(isinstance(certificate, Mapping) and certificate.get("format") == FORMAT, f"not of the format {FORMAT}")
        self.certificate, self.started = certificate, time.process_time()
        self.claim, self.semantics = str(certificate.get("claim")), str(certificate.get("semantics", "real"))
        need(self.claim in ("unsat", "sat"), f"a claim {self.claim!r}")
        need(self.semantics in SEMANTICS, f"semantics {self.semantics!r}")
        with reading():
            self.problem = Problem(certificate, files, stop)
        coarsest = 0 if self.problem.graph.rounded else min(m.precision for m in self.problem.models.values())
        fits = SEMANTICS[self.semantics].precision <= coarsest
        need(fits, f"runs that meet, or are cast to, coarser floats than {self.semantics}, or that round constants")
        self.asked, self.stop = engine, stop
        self.engine = self._engine(engine)

    def _engine(self, name: str | None) -> Any:
        need(name in (None, *ENGINES), f"no engine '{name}'; one of {', '.join(ENGINES)}")
        bits = whole(self.certificate.get("precision", PRECISION), 16, 401 if self.semantics == "real" else 101, "bits")
        if name != "reference" and self.claim == "unsat":
            try:
                from .fast import Fast  # heavy: numpy
            except ImportError:
                need(name is None, "the fast engine needs NumPy")
            else:
                return Fast(self.problem.nodes, min(bits, Fast.finest), SEMANTICS[self.semantics], self.stop)
        return Reference(self.problem.nodes, bits, SEMANTICS[self.semantics], self.stop)

    def run(self, failures: bool = False) -> Report:
        """Check the claim; raises :class:`Refused` where it does not hold. ``failures`` collects leaves instead."""
        found = None
        with reading():
            if self.claim == "unsat":
                found = self._walk(failures)
            else:
                self.replay()
        seconds = time.process_time() - self.started
        leaves, least, failed = (found.count, found.least, found.failures) if found else (0, None, ())
        about, engine = self.problem.subjects, self.engine
        return Report(self.claim, self.semantics, engine.name, leaves, engine.rows, least, seconds, about, failed)

    def failing(self, leaves: Container[int]) -> Sequence[tuple[int, Fraction]]:
        """Those of some leaves (their tokens) that do not hold, with their values: for a prover that mends a tree."""
        with reading():
            return self._walk(True, leaves).failures

    def _walk(self, failures: bool, leaves: Container[int] | None = None) -> Tree:
        tokens, last = self.certificate.get("tree", []), self.asked or self.engine.name == "reference"
        finer = None if last or failures else self._engine("reference")
        try:
            return Tree(self.problem, self.engine, tokens, failures, finer, leaves).run()
        except (OutOfRange, OverflowError) as error:
            if last:
                raise OutOfRange(str(error)) from None
        self.engine = self._engine("reference")
        return self._walk(failures, leaves)

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
        engine, current = Reference(nodes, bits, SEMANTICS["real"], self.stop), dict[Any, Any]()
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


def check(
    path: Path, given: Sequence[Path] = (), engine: str | None = None, seconds: float = SECONDS, memory: float = MEMORY
) -> Report:
    """Check a certificate's file with files of networks and properties, found by their hashes or beside it.

    Each file that is given must be one that the claim is about. ``seconds`` of processor time and ``memory`` in GiB
    are what it may cost; a certificate that asks for more is refused.
    """
    with limited(seconds, memory):
        contents = {file: content(file) for file in given}
        checker = Checker(*opened(path, contents.values()), engine)
        _bound(checker.problem, {hashlib.sha256(data).hexdigest(): file for file, data in contents.items()})
        return checker.run()


def _bound(problem: Problem, given: Mapping[str, Path]) -> None:
    """Refuse a claim about other files than those that are given.

    Beside a property's file the networks that it declares are files too: a graph of the certificate's own may read a
    network and make of it whatever it wants.
    """
    subjects = {digest: name for name, digest in problem.subjects}
    for digest, file in given.items():
        need(digest in subjects, f"the claim is not about {file}, whose content has the SHA-256 {digest}")
    if "property" in {subjects[digest] for digest in given} and len(given) > 1:
        for name, digest in problem.subjects:
            need(digest in given or name not in problem.declared, f"the {name} is none of the files that are given")


__all__ = ["ENGINES", "VERSION", "Checker", "Report", "check"]
