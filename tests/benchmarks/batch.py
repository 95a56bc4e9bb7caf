"""4,096 random sub-boxes of the first ACAS Xu network: as one batch, and one by one, with weights at hand or not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
import torch

from nnsym.bounds.engine.backward.linear import crown
from nnsym.bounds.engine.forward.interval import ibp
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.methods import compute
from nnsym.bounds.sources import Dtype
from nnsym.ir.query import Query
from nnsym.read.onnx import load
from nnsym.read.vnnlib.load import load_vnnlib
from tests.benchmarks.measure import benchmark_folder, cpu, table

BOXES, ALONE = 4096, 256
HEAD = ("bounds", "format", "batch s", "one by one s", "weights kept s", "factor", "factor", "largest difference")


def report(rounds: int = 9) -> str:
    """CPU seconds, medians; one by one is timed on some of the boxes and scaled up."""
    folder = benchmark_folder()
    if not folder.is_dir():
        return f"### batch\n\nno benchmarks at {folder}: set NNSYM_BENCHMARKS.\n"
    torch.set_num_threads(1)
    network = next((folder / "acasxu").rglob("*1_1*.onnx*"))
    query = load_vnnlib(next((folder / "acasxu").rglob("prop_3.vnnlib*")), load(network))
    (x,) = query.inputs
    rng = np.random.default_rng(0)
    low, high = query.boxes[x].outer
    ends = np.sort(low + rng.random((2, BOXES, x.size)) * (high - low), axis=0)
    formats: tuple[Dtype, ...] = ("float64", "float32")
    found = [
        _row(query, (ends[0], ends[1]), name, dtype, rounds)
        for name, dtype in [(n, d) for n in ("ibp", "crown") for d in formats]
    ]
    return table("sub-boxes of ACAS Xu 1_1, property 3", HEAD, found)


def _row(query: Query, ends: tuple[np.ndarray, np.ndarray], name: str, dtype: Dtype, rounds: int) -> tuple[str, ...]:
    (x,), kept = query.inputs, Maps(dtype=dtype)

    def run(part: slice, maps: Maps | None = kept) -> np.ndarray:
        boxes = {x: (ends[0][part], ends[1][part])}
        if maps is None:
            return compute(query, name, boxes=boxes, dtype=dtype).rows.lower
        bounds = ibp(query, boxes, maps=maps) if name == "ibp" else crown(query, boxes, maps=maps)
        return bounds.rows.lower

    def singles(maps: Maps | None) -> list[np.ndarray]:
        return [run(slice(k, k + 1), maps) for k in range(ALONE)]

    apart = float(np.abs(np.concatenate(singles(kept)) - run(slice(None))[:ALONE]).max())
    together = _median(lambda: run(slice(None), None), rounds)
    alone = [_median(partial(singles, maps), max(1, rounds // 3)) * BOXES / ALONE for maps in (None, kept)]
    factors = (f"{seconds / together:.0f}" for seconds in alone)
    return name, dtype, f"{together:.3f}", *(f"{seconds:.1f}" for seconds in alone), *factors, f"{apart:.1g}"


def _median(run: Callable[[], object], rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        start = cpu()
        run()
        spent.append(cpu() - start)
    return median(spent)
