"""Networks built like those of the field's families, exported by torch: read, equal to ONNX Runtime, and bounded."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds.engine.backward.linear import crown
from nnsym.bounds.engine.forward.interval import ibp

torch = pytest.importorskip("torch")
runtime = pytest.importorskip("onnxruntime")

from tests.family_models import FAMILIES  # noqa: E402 - torch is there


def exported(kind: type) -> bytes:
    """A module of the family with random weights and statistics, as ONNX."""
    torch.manual_seed(1)
    module = kind()
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), torch.zeros(kind.shape), file, dynamo=False, input_names=["x"])
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAMILIES, ids=lambda kind: kind.__name__)
def test_a_family_is_read_right_and_bounded(kind: type, tmp_path: Path) -> None:
    data = exported(kind)
    (tmp_path / "net.onnx").write_bytes(data)
    f, session = nn.load(tmp_path / "net.onnx"), runtime.InferenceSession(data)
    random, low, high, values = np.random.default_rng(0), 0.48, 0.52, []
    for number in range(100):
        ends = (0.0, 1.0) if number % 2 else (low, high)
        point = random.uniform(*ends, kind.shape).astype(np.float32)
        (expected,) = session.run(None, {"x": point})
        found = np.asarray(f.evaluate(point.astype(float))).reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * (1 + np.abs(expected).max()))
        if not number % 2:
            values.append(found.ravel())
    x = nn.Variable(kind.shape, name="x")
    query = nn.forall(x, where=nn.box(x, np.full(kind.shape, low), np.full(kind.shape, high)), then=nn.all(f(x) >= 0))
    for source in (ibp, crown):
        rows = source(query.query).rows
        assert np.isfinite(rows.lower).all()
        assert np.isfinite(rows.upper).all()
        for value in values:
            assert (rows.lower <= value + 1e-6).all()
            assert (rows.upper >= value - 1e-6).all()
