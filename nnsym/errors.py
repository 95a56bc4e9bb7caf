"""Errors are an interface: each names where it happened, the reason, and the remedy.

The command line prints ``str(error)`` and leaves with :attr:`NnsymError.exit_code`; nothing below this
module prints or exits.
"""

from __future__ import annotations


class NnsymError(Exception):
    """Base of every error that nnsym raises on purpose.

    ``where`` names the node, line, variable, file or solver; ``reason`` says what is wrong with it;
    ``remedy`` says what to do. The message reads ``where: reason. remedy``.
    """

    exit_code = 2

    def __init__(self, reason: str, *, where: str = "", remedy: str = "") -> None:
        self.where, self.reason, self.remedy = where, reason, remedy
        head = f"{where}: {reason}" if where else reason
        super().__init__(f"{head.rstrip('.')}. {remedy}" if remedy else head)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.reason, self.where, self.remedy)


def _rebuild(kind: type[NnsymError], reason: str, where: str, remedy: str) -> NnsymError:
    return kind(reason, where=where, remedy=remedy)


class InputError(NnsymError):
    """A file, network or property that the user gave cannot be read or does not fit together."""


class OutOfTimeError(NnsymError):
    """The time ran out while the question was read: nothing is known, as with ``unknown (timeout)``."""

    exit_code = 30


class UnsupportedError(NnsymError):
    """Something well-formed that this version, encoding or solver does not handle."""


class MissingBoundsError(NnsymError):
    """An encoding needs a finite bound that the given bounds do not provide."""


class LanguageError(NnsymError, TypeError):
    """An expression in a property that Python would silently misread (``and``, ``in``, chained ``<``)."""


class SolverUnavailableError(NnsymError):
    """A solver that is not installed, or whose licence does not cover the problem."""


class WorkerError(NnsymError):
    """A worker process died or answered out of protocol; never a verdict."""

    exit_code = 1
