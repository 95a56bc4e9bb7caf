"""Float runs of stored models: what encloses them, how far they are from the reals, and what a verdict says of both."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import nnsym as nn
from nnsym.bounds.methods import compute
from nnsym.deployed.enclose import enclose
from nnsym.deployed.formats import Format
from nnsym.deployed.secants import row_errors
from nnsym.deployed.statement import float_error
from nnsym.ir.network import Network
from nnsym.ir.smooth_functions import Sigmoid
from nnsym.read.runtime import run as run_model
from nnsym.replay.orders import ORDERS, float_runs
from nnsym.results.result import Agreement, Deployed, Semantics
from tests.depth import drawn

FLOAT32 = np.float32


def model(nodes, constants, shape_in, shape_out, dtype=FLOAT32) -> bytes:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    ends = [helper.make_tensor_value_info(n, kind, s) for n, s in (("x", shape_in), ("y", shape_out))]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    made = [helper.make_node(op, i, o, **a) for op, i, o, a in nodes]
    graph = helper.make_graph(made, "net", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def dense(layers, *, dtype=FLOAT32, activation="Relu") -> Network:
    """Dense layers ``(W: out x in, b)`` with an activation between them."""
    nodes, constants, last = [], {}, "x"
    for k, (W, b) in enumerate(layers):
        constants |= {f"W{k}": np.array(W, dtype), f"b{k}": np.array(b, dtype)}
        end = k == len(layers) - 1
        nodes.append(("Gemm", [last, f"W{k}", f"b{k}"], ["y" if end else f"h{k}"], {"transB": 1}))
        if not end:
            nodes.append((activation, [f"h{k}"], [f"r{k}"], {}))
            last = f"r{k}"
    shapes = [1, np.shape(layers[0][0])[1]], [1, np.shape(layers[-1][0])[0]]
    return nn.load(model(nodes, constants, *shapes, dtype))


def absorbing() -> Network:
    """relu(x + 2^25) - 2^25: the identity on reals, a staircase in float32."""
    return dense([([[1.0]], [2.0**25]), ([[1.0]], [-(2.0**25)])])


def mixed(seed: int, dtype=FLOAT32) -> Network:
    """Convolution, batch normalisation, pooling, a skip and a smooth or bent activation, wide weights."""
    rng = np.random.default_rng(seed)
    size = lambda *shape: (rng.normal(size=shape) * rng.choice([0.1, 1.0, 30.0])).astype(dtype)  # noqa: E731
    last = ("Sigmoid", "LeakyRelu", "Tanh", "HardSigmoid", "Abs")[seed % 5]
    nodes = [
        ("Conv", ["x", "K", "c"], ["h1"], {"pads": [1, 1, 1, 1]}),
        ("BatchNormalization", ["h1", "s", "B", "m", "v"], ["h2"], {}),
        ("Relu", ["h2"], ["h3"], {}),
        ("AveragePool", ["h3"], ["h4"], {"kernel_shape": [2, 2], "strides": [1, 1]}),
        ("MaxPool", ["h4"], ["h5"], {"kernel_shape": [2, 2], "strides": [1, 1]}),
        ("Flatten", ["h5"], ["h6"], {}),
        ("Gemm", ["h6", "W", "b"], ["h7"], {"transB": 1}),
        (last, ["h7"], ["h8"], {}),
        ("Add", ["h7", "h8"], ["h9"], {}),
        ("Mul", ["h9", "h8"], ["y"], {}),
    ]
    constants = {
        "K": size(2, 1, 3, 3), "c": size(2), "s": size(2), "B": size(2), "m": size(2) * 20, "v": size(2) ** 2,
        "W": size(3, 8), "b": size(3),
    }  # fmt: skip
    return nn.load(model(nodes, constants, [1, 1, 4, 4], [1, 3], dtype))


def sampled(query, count=6, seed=0):
    rng = np.random.default_rng(seed)
    (x,) = query.inputs
    low, high = query.boxes[x].outer
    for _ in range(count):
        share = rng.choice([0.0, 1.0, rng.random()], size=x.size)
        yield {x: np.clip((low + share * (high - low)).astype(FLOAT32), low, high)}


@pytest.mark.parametrize("source", ["ibp", "crown"])
def test_every_float_run_is_enclosed_and_within_its_error(source: str) -> None:
    """ONNX Runtime and six orders of summation lie in the enclosure's bounds, and within E of the real rows."""
    moved, seeds = 0, drawn(18, 9)
    for seed in range(seeds):
        f = mixed(seed)
        x = nn.Variable((1, 1, 4, 4), name="x")
        centre = np.float32(np.random.default_rng(seed).normal(size=(1, 1, 4, 4)))
        where = nn.box(x, centre - FLOAT32(0.1), centre + FLOAT32(0.1))
        query = nn.forall(x, where=where, then=f(x)[0, 0] - f(x)[0, 1] <= 0).query
        enclosed = enclose(query, compute(query, source))
        bounds = compute(enclosed.query, source)
        errors = row_errors(enclosed.query, enclosed.errors, enclosed.ranges)
        assert errors is not None
        assert np.isfinite(errors).all()
        assert not enclosed.overflow
        apart = 0.0
        for point in sampled(query):
            real = query.rows.value(query.values({v: w.astype(float) for v, w in point.items()}))
            for run in float_runs(query, point):
                rows = query.rows.value({n: v.astype(float) for n, v in run.computed.items() if n in query.rows.parts})
                assert (bounds.rows.lower <= rows).all()
                assert (rows <= bounds.rows.upper).all()
                assert (np.abs(rows - real) <= errors + 1e-12 * np.abs(real)).all()
                apart = max(apart, float(np.abs(rows - real).max()))
        moved += apart > 1e-9
    assert moved >= 4 / 9 * seeds  # the runs do differ from the reals, so the bounds are put to the test


