"""Long models: read in pieces, kept packed, run from arrays; the walk over their bytes against ONNX's own parser."""

from __future__ import annotations

import gzip
import pickle
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from nnsym.errors import InputError
from nnsym.ir import stored
from nnsym.ir.stored import Packed, kept
from nnsym.read import runtime, sources, streams, wire
from nnsym.read.meter import Meter
from nnsym.read.onnx import load
from nnsym.read.wire import UnusualError, cut
from tests.models import f32, model

node = helper.make_node
LARGE = 64  # bytes, here


def chain(weight, bias):
    nodes = [
        node("MatMul", ["x", "W"], ["a"]),
        node("Add", ["a", "b"], ["z"]),
        node("Relu", ["z"], ["h"], name="act"),
        node("Gemm", ["h", "V"], ["y"]),
    ]
    return model(nodes, {"x": (1, len(weight))}, constants={"W": weight, "b": bias, "V": f32(len(bias), 2, seed=5)})


def tensor(values, name, form):
    """A tensor whose numbers stand in the field ``form``."""
    if form == "raw_data":
        return numpy_helper.from_array(values, name)
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    return helper.make_tensor(name, kind, values.shape, values.ravel().tolist())


def network(form="raw_data"):
    proto = chain(f32(3, 40), f32(40))
    proto.graph.initializer.append(numpy_helper.from_array(np.arange(40), "whole"))  # int64: not taken out
    proto.graph.initializer.append(tensor(np.linspace(0, 1, 30).reshape(5, 6), "double", form))
    proto.graph.initializer.append(tensor(np.linspace(0, 1, 30, dtype=np.float32), "single", form))
    return proto


def filled(skeleton, arrays):
    """A model with its numbers put back."""
    proto = ModelProto.FromString(skeleton)
    for held in proto.graph.initializer:
        if held.name in arrays:
            held.raw_data = arrays[held.name].tobytes()
    return proto


def in_bits(data, size):
    return (data[k : k + size] for k in range(0, len(data), size))


def same(a, b):
    """Are two models equal, numbers in whatever field?"""
    for proto in (a, b):
        for held in proto.graph.initializer:
            held.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(held), held.name))
    return a == b


@pytest.mark.parametrize("form", ["raw_data", "data"])
@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_large_numbers_are_cut_out_and_the_rest_is_the_same(form, size):
    proto = network(form)
    skeleton, arrays = cut(in_bits(proto.SerializeToString(), size), sys.maxsize, large=LARGE)
    shapes = {name: a.shape for name, a in arrays.items()}
    assert shapes == {
        "V": (40, 2),
        "W": (3, 40),
        "b": (40,),
        "double": (5, 6),
        "single": (30,),
    }
    assert all(a.flags.aligned for a in arrays.values())
    assert same(filled(skeleton, arrays), proto)


def test_what_is_unusual_reads_as_the_parser_reads_it():
    """Twice the same field, graphs in pieces, unknown fields, numbers in two places, groups: equal, or left to it."""
    proto = network()
    data = proto.SerializeToString()
    weight = proto.graph.initializer[0]
    other = TensorProto(name="W", data_type=1, dims=[3, 40], raw_data=f32(3, 40).tobytes())
    twice = weight.SerializeToString() + TensorProto(raw_data=other.raw_data).SerializeToString()
    short = weight.SerializeToString() + TensorProto(raw_data=b"1234").SerializeToString()
    both = weight.SerializeToString() + TensorProto(float_data=[1.0] * 40).SerializeToString()

    def inside(content, number):
        return wire._varint(number << 3 | 2) + wire._varint(len(content)) + content

    cases = [data + inside(inside(t, 5), 7) for t in (twice, short, both, weight.SerializeToString())]
    cases += [data + data, data + inside(b"abc", 900), data + wire._varint(901 << 3 | 5) + b"1234"]
    cases += [data + wire._varint(902 << 3 | 1) + b"12345678", data + wire._varint(903 << 3) + b"\x05"]
    cases += [data + wire._varint(904 << 3 | 3) + wire._varint(904 << 3 | 4)]  # a group
    left = 0
    for case in cases:
        try:
            skeleton, arrays = cut(iter([case]), sys.maxsize, large=LARGE)
        except UnusualError:
            left += 1
            continue
        whole, rest = ModelProto.FromString(case), ModelProto.FromString(skeleton)
        for expected, found in zip(whole.graph.initializer, rest.graph.initializer, strict=True):
            taken = found.name in arrays and not found.raw_data and not found.float_data
            values = arrays[found.name] if taken else None
            assert expected == found or np.array_equal(values, numpy_helper.to_array(expected))
        assert whole.graph.node == rest.graph.node
    assert left == 4  # twice, short, both, the group


def test_damaged_bytes_never_mean_something_else():
    data = network().SerializeToString()
    r = random.Random(5)
    for trial in range(1500):
        case = bytearray(data)
        if trial % 2:
            del case[r.randrange(9, len(case)) :]
        for _ in range(r.randint(1 - trial % 2, 3)):
            case[r.randrange(len(case))] = r.choice([0, 1, 127, 128, 255, r.randrange(256)])
        try:
            skeleton, arrays = cut(in_bits(bytes(case), 100), len(case), large=LARGE)
        except UnusualError:
            continue
        try:
            whole = ModelProto.FromString(bytes(case))
        except Exception:
            with pytest.raises(Exception, match="pars"):
                ModelProto.FromString(skeleton)
            continue
        rest = filled(skeleton, arrays)
        assert [t.name for t in whole.graph.initializer] == [t.name for t in rest.graph.initializer]
        for a, b in zip(whole.graph.initializer, rest.graph.initializer, strict=True):
            assert (a.dims, a.data_type, a.raw_data) == (b.dims, b.data_type, b.raw_data)


