"""Does the imported network compute what the model computes? Asked at random points, before anyone relies on it.

The tolerance is derived per output from the sizes that occur: every node adds a local rounding error, for an
affine node ``u sqrt(k) (|A| |x| + |b|)`` with ``k`` terms a row (the probabilistic bound of Higham and Mary,
SIAM J. Sci. Comput. 41, 2019, Theorem 2.4), and errors of different elements add up as independent ones do,
``sqrt(A^2 e^2)``. The worst-case bound would grow with ``prod |A|`` and accept anything in a deep network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nnsym.errors import InputError
from nnsym.ir.evaluate import apply_node
from nnsym.ir.linear import Dense, LinearMap, Select
from nnsym.ir.network import Network
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.pieces import profile, steepness
from nnsym.ir.univariate import Hinge, Piecewise, Sigmoidal, Univariate
from nnsym.ir.walk import fold

Array = NDArray[Any]

_POINTS = ((0.0, 1.0), (0.5, 0.5), (0.0, 0.1), (0.0, 10.0))  # (centre, spread) of the normal samples
_SAFETY = 16.0
_SMOOTH = 8.0  # libraries approximate sigmoid and tanh to some roundings of 1


Reference: TypeAlias = Callable[[Mapping[str, Array]], Mapping[str, Array]]


def require_agreement(network: Network, reference: Reference, *, by: str, seed: int = 0) -> None:
    """Raise :class:`InputError` if ``reference`` gives another value than the network at some sampled point.

    ``reference`` takes one array per input in the model's dtype and gives the outputs, both by name; ``by`` is
    what messages call it.
    """
    samples = _samples(network, seed)
    point = {network.inputs[name].node: rows.astype(np.float64) for name, rows in samples.items()}
    expected = _with_errors(network, point)
    largest = float(np.finfo(network.dtype).max)
    for k in range(len(_POINTS)):
        actual = reference({name: rows[k].reshape(network.inputs[name].shape) for name, rows in samples.items()})
        for name, tensor in network.outputs.items():
            values, errors = (
                np.broadcast_to(part, (len(_POINTS), tensor.node.size))[k] for part in expected[tensor.node]
            )
            if actual[name].shape != tensor.shape:
                raise InputError(
                    f"has shape {tensor.shape} here and {actual[name].shape} in {by}",
                    where=f"{network.name}: output '{name}'",
                    remedy="Please report this model",
                )
            tolerance = np.where(
                np.abs(values) + _SAFETY * errors < largest, _SAFETY * errors, np.inf
            )  # overflow there
            _compare(f"{network.name}: output '{name}'", tensor.shape, values, actual[name].ravel(), tolerance, by)


def _samples(network: Network, seed: int) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {
        name: np.stack([random.normal(c, s, tensor.node.size) for c, s in _POINTS]).astype(network.dtype)
        for name, tensor in network.inputs.items()
    }


def _compare(where: str, shape: tuple[int, ...], values: Array, actual: Array, tolerance: Array, by: str) -> None:
    with np.errstate(invalid="ignore"):
        apart = ~((np.abs(values - actual) <= tolerance) | np.isposinf(tolerance))
    if not apart.any():
        return
    worst = int(np.argmax(apart))
    place = ", ".join(map(str, np.unravel_index(worst, shape)))
    raise InputError(
        f"the imported network gives {values[worst]:.9g} where {by} gives {actual[worst]:.9g} "
        f"(rounding explains {tolerance[worst]:.3g})",
        where=f"{where}[{place}]",
        remedy="Please report this model; load(..., check=False) skips the comparison",
    )


def _with_errors(network: Network, point: dict[Node, Array]) -> dict[Node, tuple[Array, Array]]:
    """The value of every node and the size of its rounding error in the model's dtype."""
    info = np.finfo(network.dtype)
    unit = float(info.eps) / 2 + 2.0**-53
    floor = float(info.tiny)  # underflow

    def rule(node: Node, args: tuple[tuple[Array, Array], ...]) -> tuple[Array, Array]:
        if isinstance(node, Input):
            return point[node], np.zeros_like(point[node])
        value = apply_node(node, tuple(v for v, _ in args))
        match node:
            case Affine():
                return value, _affine_error(node, args, unit, floor)
            case Pointwise():
                own = _SMOOTH if isinstance(node.fn, Sigmoidal) else np.abs(value)
                return value, _steepest(node.fn, *args[0]) * args[0][1] + unit * own + _jump(node.fn, *args[0])
            case Max():
                filled = np.where(node.groups < 0, node.groups.max(axis=1, keepdims=True), node.groups)
                return value, args[0][1][..., filled].max(axis=-1)
            case Product():
                (a, ea), (b, eb) = args
                return value, np.abs(a) * eb + np.abs(b) * ea + unit * np.abs(value) + floor
        raise InputError(f"unknown node {node!r}")

    with np.errstate(over="ignore", invalid="ignore"):
        return fold([t.node for t in network.outputs.values()], rule)


def _steepest(fn: Univariate, x: Array, error: Array) -> Array:
    """The largest slope of ``fn`` within the error of ``x``; a dead ReLU hands no error on."""
    reach = _SAFETY * error
    match fn:
        case Hinge():
            left, right = np.abs(fn.left), np.abs(fn.right)
            return np.where(x > reach, right, np.where(x < -reach, left, np.maximum(left, right)))
        case Piecewise():
            return np.maximum(*(np.abs(side) for side in steepness(fn, x - reach, x + reach)))
        case Sigmoidal():
            return fn.derivative(np.maximum(np.abs(x) - reach, 0.0))
    return np.ones_like(x)


def _jump(fn: Univariate, x: Array, error: Array) -> Array:
    """How far the function may jump within the error of ``x``."""
    if not isinstance(fn, Piecewise) or not fn.jumps:
        return np.zeros_like(x)
    low, high = profile(fn, x - _SAFETY * error, x + _SAFETY * error).span
    return np.asarray(high - low)


def _affine_error(node: Affine, args: tuple[tuple[Array, Array], ...], unit: float, floor: float) -> Array:
    carried: Array = np.zeros(1)
    size: Array = np.abs(node.bias)
    terms = 1
    for linear, (value, error) in zip(node.maps, args, strict=True):
        magnitude, square = _spread(linear, np.abs(value), error * error)
        carried = carried + square
        size = size + magnitude
        terms += 1 if isinstance(linear, Select) else max(int(np.diff(linear.csr()[2]).max(initial=1)), 1)
    if len(node.maps) == 1 and isinstance(node.maps[0], Select) and not node.bias.any():
        return np.asarray(np.sqrt(carried))  # copies do not round
    return np.asarray(np.sqrt(carried) + unit * np.sqrt(terms) * size + floor)


def _spread(linear: LinearMap, value: Array, square: Array) -> tuple[Array, Array]:
    """``|A| value`` and ``A^2 square`` (elementwise absolute value and square)."""
    if isinstance(linear, Select):
        return linear.apply(value), linear.apply(square)
    if isinstance(linear, Dense):
        return value @ np.abs(linear.weight).T, square @ (linear.weight**2).T
    matrix = linear.matrix()
    return np.asarray((abs(matrix) @ value.T).T), np.asarray((matrix.power(2) @ square.T).T)