def test_the_error_terms_are_needed() -> None:
    """Without the enclosure the bounds of the real function miss a run: the test above is no tautology."""
    f = absorbing()
    x = nn.Variable((1, 1), name="x")
    query = nn.forall(x, where=nn.box(x, 0.6, 0.9), then=f(x)[0, 0] >= 0.5).query
    rows = compute(query, "crown").rows
    (run, *_) = float_runs(query, {query.inputs[0]: FLOAT32([0.75])})
    value = query.rows.value({n: v.astype(float) for n, v in run.computed.items() if n in query.rows.parts})
    assert not ((rows.lower <= value) & (value <= rows.upper)).all()
    error = float_error(query, None)
    assert error is not None
    assert error.soft >= 0.75
    assert error.soft < 100


REAL_HOLDS, FLOATS_HOLD = (0.6, 0.9, 0.5), (0.1, 0.4, 0.2)


@pytest.mark.parametrize("method", ["ibp", "crown", "attack", "triangle", "bigm", "balas", "smt", None])
def test_no_two_methods_contradict_each_other(method: str | None) -> None:
    """On [0.6, 0.9] reals hold y >= 1/2 and float32 does not; on [0.1, 0.4] it is the mirror image of y <= 1/5."""
    f = absorbing()
    x = nn.Variable((1, 1), name="x")
    holds = nn.forall(x, where=nn.box(x, 0.6, 0.9), then=f(x)[0, 0] >= 0.5)
    fails = nn.forall(x, where=nn.box(x, 0.3, 0.4), then=f(x)[0, 0] <= 0.2)
    real = nn.verify(holds, method, timeout=20)
    assert real.semantics is Semantics.REAL
    assert real.status.value == "verified" if method != "attack" else real.reason == "floats_only"
    assert real.deployed is not Deployed.HOLDS
    if method in ("attack", None):
        assert real.deployed is Deployed.VIOLATED  # a run was found
    deployed = nn.verify(holds, method, semantics="deployed", timeout=20)
    assert deployed.semantics is Semantics.DEPLOYED
    assert deployed.status.value in ("falsified", "unknown")
    if method in ("attack", "bigm", "smt", None):
        assert deployed.status.value == "falsified"
        assert deployed.deployed is Deployed.VIOLATED
        assert deployed.counterexample is not None
        assert deployed.counterexample.outputs["y"].item() < 0.5
    mirror = nn.verify(fails, method, timeout=20)
    assert mirror.status.value in ("falsified", "unknown")
    if method in ("attack", "bigm", "smt", None):
        assert mirror.status.value == "falsified"
        assert mirror.counterexample is not None
        assert mirror.counterexample.engine is Agreement.DIFFERS
        assert mirror.counterexample.outputs["y"].item() > 0.2  # of the function that the verdict speaks of
        assert mirror.deployed is not Deployed.VIOLATED
    assert nn.verify(fails, method, semantics="deployed", timeout=20).status.value != "falsified"


