"""Does the imported network compute what the model computes? Asked at random points, before anyone relies on it.

The tolerance is derived per output from the sizes that occur: every node adds a local rounding error, for an
affine node ``u sqrt(k) (|A| |x| + |b|)`` with ``k`` terms a row (the probabilistic bound of Higham and Mary,
SIAM J. Sci. Comput. 41, 2019, Theorem 2.4), and errors of different elements add up as independent ones do,
``sqrt(A^2 e^2)``. The worst-case bound would grow with ``prod |A|`` and accept anything in a deep network.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

import numpy as np

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.convolution import Conv
from nnsym.ir.distinct import distinct
from nnsym.ir.evaluate import apply_node
from nnsym.ir.functions.pieces import steepness
from nnsym.ir.functions.stairs import Stairs
from nnsym.ir.linear import Dense, LinearMap, Select
from nnsym.ir.network import Network
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.transposed import ConvTranspose
from nnsym.ir.univariate import Hinge, Piecewise, Univariate
from nnsym.ir.walk import fold

_POINTS = ((0.0, 1.0), (0.5, 0.5), (0.0, 0.1), (0.0, 10.0), (0.0, 0.0))  # (centre, spread) of the normal samples
_SEEN = (-3.0, 1.0)  # powers of ten of the scales that these points see
_EXTRA = 6  # further scales, two points each
_ROUNDS = 3  # in which they are looked for
_SAFETY = 16.0
_SMOOTH = 8.0  # libraries approximate sigmoid and tanh to some roundings of 1


Reference: TypeAlias = Callable[[Mapping[str, Array]], Mapping[str, Array]]


def require_agreement(network: Network, reference: Reference, *, by: str, sizes: Collection[float] = ()) -> None:
    """Raise :class:`InputError` if ``reference`` gives another value than the network at some sampled point.

    ``reference`` takes one array per input in the model's dtype and gives the outputs, both by name; ``by`` is
    what messages call it. ``sizes`` are powers of ten of the model's own constants, as they stand in its file: an
    import that loses one of them is seen only where it matters.
    """
    samples = _samples(network)
    _compare_at(network, reference, samples, by)
    scales = _spread_out(distinct(_scales(network, samples), _quotients(sizes)), network.dtype)
    if scales:
        _compare_at(network, reference, _samples_of(network, scales), by)


def _compare_at(network: Network, reference: Reference, samples: dict[str, Array], by: str) -> None:
    point = {network.inputs[name].node: rows.astype(np.float64) for name, rows in samples.items()}
    expected = _with_errors(network, point)
    count = len(next(iter(samples.values())))
    for k in range(count):
        actual = reference({name: rows[k].reshape(network.inputs[name].shape) for name, rows in samples.items()})
        for name, tensor in network.outputs.items():
            values, errors = (np.broadcast_to(part, (count, tensor.node.size))[k] for part in expected[tensor.node])
            if actual[name].shape != tensor.shape:
                raise InputError(
                    f"has shape {tensor.shape} here and {actual[name].shape} in {by}",
                    where=f"{network.name}: output '{name}'",
                    remedy="Please report this model",
                )
            tolerance = _SAFETY * errors  # infinite where the model may overflow
            _compare(f"{network.name}: output '{name}'", tensor.shape, values, actual[name].ravel(), tolerance, by)


def _samples(network: Network) -> dict[str, Array]:
    random = np.random.default_rng(0)
    return {
        name: np.stack([random.normal(c, s, tensor.node.size) for c, s in _POINTS]).astype(network.dtype)
        for name, tensor in network.inputs.items()
    }


def _samples_of(network: Network, scales: list[float]) -> dict[str, Array]:
    """Two opposite points for each scale."""
    random = np.random.default_rng(1)
    largest = float(np.finfo(network.dtype).max)
    found = {}
    for name, tensor in network.inputs.items():
        direction = random.normal(0.0, 1.0, (len(scales), tensor.node.size))
        with np.errstate(over="ignore"):
            rows = np.clip(direction * np.array(scales)[:, None], -largest, largest)
        found[name] = np.concatenate((rows, -rows)).astype(network.dtype)
    return found


def _quotients(sizes: Collection[float]) -> Array:
    """Powers of ten at which a large constant matters, beside factors of 1 and beside the model's extreme factors."""
    large = [p for p in sizes if p > _SEEN[1]]
    factors = [0.0, *(p for p in sizes if not _SEEN[0] <= p <= _SEEN[1])]
    return distinct(np.array([p - q for p in large for q in factors if p != q] or [0.0]))


