"""Train the demo's network on scikit-learn's 8x8 digits and write nnsym/demo/digits.{onnx,npz}.

    python scripts/train_digits.py

Needs the extra ``dev``. Plain numpy in float64 with a fixed seed and one thread: the same versions on the
same processor give the same bytes. The
network is 64-24-16-10 with ReLU, on pixels divided by 16. Half of each batch is moved one signed-gradient step
towards a mistake, so that robustness at small radii holds often enough to be interesting. The weights are
rounded to multiples of 1/16 before anything is measured or written: that costs no accuracy here, and SMT
solvers, which compute with the exact rationals, are many times faster on short numbers.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

OUT = Path(__file__).resolve().parent.parent / "nnsym" / "demo"
SIZES = (64, 24, 16, 10)
SEED, EPOCHS, BATCH, RATE, DECAY, STEP = 7, 60, 50, 2e-3, 1e-4, 0.04
GRID = 16
SHIPPED = 20  # test images that come with the package

Array = np.ndarray
Layers = list[tuple[Array, Array]]


def forward(layers: Layers, x: Array) -> list[Array]:
    """Values before each activation, the input first."""
    values = [x]
    for k, (weight, bias) in enumerate(layers):
        values.append((np.maximum(values[-1], 0) if k else values[-1]) @ weight.T + bias)
    return values


def backward(layers: Layers, values: list[Array], labels: Array) -> tuple[Layers, Array]:
    """Gradients of the mean cross-entropy by every layer, and by the input."""
    logits = values[-1]
    soft = np.exp(logits - logits.max(axis=1, keepdims=True))
    above = soft / soft.sum(axis=1, keepdims=True)
    above[np.arange(len(labels)), labels] -= 1
    above /= len(labels)
    found: Layers = []
    for k in reversed(range(len(layers))):
        before = np.maximum(values[k], 0) if k else values[k]
        found.append((above.T @ before, above.sum(axis=0)))
        above = above @ layers[k][0]
        if k:
            above = above * (values[k] > 0)
    return found[::-1], above


def train(x: Array, labels: Array) -> Layers:
    """Adam on batches of which half are moved one signed-gradient step towards a mistake."""
    rng = np.random.default_rng(SEED)
    layers = [(rng.normal(0, np.sqrt(2 / n), (m, n)), np.zeros(m)) for n, m in pairwise(SIZES)]
    first = [(np.zeros_like(w), np.zeros_like(b)) for w, b in layers]
    second = [(np.zeros_like(w), np.zeros_like(b)) for w, b in layers]
    turn = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(x))
        for start in range(0, len(x), BATCH):
            pick = order[start : start + BATCH]
            batch, truth = x[pick].copy(), labels[pick]
            _, slope = backward(layers, forward(layers, batch), truth)
            half = len(pick) // 2
            batch[:half] = np.clip(batch[:half] + STEP * np.sign(slope[:half]), 0, 1)
            gradients, _ = backward(layers, forward(layers, batch), truth)
            turn += 1
            for k, pair in enumerate(gradients):
                for part, g in enumerate(pair):
                    g = g + DECAY * layers[k][part]
                    first[k][part][...] = 0.9 * first[k][part] + 0.1 * g
                    second[k][part][...] = 0.999 * second[k][part] + 0.001 * g * g
                    mean, spread = first[k][part] / (1 - 0.9**turn), second[k][part] / (1 - 0.999**turn)
                    layers[k][part][...] -= RATE * mean / (np.sqrt(spread) + 1e-8)
    return layers


def to_onnx(layers: Layers) -> onnx.ModelProto:
    """Gemm and Relu nodes on float32 weights."""
    nodes, constants, name = [], [], "x"
    for k, (weight, bias) in enumerate(layers, start=1):
        constants += [numpy_helper.from_array(weight, f"W{k}"), numpy_helper.from_array(bias, f"b{k}")]
        last = k == len(layers)
        out = "y" if last else f"z{k}"
        nodes.append(helper.make_node("Gemm", [name, f"W{k}", f"b{k}"], [out], name=f"gemm_{k}", transB=1))
        if not last:
            name = f"h{k}"
            nodes.append(helper.make_node("Relu", [out], [name], name=f"relu_{k}"))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", SIZES[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", SIZES[-1]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="nnsym")
    onnx.checker.check_model(model)
    return model


def short(values: Array) -> Array:
    """The nearest multiples of 1/16, which float32 holds exactly."""
    return (np.round(values * GRID) / GRID).astype(np.float32)


def main() -> None:
    """Train, measure, write."""
    digits = load_digits()
    x = digits.data / 16.0
    x_train, x_test, y_train, y_test = train_test_split(
        x, digits.target, test_size=0.25, random_state=SEED, stratify=digits.target
    )
    with threadpool_limits(1):  # one thread adds in one order
        layers = [(short(w), short(b)) for w, b in train(x_train, y_train)]
    right = forward(layers, x_test)[-1].argmax(axis=1) == y_test
    OUT.mkdir(exist_ok=True)
    model = to_onnx(layers).SerializeToString()
    (OUT / "digits.onnx").write_bytes(model)
    np.savez_compressed(
        OUT / "digits.npz", x=x_test[right][:SHIPPED].astype(np.float32), label=y_test[right][:SHIPPED].astype(np.int64)
    )
    print(f"test accuracy {right.mean():.4f}, {len(model) / 1000:.1f} kB, {SHIPPED} images in {OUT}")


if __name__ == "__main__":
    main()
