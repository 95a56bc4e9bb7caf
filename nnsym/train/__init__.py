"""Training from properties: losses that certified bounds give, and recipes for robust classifiers.

What is trained is judged by :func:`nnsym.verify` alone: nothing here says that a property holds.
"""

from nnsym.train.distance import DistanceNet
from nnsym.train.loss import Loss
from nnsym.train.recipes import labels_win
from nnsym.train.robust import robust
from nnsym.train.schedule import Epoch, Schedule

__all__ = ["DistanceNet", "Epoch", "Loss", "Schedule", "labels_win", "robust"]
