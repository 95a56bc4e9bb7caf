"""``vacuous``: can the precondition of a property be met at all, and does the conclusion speak of a network?

A property with an empty precondition holds whatever the network does (``forall``), or cannot hold (``exists``). Both
say more about the statement than about the network, so this is a question of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, final

from nnsym.ask.options import require_options
from nnsym.ask.verify import verify
from nnsym.errors import InputError
from nnsym.ir.formula import Atoms, leaves
from nnsym.ir.query import Query
from nnsym.ir.walk import topological
from nnsym.lang.question import HasQuery, query_of
from nnsym.results.plain import witness_json
from nnsym.results.result import Result, Verdict


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Vacuity:
    """``vacuous`` is None where the method could not tell; ``result`` is that of ``exists x. where``.

    ``about_network`` is false where the conclusion reads no value that a network computes.
    """

    vacuous: bool | None
    about_network: bool
    result: Result

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is suspicious about the property, in sentences; nothing where all is well."""
        return tuple(self._warnings())

    def _warnings(self) -> Iterator[str]:
        if self.vacuous:
            yield "no input satisfies the precondition"
        if self.vacuous is None:
            yield f"it is not known whether an input satisfies the precondition ({self.result.reason})"
        if not self.about_network:
            yield "the conclusion does not depend on a network"

    def __bool__(self) -> bool:
        if self.vacuous is None:
            raise InputError(self.warnings[0], remedy="Ask an exact method, or give it more time")
        return self.vacuous

    def __repr__(self) -> str:
        said = "; ".join(self.warnings) or "an input satisfies the precondition, the conclusion is about a network"
        return f"<{'vacuous' if self.vacuous else 'not vacuous' if self.vacuous is False else 'unknown'}: {said}>"

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "vacuous": self.vacuous,
            "about_network": self.about_network,
            "warnings": list(self.warnings),
            "witness": witness_json(self.result.witness),
        }


def vacuous(prop: HasQuery | Query, method: Any = None, **options: Any) -> Vacuity:
    """Ask whether an input satisfies the precondition, by a method and options of :func:`nnsym.ask.verify.verify`.

    ``clock`` among them lets it share the budget of the verdict before it.
    True in ``if`` where none does; raises there if it is not known.
    """
    require_options("vacuous", options, verify)
    query = query_of(prop)
    asked = replace(query.precondition(), text=f"exists an input that satisfies the precondition of\n{query.text}")
    result = verify(asked, method, **options)
    empty = {Verdict.VERIFIED: False, Verdict.FALSIFIED: True}.get(result.status)
    return Vacuity(vacuous=empty, about_network=_about_network(query), result=result)


def _about_network(query: Query) -> bool:
    soft = {int(k) for leaf in leaves(query.formula) if isinstance(leaf, Atoms) and leaf.soft for k in leaf.rows}
    read = [node for node, part in query.rows.parts.items() if soft.intersection(part.row.tolist())]
    computed = {
        node
        for application in query.applications
        for node in topological(application.output(name) for name in application.network.outputs)
        if node not in topological(application.arguments)
    }
    return any(node in computed for node in topological(read))
