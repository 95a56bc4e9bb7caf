"""Numbers and kinds with their nouns, and the words for who evaluated a point."""

from __future__ import annotations


def count_of(number: int, noun: str, several: str = "") -> str:
    """``1 part``, ``2 parts``; ``several`` is the plural where it takes more than an s."""
    return f"{number} {noun if number == 1 else several or f'{noun}s'}"


def kind_of(value: object) -> str:
    """What a value is, for messages: ``an int``, ``a Network``."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


_REPLAYED = {"exact": "replayed in exact rationals", "intervals": "replayed in outward intervals"}


def how_replayed(by: str) -> str:
    """The words for a ``replayed_by``: ``replayed in exact rationals``, ``replayed by onnxruntime``."""
    return _REPLAYED.get(by, f"replayed by {by}")
