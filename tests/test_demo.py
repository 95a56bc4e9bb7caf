"""What ships for the demo: small, right on its images, and interesting."""

from __future__ import annotations

import numpy as np
import pytest

from nnsym import demo
from nnsym.bounds.methods import compute


def test_the_files_are_small() -> None:
    size = demo.NETWORK.stat().st_size + demo.NETWORK.with_suffix(".npz").stat().st_size
    assert size < 200_000


def test_the_network_gets_its_images_right() -> None:
    f = demo.network()
    for index in range(20):
        image, label = demo.digit(index)
        assert image.shape == (64,)
        assert 0 <= image.min() <= image.max() <= 1
        scores = f.evaluate(image.astype(np.float64))
        assert int(np.argmax(scores)) == label


def test_weights_are_short_binary_fractions() -> None:
    import onnx
    from onnx import numpy_helper

    for tensor in onnx.load(demo.NETWORK).graph.initializer:
        values = numpy_helper.to_array(tensor) * 16
        assert np.array_equal(values, np.round(values))


@pytest.mark.parametrize(
    ("index", "ibp", "crown"), [(0, True, True), (1, False, True), (2, False, False), (4, False, False)]
)
def test_bounds_decide_what_the_demo_says(index: int, ibp: bool, crown: bool) -> None:
    query = demo.properties()[index].query
    decided = {m: bool((compute(query, m).rows.lower > 0).all()) for m in ("ibp", "crown")}
    assert decided == {"ibp": ibp, "crown": crown}
