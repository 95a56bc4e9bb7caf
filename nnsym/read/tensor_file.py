"""Arrays as ONNX tensors."""

from __future__ import annotations

from nnsym.ir.array import Array


def tensor_bytes(name: str, values: Array) -> bytes:
    """A serialised ``TensorProto`` of that name, of the array's type and shape."""
    from onnx import numpy_helper

    return bytes(numpy_helper.from_array(values, name).SerializeToString())
