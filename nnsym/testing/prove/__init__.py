"""Proofs of rules."""
from nnsym.testing.prove.theorem import prove_rule
