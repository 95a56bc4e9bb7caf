"""Handwritten digits of scikit-learn, 8 by 8, and how many of them a source of bounds certifies."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import nnsym as nn
from nnsym.bounds.methods import compute
from nnsym.ir.network import Network


@cache
def digits() -> tuple[Any, Any, Any, Any]:
    """Images in [0, 1] to train on and 450 to test on, and their labels."""
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    train, test, own, other = train_test_split((images / 16).astype(np.float32), labels, test_size=450, random_state=0)
    return train, own, test, other


def classifier() -> torch.nn.Sequential:
    torch.manual_seed(0)
    made = torch.nn
    return made.Sequential(made.Linear(64, 64), made.ReLU(), made.Linear(64, 32), made.ReLU(), made.Linear(32, 10))


def certified(f: Network, images: Any, labels: Any, eps: float, source: str) -> float:
    """The share in per cent whose label the bounds prove within eps, cut to [0, 1]; one batch per label."""
    x = nn.Variable(64)
    scores, held = f(x).ravel(), 0
    for label in np.unique(labels):
        query = nn.forall(x, where=nn.box(x, 0, 1), then=nn.wins(scores, int(label))).query
        some = images[labels == label].astype(np.float64)
        boxes = {query.inputs[0]: (np.clip(some - eps, 0, 1), np.clip(some + eps, 0, 1))}
        held += int((compute(query, source, boxes=boxes).rows.lower > 0).all(axis=1).sum())
    return 100.0 * held / len(labels)


def clean(module: torch.nn.Module, images: Any, labels: Any) -> float:
    """The share in per cent that is classified right."""
    with torch.no_grad():
        return 100.0 * float((module(torch.tensor(images)).argmax(1).numpy() == labels).mean())