def test_a_comparison_of_both_kinds_has_no_disagreement() -> None:
    f = absorbing()
    x = nn.Variable((1, 1), name="x")
    p = nn.forall(x, where=nn.box(x, 0.6, 0.9), then=f(x)[0, 0] >= 0.5)
    for semantics in ("real", "deployed"):
        table = nn.compare(p, ["ibp", "crown", "attack", "triangle", "bigm", "smt"], semantics=semantics, timeout=20)
        assert table.disagreement is None
        assert {r.result.semantics.value for r in table.rows if r.result is not None} == {semantics}


def test_only_models_whose_lowering_rounds_as_they_do_run_in_other_orders() -> None:
    """max(x, 2^25) is exact in every engine; lowered by a difference it would not be."""
    f = nn.load(model([("Max", ["x", "c"], ["y"], {})], {"c": np.float32([[2.0**25]])}, [1, 1], [1, 1]))
    x = nn.Variable((1, 1), name="x")
    p = nn.forall(x, where=nn.box(x, 2.0**25 + 4, 2.0**26), then=f(x)[0, 0] >= 2.0**25 + 4)
    assert len(list(float_runs(p.query, {p.query.inputs[0]: FLOAT32([2.0**25 + 4])}))) == 1
    assert nn.verify(p, semantics="deployed", timeout=20).status.value != "falsified"


def test_an_order_of_summation_that_violates_is_found() -> None:
    """2^30 x + 1 - 2^30 x is 1 in reals, in float32 0 or 1: whichever the engine at hand takes, some order fails."""
    big = 2.0**30
    f = dense([([[1.0], [0.0], [1.0]], [0.0, 1.0, 0.0]), ([[big, 1.0, -big]], [0.0])])
    x = nn.Variable((1, 1), name="x")
    p = nn.forall(x, where=nn.box(x, 1, 2), then=f(x)[0, 0] >= 0.5)
    assert nn.verify(p, timeout=20).status.value == "verified"
    found = nn.verify(p, semantics="deployed", timeout=20)
    assert found.status.value == "falsified"
    runs = {run.by: run.violates(p.query) for run in float_runs(p.query, {p.query.inputs[0]: FLOAT32([1.5])})}
    assert len(runs) == len(ORDERS) + 1
    assert set(runs.values()) == {True, False}


@pytest.mark.parametrize("method", ["ibp", "crown", "attack", "bigm", "smt", None])
def test_overflow_gets_one_answer_from_every_method(method: str | None) -> None:
    """1e38 x times 1e-38 for x in [3, 4]: x in reals, infinite between the two products in float32."""
    f = dense([([[1e38]], [0.0]), ([[1e-38]], [0.0])])
    x = nn.Variable((1, 1), name="x")
    p = nn.forall(x, where=nn.box(x, 3.5, 4), then=f(x)[0, 0] <= 5)
    real = nn.verify(p, method, timeout=20)
    assert real.status.value in ("verified", "unknown")
    assert real.deployed in (Deployed.VIOLATED, Deployed.OPEN)
    assert real.float_error in (None, np.inf)
    deployed = nn.verify(p, method, semantics="deployed", timeout=20)
    assert deployed.status.value == "falsified"
    harmless = nn.forall(x, where=nn.box(x, 1, 4), then=f(x)[0, 0] >= -1)
    assert nn.verify(harmless, method, semantics="deployed", timeout=20).reason == "overflow"


