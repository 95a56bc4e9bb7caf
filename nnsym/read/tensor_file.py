"""Arrays as ONNX tensors."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def tensor_bytes(name: str, values: NDArray[Any]) -> bytes:
    """A serialised ``TensorProto`` of that name, of the array's type and shape."""
    from onnx import numpy_helper

    return bytes(numpy_helper.from_array(values, name).SerializeToString())
