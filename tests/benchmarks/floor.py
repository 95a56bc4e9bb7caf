"""The floor: the same big-M model written by hand as NumPy arrays for one kind of network, and passed to HiGHS.

No graph, no names, no rounding, no checks, no other layer than dense ReLU: what no general tool can undercut by much.
"""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.models import Instance

Array = NDArray[Any]
Arrays = dict[str, Array]


class _Lists:
    """Columns and rows as they come."""

    def __init__(self) -> None:
        self.columns = 0
        self.parts: dict[str, list[Array]] = {
            name: [] for name in ("lower", "upper", "row_lower", "row_upper", "lengths", "indices", "data", "integer")
        }

    def add(self, **parts: Array) -> None:
        for name, part in parts.items():
            self.parts[name].append(part)

    def column(self, lower: Array, upper: Array, integer: int = 0) -> Array:
        first, self.columns = self.columns, self.columns + len(lower)
        self.add(lower=lower, upper=upper, integer=np.full(len(lower), integer, np.int32))
        return np.arange(first, self.columns, dtype=np.int32)

    def row(self, data: Array, indices: Array, lower: Array, upper: Array) -> None:
        lengths = np.full(len(lower), data.shape[1], np.int32)
        self.add(data=data.ravel(), indices=indices.ravel(), lengths=lengths, row_lower=lower, row_upper=upper)

    def affine(self, weight: Array, bias: Array, ids: Array, h: Array) -> None:
        """``W x - h = -b`` over the columns ``ids`` that are not -1."""
        kept = ids >= 0
        data = np.empty((len(bias), int(kept.sum()) + 1))
        indices = np.empty(data.shape, np.int32)
        data[:, :-1], data[:, -1] = weight[:, kept], -1.0
        indices[:, :-1], indices[:, -1] = ids[kept], h
        self.row(data, indices, -bias, -bias)

    def relu(self, h: Array, lower: Array, upper: Array) -> Array:
        """``y = max(h, 0)``; an active neuron is its column, off it has none (-1), open it has a binary."""
        ids = np.where(lower >= 0, h, -1).astype(np.int32)
        k = np.flatnonzero((lower < 0) & (upper > 0))
        h, lower, upper, zero, one = h[k], lower[k], upper[k], np.zeros(len(k)), np.ones(len(k))
        y = ids[k] = self.column(zero, upper)
        z = self.column(zero, one, 1)
        self.row(np.stack((one, -one), 1), np.stack((y, h), 1), zero, zero + np.inf)
        self.row(np.stack((one, -upper), 1), np.stack((y, z), 1), zero - np.inf, zero)
        self.row(np.stack((one, -one, -lower), 1), np.stack((y, h, z), 1), zero - np.inf, -lower)
        return ids


def floor_arrays(instance: Instance) -> Arrays:
    """CSR rows and column bounds of ``min t``, ``t = y_0 - y_1``, in the order that HiGHS takes them."""
    lists = _Lists()
    ids = lists.column(instance.lower, instance.upper)
    for number, ((weight, bias), (lower, upper)) in enumerate(zip(instance.layers, instance.intervals, strict=True), 1):
        h = lists.column(lower, upper)
        lists.affine(weight, bias, ids, h)
        ids = lists.relu(h, lower, upper) if number < len(instance.layers) else h
    t = lists.column(lower[:1] - upper[1:2], upper[:1] - lower[1:2])
    lists.row(np.array([[1.0, -1.0, -1.0]]), np.array([[ids[0], ids[1], t[0]]], np.int32), np.zeros(1), np.zeros(1))
    whole = {name: np.concatenate(parts) for name, parts in lists.parts.items()}
    cost = np.zeros(lists.columns)
    cost[-1] = 1.0
    starts = np.concatenate(([0], np.cumsum(whole["lengths"]))).astype(np.int32)
    first = {"cost": cost, **{name: whole[name] for name in ("lower", "upper", "row_lower", "row_upper")}}
    return {**first, "starts": starts, **{name: whole[name] for name in ("indices", "data", "integer")}}


def floor_load(arrays: Arrays) -> Any:
    """A Highs object that holds the arrays."""
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    sizes = (len(arrays["lower"]), len(arrays["row_lower"]), len(arrays["data"]))
    rowwise, minimise = int(highspy.MatrixFormat.kRowwise), int(highspy.ObjSense.kMinimize)
    status = highs.passModel(*sizes, rowwise, minimise, 0.0, *arrays.values())
    if status != highspy.HighsStatus.kOk:
        raise ValueError(status.name)
    return highs
