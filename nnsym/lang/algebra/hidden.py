"""Hidden neurons as terms: the values of a named layer in one application of a network, before and after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from nnsym.ir.network import Application
from nnsym.ir.node import Input, Max, Pointwise
from nnsym.ir.rows import Rows
from nnsym.lang.guard import bad_input, misread
from nnsym.lang.statements.formulas import Formula
from nnsym.lang.writing.text import Text, attribute, method, number_text

if TYPE_CHECKING:
    from nnsym.lang.algebra.terms import Term


@final
@dataclass(frozen=True, eq=False)
class HiddenTerms:
    """``post`` is the named value; ``pre`` is what its activation was applied to; ``bound`` reads as both together."""

    post: Term
    name: str
    bound: Text

    @property
    def pre(self) -> Term:
        """What the activation gets; raises for a value that no activation computes."""
        node = next(iter(self.post.rows.parts))
        if not isinstance(node, (Pointwise, Max)):
            raise bad_input(
                f"'{self.name}' is not computed by an activation, so nothing stands before it",
                "Use .post, or name the activation",
            )
        parent = node.parents[0]
        shape = self.post.shape if parent.size == node.size else (parent.size,)
        text = attribute(self.bound, "pre")._replace(string=self.post.text.string.removesuffix(".post") + ".pre")
        return self.post.made(Rows.of(parent), shape, text)

    def active(self, index: Any = None) -> Formula:
        """What the activation gets is > 0, elementwise, or at ``index``: the phase in which a MILP's binary is 1."""
        values = self.pre
        return (values if index is None else values[index]) > 0


def of_application(
    made: Callable[[Rows, tuple[int, ...], Text, tuple[Application, ...]], Term],
    application: Application,
    name: str,
    applications: tuple[Application, ...],
    applied: str,
    bound: Text,
) -> HiddenTerms:
    """The hidden values ``name`` of an application, as the term that ``made`` makes of them.

    ``applied`` is how the application reads, ``f(x)``, ``bound`` the full text.
    """
    tensor = application.network.tensor(name)
    node = application.here([tensor.node])[tensor.node]
    text = attribute(bound, "post")._replace(string=f'{applied}.hidden("{name}").post')
    return HiddenTerms(made(Rows.of(node), tensor.shape, text, applications), name, bound)


def of_term(term: Term, name: str) -> HiddenTerms:
    """The hidden values of the application whose output the term reads."""
    direct = [a for a in term.applications if any(a.output(output) in term.rows.parts for output in a.network.outputs)]
    candidates = direct or list(term.applications)
    if len(candidates) != 1:
        count = "no network" if not candidates else f"{len(candidates)} network applications"
        raise misread(f"'{term}' is the output of {count}", f'Say which: f.hidden("{name}")(x)')
    application = candidates[0]
    inputs = ", ".join(a.name if isinstance(a, Input) else "..." for a in application.arguments)
    bound = method(term.text, "hidden", number_text(name, name))
    applied = f"{application.network.name}({inputs})"
    return of_application(term.made, application, name, term.applications, applied, bound)
