"""Reference numbers on networks of the field (VNN-COMP 2022), from an independent NumPy implementation."""

from pathlib import Path

import numpy as np
import pytest

from nnsym.bounds.domains import domain_margin
from nnsym.bounds.engine.backward import linear
from nnsym.bounds.layers import layers
from nnsym.bounds.methods import compute, margin
from nnsym.read.onnx import load
from nnsym.read.vnnlib.load import load_vnnlib

pytestmark = pytest.mark.field


def mnist(benchmarks: Path, network: str, image: int):
    folder = benchmarks / "mnist_fc"
    model = load(folder / "onnx" / f"mnist-net_{network}.onnx.gz")
    return load_vnnlib(folder / "vnnlib" / f"prop_{image}_0.03.vnnlib.gz", model)


@pytest.mark.parametrize(
    ("network", "image", "method", "unstable", "lower"),
    [
        # interval margins take the rows as one more layer, not multiplied into the last one
        ("256x2", 0, "ibp", [8, 48], -7.8569),
        ("256x2", 0, "crown", [8, 15], 0.3408),
        ("256x2", 1, "ibp", [12, 63], -7.5063),
        ("256x2", 1, "crown", [12, 43], -2.6434),
        ("256x4", 0, "ibp", [26, 147, 256, 256], -748.688),
        ("256x4", 0, "crown", [26, 46, 0, 1], 0.9729),
    ],
)
def test_mnist_reference_numbers(benchmarks, network, image, method, unstable, lower):
    query = mnist(benchmarks, network, image)
    bounds = compute(query, method)
    assert [layer.unstable for layer in layers(query, bounds)] == unstable
    assert margin(query, bounds) == pytest.approx(lower, abs=1e-4, rel=1e-6)


@pytest.mark.parametrize(
    ("network", "image", "least"), [("256x2", 0, 0.6693), ("256x2", 1, -1.6961), ("256x4", 0, 0.9729)]
)
def test_optimised_slopes_reach_the_reference(benchmarks, network, image, least):
    query = mnist(benchmarks, network, image)
    bounds = compute(query, "alpha")
    assert margin(query, bounds) >= least
    assert margin(query, bounds) > margin(query, compute(query, "crown")) + 1e-3


@pytest.mark.parametrize("image", [0, 1])
def test_float32_is_hardly_looser(benchmarks, image, monkeypatch):
    monkeypatch.setattr(linear, "_SHORT", 0)
    query = mnist(benchmarks, "256x2", image)
    long, short = (margin(query, compute(query, "crown", dtype=dtype)) for dtype in ("float64", "float32"))
    assert long - 1e-3 < short < long


def test_a_batch_of_acas_is_its_members(benchmarks):
    folder = benchmarks / "acasxu"
    query = load_vnnlib(
        folder / "vnnlib" / "prop_3.vnnlib.gz", load(folder / "onnx" / "ACASXU_run2a_1_1_batch_2000.onnx.gz")
    )
    (x,) = query.inputs
    low, high = query.boxes[x].outer
    width = 0.1 * (high - low)
    start = low + np.random.default_rng(0).random((64, x.size)) * (high - low - width)
    batch = compute(query, "crown", boxes={x: (start, start + width)})
    for k in range(0, 64, 16):
        alone = compute(query, "crown", boxes={x: (start[k : k + 1], start[k : k + 1] + width)})
        np.testing.assert_allclose(batch.box(k).rows.lower, alone.box(0).rows.lower, rtol=1e-9, atol=1e-9)


def test_convolutions_of_cifar(benchmarks):
    folder = benchmarks / "oval21"
    model = load(folder / "onnx" / "cifar_base_kw.onnx.gz")
    file = next((folder / "vnnlib").glob("*img8194*"))
    query = load_vnnlib(file, model)
    plain, linear = (domain_margin(query, method)[0] for method in ("ibp", "crown"))
    assert plain < linear
    assert linear == pytest.approx(-0.3010, abs=1e-4)
    assert compute(query, "alpha:5:rows").rows.lower.min() > linear
