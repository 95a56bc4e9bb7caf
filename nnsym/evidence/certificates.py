"""All certificates by their texts."""

from __future__ import annotations

from nnsym.errors import InputError
from nnsym.evidence.certificate import Certificate, NeymanPearson
from nnsym.evidence.dsrs import DoubleSampling
from nnsym.evidence.order1 import FirstOrder


def find_certificate(choice: str | Certificate) -> Certificate:
    """A certificate by its text: ``np``, ``dsrs`` (``dsrs:0.8``: the second noise's share of sigma), ``order1``."""
    if isinstance(choice, Certificate):
        return choice
    name, _, parameter = str(choice).partition(":")
    if choice == "np":
        return NeymanPearson()
    if choice == "order1":
        return FirstOrder()
    if name == "dsrs":
        try:
            return DoubleSampling(share=float(parameter) if parameter else 0.8)
        except ValueError:
            raise InputError(f"the parameter of '{choice}' is no number", remedy="Write dsrs:0.8") from None
    raise InputError(f"no certificate '{choice}'", remedy="Use np, dsrs (dsrs:0.8) or order1")