def test_margins_above_the_error_hold_deployed(benchmarks: Path) -> None:
    f = nn.load(benchmarks / "mnist_fc" / "onnx" / "mnist-net_256x2.onnx.gz")
    p = nn.load_vnnlib(benchmarks / "mnist_fc" / "vnnlib" / "prop_0_0.03.vnnlib.gz", f)
    real = nn.verify(p, "crown")
    assert real.status.value == "verified"
    assert real.float_error is not None
    assert 0 < real.float_error < real.lower
    assert real.deployed is Deployed.HOLDS
    deployed = nn.verify(p, "crown", semantics="deployed")
    assert deployed.status.value == "verified"
    assert real.lower - 0.005 < deployed.lower < real.lower


def test_networks_from_arrays_have_no_float_runs() -> None:
    f = nn.sequential([([[1.0]], [2.0**25]), ([[1.0]], [-(2.0**25)])])
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, 0.6, 0.9), then=f(x)[0] >= 0.5)
    for semantics in ("real", "deployed"):
        found = nn.verify(p, "crown", semantics=semantics)
        assert (found.status.value, found.deployed) == ("verified", Deployed.HOLDS)


def test_a_precondition_on_outputs_leaves_the_deployed_statement_open() -> None:
    """Rounding may let in other inputs, so a margin proves nothing about them."""
    f = dense([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, -1.0]], [0.0])])
    x = nn.Variable((1, 1), name="x")
    y = f(x)[0, 0]
    p = nn.forall(x, where=nn.box(x, -1, 1) & (y >= 0.5), then=y >= -10)
    assert nn.verify(p, "crown").deployed is Deployed.OPEN
    assert nn.verify(p, "crown", semantics="deployed").status.value == "verified"


def test_exists_in_both_semantics() -> None:
    f = absorbing()
    x = nn.Variable((1, 1), name="x")
    p = nn.exists(x, where=nn.box(x, 0.6, 0.9), then=f(x)[0, 0] <= 0.1)
    real = nn.verify(p, timeout=20)
    assert real.status.value == "falsified"
    deployed = nn.verify(p, semantics="deployed", timeout=20)
    assert (deployed.status.value, deployed.deployed) == ("verified", Deployed.HOLDS)
    assert deployed.witness is not None


def test_inputs_that_hold_no_stored_number_are_rounded_before_they_are_read() -> None:
    f = dense([([[1.0]], [0.0]), ([[1.0]], [0.0])])
    x = nn.Variable((1, 1), name="x")
    p = nn.forall(x, where=nn.box(x, 0.3, 0.3), then=f(x)[0, 0] <= 0.3)
    assert nn.verify(p, "smt").status.value == "verified"  # the real function is the identity
    found = nn.verify(p, "crown", semantics="deployed")
    assert found.status.value == "unknown"  # float32(0.3) is above 0.3
    assert found.lower < 0


@pytest.mark.parametrize("method", ["attack", "bigm", "crown", None])
def test_runs_read_numbers_of_the_domain(method: str | None) -> None:
    """``relu(x) <= t`` on [0, t]: most t are no float32, and the one beside t may be beyond it, where no run begins."""
    f = nn.load(model([("Relu", ["x"], ["y"], {})], {}, [1, 1], [1, 1]))
    x = nn.Variable((1, 1), name="x")
    for k in range(drawn(12, 4)):
        t = Fraction(k + 1, 10)
        where, y = nn.box(x, 0, t), f(x)[0, 0]
        holds = nn.verify(nn.forall(x, where=where, then=y <= t), method, semantics="deployed", timeout=20)
        fails = nn.verify(nn.exists(x, where=where, then=y > t), method, semantics="deployed", timeout=20)
        assert holds.status.value in ("verified", "unknown"), t
        assert fails.status.value in ("falsified", "unknown"), t
        greatest = nn.maximize(y, where=where, semantics="deployed", timeout=20)
        assert greatest.point is None or Fraction(float(greatest.point.inputs["x"].item())) <= t


