"""Bad models: a message that names the place, the reason and the remedy; never another exception."""

from __future__ import annotations

import gzip
import pickle
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from nnsym.errors import InputError, NnsymError, UnsupportedError
from nnsym.read.onnx import load
from nnsym.read.runtime import run
from tests.models import f32, model, single

node = helper.make_node
GOOD = single("Gemm", (1, 3), f32(3, 4), f32(4)).SerializeToString()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.onnx", b"", "empty.onnx: the file is empty"),
        ("garbage.onnx", b"hello, this is no model", "garbage.onnx: not an ONNX model, or truncated"),
        ("noise.onnx", bytes(range(256)) * 4, "not an ONNX model, or truncated"),
        ("half.onnx", GOOD[: len(GOOD) // 2], "half.onnx: not an ONNX model, or truncated"),
        ("half.onnx.gz", gzip.compress(GOOD)[:-20], "half.onnx.gz: the gzip data is damaged or truncated"),
        ("bad.onnx.gz", b"\x1f\x8b" + b"\0" * 50, "bad.onnx.gz: the gzip data is damaged"),
        ("net.pt", b"PK\x03\x04rest", "net.pt: a pickle or archive, which could run code, is never loaded. Export it"),
        ("net.onnx", pickle.dumps([1, 2]), "net.onnx: a pickle or archive"),
        ("net.pth", b"anything", "net.pth: a pickle or archive"),
        ("net.h5", b"\x89HDF\r\n\x1a\n", "net.h5: an HDF5 file"),
    ],
)
def test_files_that_are_no_models(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as caught:
        load(tmp_path / name)
    assert str(caught.value).startswith(message) or message in str(caught.value)
    assert caught.value.remedy


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.onnx: no such file"):
        load(tmp_path / "nowhere.onnx")
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path)
    with pytest.raises(InputError, match="cannot load a network from int"):
        load(3)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, len(GOOD) - 1), flips=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(1, 255))))
def test_damage_never_leaks_another_exception(cut, flips):
    damaged = bytearray(GOOD)
    for place, mask in flips[:3]:
        damaged[place] ^= mask
    for data in (bytes(damaged), bytes(damaged[:cut])):
        with suppress(NnsymError):
            load(data)


def test_an_unsupported_operator_is_named_with_who_lists_the_others():
    with pytest.raises(UnsupportedError) as caught:
        load(model([node("IsNaN", ["x"], ["y"], name="nan_7")], {"x": (1, 3)}), name="net")
    said = "net: node 'nan_7', IsNaN: operator IsNaN is not supported. nnsym-vnnlib supports --onnx-operators lists"
    assert said in str(caught.value)
    with pytest.raises(UnsupportedError, match=r"operator my\.own\.Relu is not supported"):
        load(model([node("Relu", ["x"], ["y"], domain="my.own")], {"x": (1, 3)}))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_named(value):
    weight = f32(3, 4)
    weight[1, 2] = value
    with pytest.raises(InputError, match=r"model: initializer 'c0': 1 of 12 numbers are NaN or infinite"):
        load(single("Gemm", (1, 3), weight, f32(4)))


def test_a_nan_limit_is_refused_and_an_infinite_one_is_not():
    with pytest.raises(InputError, match="initializer 'c0'"):
        load(single("Clip", (1, 3), np.float32(np.nan)))
    load(single("Max", (1, 3), np.float32(-np.inf)))


def test_shapes_that_do_not_fit_name_the_node():
    for proto in (
        single("Gemm", (1, 3), f32(4, 4)),
        single("MatMul", (1, 3), f32(4, 4)),
        single("Add", (1, 3), f32(4)),
        single("Conv", (1, 3, 4, 4), f32(2, 2, 3, 3)),
        single("Reshape", (1, 3), np.array([2, 2])),
        single("Concat", (1, 3), f32(2, 2), axis=1),
        single("BatchNormalization", (1, 3, 2), f32(2), f32(2), f32(2), np.ones(2, np.float32)),
    ):
        with pytest.raises(NnsymError, match=r"model: node 'n', \w+: "):
            load(proto)


def test_uses_of_an_operator_without_a_lowering():
    for proto, message in (
        (single("MaxPool", (1, 1, 4), kernel_shape=[2], outputs=2), "a result that nnsym leaves out of .*MaxPool"),
        (model([node("Reshape", ["x", "z"], ["y"])], {"x": (3,), "z": (1,)}), "input 1 must be a constant"),
        (model([node("Cast", ["x"], ["y"], to=3)], {"x": (3,)}), "which rounds or wraps around"),
        (model([node("RandomNormal", [], ["r"], shape=[3]), node("Add", ["x", "r"], ["y"])], {"x": (3,)}), "random"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            load(proto)
    with pytest.raises(InputError, match="division by zero"):
        load(single("Div", (1, 3), np.float32(0)))


def test_inputs_that_are_no_fixed_float_tensors():
    with pytest.raises(UnsupportedError, match=r"input 'x': axis 2 has no fixed length \('w'\)"):
        load(model([node("Relu", ["x"], ["y"])], {"x": ("n", 3, "w")}))
    with pytest.raises(UnsupportedError, match="input 'x': not a tensor of floats"):
        load(model([node("Relu", ["x"], ["y"])], {"x": (3,)}, elem=TensorProto.INT64))
    with pytest.raises(UnsupportedError, match="no inputs"):
        load(model([node("Relu", ["c"], ["y"])], {}, constants={"c": f32(2)}))


def test_damaged_graphs():
    with pytest.raises(InputError, match="reads 'q', which nothing defines"):
        load(model([node("Add", ["x", "q"], ["y"])], {"x": (3,)}))
    with pytest.raises(InputError, match="output 'y': reads 'y', which nothing defines"):
        load(model([node("Relu", ["x"], ["z"])], {"x": (3,)}))
    proto = single("Gemm", (1, 3), f32(3, 4))
    proto.graph.initializer[0].raw_data = b"1234"
    with pytest.raises(InputError, match="initializer 'c0': cannot be decoded"):
        load(proto)
    with pytest.raises(InputError, match="not valid ONNX: Unrecognized attribute: bogus"):
        load(single("Relu", (3,), bogus=1))


def test_running_with_the_wrong_inputs():
    network = load(GOOD)
    with pytest.raises(InputError, match="no value for input 'x'"):
        run(network, {})
    with pytest.raises(InputError, match=r"input 'x' has shape \(1, 3\), the value \(4,\)"):
        run(network, {"x": f32(4)})