@pytest.fixture
def short(monkeypatch):
    """Everything is long."""
    for module in (stored, sources):
        monkeypatch.setattr(module, "LONG", 1000)
    monkeypatch.setattr(stored, "_PIECE", 300)
    monkeypatch.setattr(streams, "_PIECE", 300)
    monkeypatch.setattr(wire.cut, "__kwdefaults__", {"large": LARGE})


def selection(rows=30, columns=400):
    weight = np.zeros((rows, columns), np.float32)
    weight[np.arange(columns) % rows, np.arange(columns)] = 1
    return weight


@pytest.mark.parametrize("weight", [selection(), f32(30, 400)], ids=["zeros", "full"])
def test_long_models_load_and_run_as_short_ones_do(tmp_path, short, weight):
    proto = chain(weight, f32(400))
    data = proto.SerializeToString()
    plain, packed = tmp_path / "net.onnx", tmp_path / "net.onnx.gz"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data))
    expected = runtime.Session(data).run({"x": f32(1, 30)})["y"]
    digest = Packed((data,), (False,)).sha256
    for source in (plain, packed, data, gzip.compress(data), proto):
        found = load(source)
        assert isinstance(found.model, Packed)
        assert bytes(found.model) == data
        assert found.hash == digest
        assert np.array_equal(runtime.run(found, {"x": f32(1, 30)})["y"], expected)
        hidden = runtime.run(found, {"x": f32(1, 30)}, hidden=("act",))["act"]
        assert np.allclose(hidden, np.maximum(f32(1, 30) @ weight + f32(400), 0), rtol=1e-5, atol=1e-6)
        again = pickle.loads(pickle.dumps(found))
        assert (bytes(again.model), again.hash) == (data, digest)
        assert replace(found, name="other").hash == digest


def test_long_models_that_are_damaged_are_refused(tmp_path, short):
    data = chain(f32(3, 400), f32(400)).SerializeToString()
    for case, said in (
        (data[:-50], "truncated"),
        (b"\x3a\xff\xff\xff\xff\x0f" + data, "truncated"),
        (b"a" * 5000, "not an"),
    ):
        with pytest.raises(InputError, match=said):
            load(case)
    path = tmp_path / "net.onnx.gz"
    packed = gzip.compress(data)
    tails = (b"\0" * 700, b"")
    for case in [packed[:-300], packed + b"more", packed + b"\0" * 700 + b"x", packed[:-4] + b"1234"]:
        path.write_bytes(case)
        with pytest.raises(InputError, match="damaged"):
            load(path)
    half = len(data) // 2
    members = gzip.compress(data[:half]) + gzip.compress(b"") + gzip.compress(data[half:])
    for tail in tails:
        path.write_bytes(members + tail)
        assert bytes(load(path).model) == data


def test_initializers_of_long_models_that_are_inputs_or_lie_elsewhere(tmp_path, short):
    proto = chain(selection(), f32(400))
    proto.ir_version = 3
    for held in proto.graph.initializer:
        proto.graph.input.append(helper.make_tensor_value_info(held.name, TensorProto.FLOAT, list(held.dims)))
    assert list(load(proto).inputs) == ["x"]
    proto = chain(selection(), f32(400))
    onnx.save_model(proto, tmp_path / "n.onnx", save_as_external_data=True, location="n.bin", size_threshold=2000)
    found = load(tmp_path / "n.onnx")
    assert isinstance(found.model, Packed)
    assert np.allclose(found(f32(1, 30)), runtime.run(found, {"x": f32(1, 30)})["y"], rtol=1e-5)


def test_zeros_are_packed_and_random_numbers_are_not():
    zeros, full = bytes(2**24), f32(2**22).tobytes()
    assert sum(map(len, kept(zeros).held)) < 2**17
    assert sum(map(len, kept(full).held)) == len(full)
    assert isinstance(kept(b"short"), bytes)


@pytest.mark.parametrize("size", [1, 2, 3, 50, 10**6])
def test_gzip_in_pieces_of_any_size(size):
    data = f32(3000).tobytes() + bytes(5000)
    packed = gzip.compress(data[:4000]) + gzip.compress(data[4000:]) + b"\0" * 9
    first, rest = packed[:2], packed[2:]
    pieces = (p for p in (first, *in_bits(rest, size)))
    assert b"".join(streams.unpacked(pieces, "x", 10**6, Meter())) == data


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_long_model_of_zeros_takes_little_more_than_its_matrices(tmp_path):
    size = 4096
    weight = np.eye(size, dtype=np.float32)  # 64 MB
    nodes = [node("MatMul", ["x", "A"], ["a"]), node("Relu", ["a"], ["r"]), node("MatMul", ["r", "B"], ["y"])]
    proto = model(nodes, {"x": (1, size)}, constants={"A": weight, "B": weight})
    path = tmp_path / "n.onnx"
    path.write_bytes(proto.SerializeToString())
    program = f"""
import numpy, onnx, onnxruntime, nnsym as nn
from nnsym.read import agree, runtime
from onnx import numpy_helper, reference, external_data_helper
import scipy.sparse
def memory(key):
    return int(open('/proc/self/status').read().split(key + ':')[1].split()[0]) / 1024
base = memory('VmRSS')
network = nn.load({str(path)!r})
print(memory('VmRSS') - base, memory('VmHWM') - base)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    left, peak = map(float, done.stdout.split())
    assert left < 60  # 512 MB with the whole file, its parsed copy and ONNX Runtime's
    assert peak < 220
