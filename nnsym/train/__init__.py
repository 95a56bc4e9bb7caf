"""Training from properties: losses that certified bounds give, and recipes for robust classifiers.

What is trained is judged by :func:`nnsym.verify` alone: nothing here says that a property holds.
"""

from nnsym.train.loss import Loss

__all__ = ["Loss"]
