"""The tree of an unsat claim: tokens in prefix order. Each makes its own children, so that nothing is left out.

Cases are derived from the property and the tokens on the way; no box, bound or verdict is read from the certificate.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from .errors import nearly, need, number, reading, whole
from .graph import Curve, Input, Node
from .problem import Case, Fact, Pending, Problem
from .rule import Bounds, Given, Lemma, Shares, Weighted

Path = tuple[Any, ...]  # the path of the token above, its place, the number of the child: so a case was come to
_ARITY = {"x": (2, 3), "i": (3, 3), "r": (3, 3), "g": (3, 3), "o": (2, 2), "b": (1, 2), "l": (1, 3)}


@dataclass(frozen=True)
class Job:
    """A leaf to be checked."""

    token: int
    path: Path
    case: Case
    facts: Weighted
    shares: Shares


class Tree:
    """Walks the tokens of one certificate with one engine; leaves that it does not accept a ``finer`` one is asked.

    What leaves come to: their ``count``, the ``least`` value, and ``failures`` (token, value) if they are collected.
    Where leaves are ``asked`` for, by their tokens, others are passed over.
    """

    def __init__(
        self, problem: Problem, engine: Any, tokens: Sequence[Any],
        collect: bool = False, finer: Any = None, asked: Container[int] | None = None,
    ) -> None:  # fmt: skip
        need(isinstance(tokens, list), "a tree is a list of tokens")
        self.problem, self.engine, self.tokens, self.collect, self.asked = problem, engine, tokens, collect, asked
        self.root = replace(problem.root, pending=Pending())  # bounds of another engine have another scale
        self.count, self.failures, self.jobs = 0, list[tuple[int, Fraction]](), list[Job]()
        self.least: Fraction | None = None
        self.finer = Tree(problem, finer, tokens) if finer else None
        self.way = list[tuple[int, int, Case]]()  # to the last leaf that the finer one was asked of

    def run(self) -> Tree:
        """Check every leaf; refuses at the first that does not hold, unless they are collected."""
        stack: list[tuple[Case, Path]] = [(self.root, ())]
        for place, token in enumerate(self.tokens):
            need(stack, "token {}: the tree has ended, tokens are left", place)
            case, path = stack.pop()
            with reading(f"token {place}"):
                children = self.children(place, token, case, path)
                stack += [(children[k], (path, place, k)) for k in reversed(range(len(children)))]
            if len(self.jobs) >= self.engine.batch:
                self._flush()
        need(not stack, "the tree ends early: a case is left open")
        self._flush()
        return self

    def children(self, place: int, token: Any, case: Case, path: Path = ()) -> list[Case]:
        """The cases that a token splits a case into; a leaf has none and is queued."""
        need(isinstance(token, list) and token and token[0] in _ARITY, f"no token: {str(token)[:60]}")
        kind, (least, most) = token[0], _ARITY[token[0]]
        need(least <= len(token) <= most, f"'{kind}' with {len(token) - 1} values")
        if kind == "l":
            facts, slopes = (*token, None, None)[1:3]
            if self.asked is None or place in self.asked:
                self.jobs.append(Job(place, path, case, self.facts(facts, case), self.shares(slopes)))
            return []
        if kind == "b":
            lemmas = [self.lemma(entry, case) for entry in (*token, [])[1] or ()]
            if lemmas:
                return list(self.engine.refresh(self._started([case]), lemmas))
            asked = replace(case, pending=Pending(case.asked))
            asked.pending.asked = asked  # type: ignore[union-attr]
            return [asked]
        if kind in "xi":
            return self._input(token, case)
        if kind == "o":
            chosen = case.disjunctions[whole(token[1], 0, len(case.disjunctions), "disjunction")]
            return [self.problem.assume(case, part) for part in chosen.parts]
        (case,) = self.refreshed([case])
        given, at = ([[*token[1:], 1]], 0) if kind == "r" else token[1:]
        form = [(*self.element(n, i), number(a)) for n, i, a in given]
        need(form, "'g' wants a sum of something")
        return self.halves(form, number(at), case)

    def node(self, name: Any) -> Node:
        """The node of an index into the table of names."""
        return self.problem.names[whole(name, 0, len(self.problem.names), "name")].node

    def element(self, name: Any, i: Any) -> tuple[Node, int]:
        """An element of a tensor; where the index of its name is -1, of the inputs."""
        if name != -1:
            node = self.node(name)
            return node, whole(i, 0, node.size, "element")
        place = whole(i, 0, self.problem.graph.width, "input element")
        inputs = (n for n in self.problem.nodes if isinstance(n, Input))
        return next((n, place - n.first) for n in inputs if n.first <= place < n.first + n.size)

    def _input(self, token: Any, case: Case) -> list[Case]:
        k = whole(token[1], 0, len(case.lower), "input element")
        if token[0] == "i":
            need(k in self.problem.integers, f"input element {k} is not declared as a whole number")
            below = number(token[2])
            need(below.denominator == 1, "a split of a whole number at a fraction")
            return [case.narrowed((k, None, below)), case.narrowed((k, below + 1, None))]
        if len(token) == 3:
            at = number(token[2])
        else:
            left, right = case.lower[k], case.upper[k]
            need(left is not None and right is not None, f"input element {k} has no bounds and so no middle")
            at = (left + right) / 2  # type: ignore[operator]
        return [case.narrowed((k, None, at)), case.narrowed((k, at, None))]

    def halves(self, form: Sequence[tuple[Node, int, Fraction]], at: Fraction, case: Case) -> list[Case]:
        """``form <= at`` and ``form >= at``; of one element, its known bounds are narrowed too."""
        terms: dict[Node, dict[int, Fraction]] = {}
        for node, i, a in form:
            row = terms.setdefault(node, {})
            row[i] = row.get(i, Fraction(0)) + a
        upside = {n: {i: -a for i, a in row.items()} for n, row in terms.items()}
        below, above = Fact(terms, -at), Fact(upside, at)
        found = [replace(case, facts=(*case.facts, fact)) for fact in (below, above)]
        if len(form) == 1 and form[0][2]:
            ((node, row),) = terms.items()
            ((i, a),) = row.items()
            found = [self._known(c, node, i, at / a, up) for c, up in zip(found, (a > 0, a < 0), strict=True)]
        return found

    def _known(self, case: Case, node: Node, i: int, end: Fraction, above: bool) -> Case:
        """With known bounds of one element narrowed to an end from above, or from below, outward."""
        far, unit = self.engine.far, 1 << self.engine.bits
        old = case.known.get(node) or Bounds([-far] * node.size, [far] * node.size)
        lower, upper = list(old.lower), list(old.upper)
        if above:
            upper[i] = min(upper[i], (end * unit).__ceil__())
        else:
            lower[i] = max(lower[i], (end * unit).__floor__())
        known = {**case.known, node: Bounds(lower, upper, old.error)}
        return replace(case, known=known, empty=case.empty or lower[i] > upper[i])

    def refreshed(self, cases: Sequence[Case]) -> list[Case]:
        """The cases with bounds of their boxes; cases that wait for one refresh share it."""
        waves = [{c.pending: c for c in cases if c.pending and not c.empty}]
        while waves[-1]:  # what those wait for that were asked for before
            waves.append({p.before: p.before.asked for p in waves[-1] if not p.made and p.before})  # type: ignore[misc]
        for wave in reversed(waves):
            waiting = {p: c for p, c in wave.items() if not p.made}
            made = self.engine.refresh(self._started(list(waiting.values()))) if waiting else []
            for pending, case in zip(waiting, made, strict=True):
                pending.made = case
        return [_inside(c, c.pending) for c in cases]

    @staticmethod
    def _started(cases: Sequence[Case]) -> list[Case]:
        """The cases with what is known of those that were asked for before them."""
        return [_inside(c, c.pending and c.pending.before) for c in cases]

    # Leaves

    def facts(self, given: Any, case: Case) -> Weighted:
        """Multipliers of facts; by default 1 on the property's last."""
        if given is None:
            return [(k, Fraction(1)) for k, fact in enumerate(case.facts) if fact.own][-1:]
        found = [(whole(k, 0, len(case.facts), "fact"), number(m, "multiplier")) for k, m in given]
        need(all(m >= 0 for _, m in found), "a negative multiplier")
        return found

    def shares(self, given: Any) -> Shares:
        """Slopes of curves; how many elements are open, and so how many digits each has, is known at their use."""
        found: dict[Node, Any] = {}
        for name, text in (given or {}).items():
            node = self.node(number(name))
            need(isinstance(node, Curve), f"slopes for '{name}', which is no function or product")
            below, above = text if isinstance(text, list) else (text, None)
            found[node] = _numbers(below, node), _numbers(above, node)
        return found

    def lemma(self, entry: Any, case: Case) -> Lemma:
        name, rows, slopes, facts = [*entry, None, None, None][: max(4, len(entry))]
        node = self.node(name)
        if rows is not None:
            rows = [whole(r, -node.size, node.size, "row") for r in rows]
        return Lemma(node, rows, self.shares(slopes), self.facts(facts, case) if facts is not None else ())

    def _flush(self) -> None:
        """Check the leaves that wait."""
        jobs, self.jobs = self.jobs, []
        self.count += len(jobs)
        jobs = [j for j in jobs if not j.case.empty]
        fresh = zip(jobs, self.refreshed([j.case for j in jobs]), strict=True)
        asked = [(j, (c, j.facts, j.shares)) for j, c in fresh if not c.empty]
        values = self.engine.values([leaf for _, leaf in asked]) if asked else []
        for (job, _), value in zip(asked, values, strict=True):
            strict = any(job.case.facts[k].strict for k, m in job.facts if m > 0)
            if value <= 0 and self.finer:
                again = self._again(job, self.finer)
                if again is None:
                    continue
                value = again
            if self.least is None or value < self.least:
                self.least = value
            if value < 0 or (value == 0 and not strict):
                need(self.collect, f"token {job.token}: the leaf's value is {nearly(value):.3g}, not positive")
                self.failures.append((job.token, value))

    def _again(self, job: Job, finer: Tree) -> Fraction | None:
        """A leaf's value by the finer engine, None where its case is empty; the way there is walked anew.

        What it shares with the way to the leaf before is kept.
        """
        steps, path = list[tuple[int, int]](), job.path
        while path:
            path, place, k = path
            steps[:0] = [(place, k)]
        shared = next((n for n, (s, w) in enumerate(zip(steps, self.way, strict=False)) if s != w[:2]), len(self.way))
        del self.way[shared:]
        for place, k in steps[shared:]:
            case = self.way[-1][2] if self.way else finer.root
            self.way.append((place, k, finer.children(place, self.tokens[place], case)[k]))
        (case,) = finer.refreshed([self.way[-1][2] if self.way else finer.root])
        return None if case.empty else finer.engine.values([(case, job.facts, job.shares)])[0]


def _inside(case: Case, pending: Pending | None) -> Case:
    """A case with what a refresh, if it is made, said of a box around it."""
    made = pending and pending.made
    return replace(case, pending=None, known=made.known, empty=case.empty or made.empty) if made else case


def _numbers(given: Any, node: Node) -> Given | None:
    if isinstance(given, Mapping):
        return {whole(i, 0, node.size, "element"): whole(n, 0, 256, "slope") for i, n in given.items()}
    return None if given is None else bytes.fromhex(given)
