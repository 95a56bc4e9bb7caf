"""What ships for the demo: a network trained on 8x8 handwritten digits, some of its test images, five properties.

``scripts/train_digits.py`` made the files; pixels lie in [0, 1]. Weights and radii are short binary fractions, which
keeps exact rational arithmetic fast.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.network import Network
from nnsym.lang.property import Property
from nnsym.lang.props import robust
from nnsym.read.onnx import load

#: The network, 64-24-16-10 with ReLU.
NETWORK = Path(__file__).with_name("digits.onnx")

#: Images and radii in units of 1/64, each decided by a stronger method than the one before: intervals, backward
#: bounds, the triangle LP, an exact encoding. The last one is false.
CASES = ((15, 1), (4, 3), (12, 4), (1, 3), (19, 3))


def network() -> Network:
    """The shipped network."""
    return load(NETWORK)


def digit(index: int) -> tuple[Array, int]:
    """Test image ``index`` (0 to 19, shape (64,), float32) and its label; the network gets all of them right."""
    with np.load(NETWORK.with_suffix(".npz"), allow_pickle=False) as data:
        return data["x"][index], int(data["label"][index])


def properties() -> list[Property]:
    """Robustness of five images: no pixel moved by at most eps changes the class."""
    f, found = network(), []
    for index, radius in CASES:
        image, label = digit(index)
        name = f"image {index}, a {label}, eps = {radius}/64"
        found.append(robust(f, image, label, radius / 64, within=(0, 1), name=name))
    return found
