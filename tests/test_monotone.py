"""Monotone networks of all sizes: what they promise, and that quick bounds hold at both corners."""

from __future__ import annotations

import pytest

from nnsym.bounds.sources import Dtype
from nnsym.ir.intervals import Sides, interval_run
from nnsym.relaxation.sources import find_source
from nnsym.testing.check_bounds import BoundsConformance, check_runs, check_shape
from nnsym.testing.monotone import SHAPES, Shape, ends

ALL = [shape for shapes in SHAPES.values() for shape in shapes]
EXACT = [shape for shape in ALL if shape.fn.exact]


def named(shape: Shape) -> str:
    return shape.name.replace(" ", "-")


@pytest.mark.parametrize("shape", EXACT, ids=named)
def test_every_node_rises_from_corner_to_corner(shape: Shape) -> None:
    query = shape.query()
    low, high = (query.values(point, exact=True) for point in ends(query))
    (last,) = query.rows.parts
    assert all((low[node] <= high[node]).all() for node in query.nodes if node is not last)


@pytest.mark.parametrize("shape", EXACT, ids=named)
def test_intervals_are_numbers_and_hold(shape: Shape) -> None:
    """Sums that overflow are no NaN, those that underflow are not 0."""
    query = shape.query()
    inputs: dict[object, Sides] = {x: box.outer for x, box in query.boxes.items()}
    ranges = interval_run(query.nodes, inputs)  # type: ignore[arg-type]
    for point in ends(query):
        values = query.values(point, exact=True)
        for node, (low, high) in ranges.items():
            assert (low <= values[node]).all()  # never true of NaN
            assert (values[node] <= high).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("source", ["ibp", "crown", "lipschitz", "search:1"])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_bounds_hold_for_numbers_of_every_size(source: str, dtype: Dtype) -> None:
    """A coefficient that a format flushes to 0 is still one."""
    for shape in SHAPES["numbers of other sizes"]:
        query = shape.query()
        bounds = find_source(source).compute(query, dtype=dtype)
        check_shape(bounds, query, shape.name)
        check_runs(bounds, query, list(ends(query)), f"{source} on {shape.name} in {dtype}", BoundsConformance())