def _spread_out(powers: Array, dtype: str) -> list[float]:
    """At most :data:`_EXTRA` scales that the fixed samples do not see, from the whole range."""
    end = np.log10(np.finfo(dtype).max) - 3  # sums of many must not overflow
    found = powers[((powers < _SEEN[0]) | (powers > _SEEN[1])) & (np.abs(powers) <= end)]
    if len(found) > _EXTRA:
        found = found[np.round(np.linspace(0, len(found) - 1, _EXTRA)).astype(int)]
    return [float(3 * 10.0**p) for p in found]


def _scales(network: Network, samples: dict[str, Array]) -> Array:
    """Powers of ten of inputs, beyond those of the samples, at which the network's own constants matter.

    A breakpoint, limit or bias that is ``t`` times what stands beside it at inputs of size 1 matters at inputs of
    size ``t``; what saturates before that is asked again there. Small biases are seen at the origin.
    """
    unit = {network.inputs[name].node: rows[:1].astype(np.float64) for name, rows in samples.items()}
    end = np.log10(np.finfo(network.dtype).max) - 3  # sums of many must not overflow
    found, start = np.zeros(0), 0.0
    for _ in range(_ROUNDS):
        more = start + _powers_at(network, {x: rows * 10.0**start for x, rows in unit.items()})
        more = more[((more < _SEEN[0]) | (more > _SEEN[1])) & (np.abs(more) <= end)]
        found = distinct(found, more)
        if not len(more) or more.max() <= start:
            break
        start = more.max()
    return found


def _powers_at(network: Network, point: dict[Node, Array]) -> Array:
    """By which powers of ten constants are larger, and breakpoints smaller, than what stands beside them."""
    powers = [np.zeros(0)]

    def rule(node: Node, args: tuple[Array, ...]) -> Array:
        if isinstance(node, Input):
            return point[node]
        value = apply_node(node, args)
        if isinstance(node, Affine) and node.maps:
            found = _powers(node.bias, value - node.bias)
            powers.append(found[found > 0])
        elif isinstance(node, Pointwise) and isinstance(node.fn, Piecewise):
            powers.append(_powers(node.fn.breaks, args[0]))
        return value

    with np.errstate(all="ignore"):
        fold([t.node for t in network.outputs.values()], rule)
    return distinct(*powers)