def test_runs_that_round_what_they_read_have_no_certificate() -> None:
    """The checker's runs read numbers of their type."""
    f = nn.load(model([("Relu", ["x"], ["y"], {})], {}, [1, 1], [1, 1]))
    x = nn.Variable((1, 1), name="x")
    t = Fraction(1, 10)
    for at, then in ((t, f(x)), (t, f(nn.clip(x, 0, 0.05))), (Fraction(1, 8), f(x))):
        p = nn.forall(x, where=nn.box(x, at, at), then=then[0, 0] <= at + Fraction(1, 10**8))
        found = nn.verify(p, semantics="deployed", certificate=True)
        assert found.verified
        assert (found.certificate is None) == (at == t)
        assert found.certificate is not None or "round" in str(found.uncertified)


def test_unknown_semantics_and_formats_are_named() -> None:
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, 0, 1), then=x[0] <= 2)
    with pytest.raises(nn.InputError, match="real, deployed"):
        nn.verify(p, semantics="float")
    with pytest.raises(nn.UnsupportedError, match="bfloat16"):
        Format.of("bfloat16")


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_smooth_functions_of_the_engine_are_within_the_stated_units(op: str, dtype: type) -> None:
    points = np.concatenate([np.linspace(-30, 30, 100_001), np.linspace(-1, 1, 20_001)]).astype(dtype)
    kind = TensorProto.FLOAT if dtype is np.float32 else TensorProto.DOUBLE
    del kind
    f = nn.load(model([(op, ["x"], ["y"], {})], {}, [1, len(points)], [1, len(points)], dtype))
    found = run_model(f, {"x": points})["y"].ravel().astype(np.longdouble)
    exact = points.astype(np.longdouble)
    right = 1 / (1 + np.exp(-exact)) if op == "Sigmoid" else np.tanh(exact)
    units = np.abs(found - right).max() / np.finfo(dtype).eps
    assert units < Sigmoid.noise[0] / 4


def test_optima_of_both_functions() -> None:
    """The least y on [0.6, 0.9] is 0.6 in reals; every run of the model gives 0."""
    f = absorbing()
    x = nn.Variable((1, 1), name="x")
    where = nn.box(x, 0.6, 0.9)
    for method in ("bigm", "smt", None):
        real = nn.minimize(f(x)[0, 0], method, where=where, timeout=20)
        assert real.lower <= 0.6 <= real.upper
        assert real.upper - real.lower < 1e-3
        deployed = nn.minimize(f(x)[0, 0], method, where=where, semantics="deployed", timeout=20)
        assert deployed.semantics is Semantics.DEPLOYED
        assert deployed.lower <= 0 <= deployed.upper
        assert deployed.upper < 0.5
        assert deployed.point is not None
        assert deployed.point.outputs["y"].item() == deployed.upper


def test_intervals_that_straddle_a_threshold_are_followed_by_rationals(monkeypatch: pytest.MonkeyPatch) -> None:
    from nnsym.replay import real

    monkeypatch.setattr(real, "_EXACT_FIRST", 0)
    f = nn.sequential([([[0.1, 0.2]], [0.0])])
    x = nn.Variable(2, name="x")
    total = Fraction(0.1) + Fraction(0.2)
    at_most = nn.forall(x, where=nn.box(x, 0, 1), then=f(x)[0] < total).query
    point = {at_most.inputs[0]: np.ones(2)}
    found = real.run_real(at_most, point)
    assert (found.found, found.by, found.margin) == (True, "exact", 0.0)
    far = nn.forall(x, where=nn.box(x, 0, 1), then=f(x)[0] < total / 2).query
    decided = real.run_real(far, {far.inputs[0]: np.ones(2)})
    assert (decided.found, decided.by) == (True, "intervals")