def _powers(constants: Array, beside: Array) -> Array:
    """Powers of ten of ``|constants| / |beside|``; beside many elements stands their median."""
    size = np.abs(beside)
    size = size[np.isfinite(size) & (size > 0)]
    middle = np.sort(size)[(len(size) - 1) // 2 :][: 2 - len(size) % 2]  # NumPy's median loads masked arrays
    typical = np.log10(middle.mean()) if len(size) else 0.0
    found = distinct(np.round(np.log10(np.abs(constants[constants != 0])) - typical))
    return np.asarray(found[np.isfinite(found)])


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
    """The value of every node and the size of its rounding error in the coarsest format that the model computes in."""
    info = np.finfo(network.coarse or network.dtype)
    unit = float(info.eps) / 2 + 2.0**-53
    floor = float(info.tiny)  # underflow
    largest = float(info.max)

    others: dict[Node, tuple[Array, Array]] = {}

    def rule(node: Node, args: tuple[tuple[Array, Array], ...]) -> tuple[Array, Array]:
        if isinstance(node, Input):
            return point[node], (unit if network.coarse else 0.0) * np.abs(point[node])
        value, error = local(node, args)
        if node in others:
            error = np.maximum(error, others[node][1])
        fits = np.abs(value) + _SAFETY * error < largest
        return value, np.where(fits, error, np.inf)  # overflow there, or NaN: whatever is computed from it is unknown

    def local(node: Node, args: tuple[tuple[Array, Array], ...]) -> tuple[Array, Array]:
        value = apply_node(node, tuple(v for v, _ in args))
        match node:
            case Affine():
                return value, _affine_error(node, args, unit, floor, largest)
            case Pointwise():
                own = _own(node.fn, args[0][0], value, unit, largest)
                return value, _steepest(node.fn, *args[0]) * args[0][1] + own + floor + _jump(node.fn, *args[0])
            case Max():
                filled = node.filled
                return value, args[0][1][..., filled].max(axis=-1)
            case Product():
                (a, ea), (b, eb) = args
                return value, np.abs(a) * eb + np.abs(b) * ea + unit * np.abs(value) + floor
        raise InputError(f"unknown node {node!r}")

    with np.errstate(over="ignore", invalid="ignore"):
        beside = fold(network.either.values(), rule)
        others.update({node: beside[other] for node, other in network.either.items()})
        return fold([t.node for t in network.outputs.values()], rule)


def _own(fn: Univariate, x: Array, value: Array, unit: float, largest: float) -> Array:
    """What the function's own evaluation may be off by: as it says, else some roundings."""
    try:
        return fn.slips(x, x, unit, largest)
    except UnsupportedError:
        return unit * (np.abs(value) if fn.exact else _SMOOTH * np.maximum(np.abs(value), 1.0))


def _steepest(fn: Univariate, x: Array, error: Array) -> Array:
    """The largest slope of ``fn`` within the error of ``x``; a dead ReLU hands no error on."""
    reach = _SAFETY * error
    match fn:
        case Hinge():
            left, right = np.abs(fn.left), np.abs(fn.right)
            return np.where(x > reach, right, np.where(x < -reach, left, np.maximum(left, right)))
        case Piecewise():
            return np.maximum(*(np.abs(side) for side in steepness(fn, x - reach, x + reach)))
        case Stairs():
            return np.zeros_like(x)  # flat, and what it jumps is counted apart
    return np.maximum(*(np.abs(side) for side in fn.steepness(x - reach, x + reach)))


def _jump(fn: Univariate, x: Array, error: Array) -> Array:
    """How far the function may jump within the error of ``x``."""
    if not fn.jumps:
        return np.zeros_like(x)
    low, high = fn.span(x - _SAFETY * error, x + _SAFETY * error)
    return np.asarray(high - low)


def _affine_error(
    node: Affine, args: tuple[tuple[Array, Array], ...], unit: float, floor: float, largest: float
) -> Array:
    carried: Array = np.zeros(1)
    size: Array = np.abs(node.bias)
    terms = 1
    for linear, (value, error) in zip(node.maps, args, strict=True):
        scale = float(error.max(initial=0.0))
        scale = scale if 0 < scale < np.inf else 1.0  # squares of doubles overflow
        magnitude, square = _spread(linear, np.abs(value), (error / scale) ** 2)
        carried = np.hypot(carried, scale * np.sqrt(square))
        size = size + magnitude
        terms += 1 if isinstance(linear, Select) else max(linear.longest, 1)
    if len(node.maps) == 1 and isinstance(node.maps[0], Select) and not node.bias.any():
        return carried  # copies do not round
    error = carried + unit * np.sqrt(terms) * size + floor
    return np.where(size < largest, error, np.inf)  # a partial sum may overflow


def _spread(linear: LinearMap, value: Array, square: Array) -> tuple[Array, Array]:
    """``|A| value`` and ``A^2 square`` (elementwise absolute value and square)."""
    if isinstance(linear, Select):
        return linear.apply(value), linear.apply(square)
    if isinstance(linear, Dense):
        return value @ np.abs(linear.weight).T, square @ (linear.weight**2).T
    if isinstance(linear, (Conv, ConvTranspose)):
        return linear.abs().apply(value), linear.squared().apply(square)
    matrix = linear.matrix()
    return np.asarray((abs(matrix) @ value.T).T), np.asarray((matrix.power(2) @ square.T).T)
