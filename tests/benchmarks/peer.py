"""Bounds beside auto_LiRPA on networks of the field, in turn in one process: the least margin, and the CPU time.

The peer is no dependency: where ``auto_LiRPA`` cannot be imported, or the folder of benchmarks is missing (see
``NNSYM_BENCHMARKS``), the report says so and ends. Both sides keep their weights between rounds. The peer computes in
float32 without accounting for rounding; nnsym's columns are sound, in float64 and in float32.
"""

from __future__ import annotations

import csv
import importlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch

from nnsym.bounds.engine.backward.linear import crown
from nnsym.bounds.engine.backward.slopes import Ascent
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.ir.convolution import Conv
from nnsym.ir.node import Affine
from nnsym.ir.query import Query
from nnsym.read.onnx import load
from nnsym.read.vnnlib.load import load_vnnlib
from tests.benchmarks.measure import benchmark_folder, cpu, ms, table

Run = Callable[[], float]
HEAD = (
    "instance",
    "peer",
    "float64",
    "float32",
    "peer ms",
    "float64 ms",
    "float32 ms",
    "float64 / peer",
    "float32 / peer",
)


def report(rounds: int = 9) -> str:
    """A table for CROWN and one for 20 steps of optimised slopes."""
    folder = benchmark_folder()
    try:
        warnings.simplefilter("ignore")
        peer = importlib.import_module("auto_LiRPA")
    except ImportError as error:
        return f"### peer\n\nauto_LiRPA cannot be imported ({error}): install it beside nnsym to have its columns.\n"
    if not folder.is_dir():
        return f"### peer\n\nno benchmarks at {folder}: set NNSYM_BENCHMARKS.\n"
    torch.set_num_threads(1)
    queries = [pair for name in ("mnist_fc", "oval21") for pair in instances(folder / name)]
    return "\n".join(
        table(title, HEAD, [_row(name, _runs(peer, query, method, ascent), rounds) for name, query in queries])
        for title, method, ascent in (
            ("CROWN", "CROWN", None),
            ("20 steps on the slopes", "CROWN-Optimized", Ascent(iterations=20)),
        )
    )


def instances(folder: Path) -> Iterator[tuple[str, Query]]:
    """The queries of one benchmark of the field."""
    with (folder / "instances.csv").open() as lines:
        for row in csv.DictReader(lines):
            name = f"{Path(row['onnx']).name.split('.')[0]} {Path(row['vnnlib']).name.removesuffix('.vnnlib.gz')}"
            yield name, load_vnnlib(folder / row["vnnlib"], load(folder / row["onnx"]))


def _row(name: str, runs: tuple[Run, Run, Run], rounds: int) -> tuple[str, ...]:
    margins = [run() for run in runs]
    spent: list[list[float]] = [[], [], []]
    for _ in range(rounds):
        for run, seconds in zip(runs, spent, strict=True):
            start = cpu()
            run()
            seconds.append(cpu() - start)
    theirs, long, short = map(median, spent)
    ratios = (f"{long / theirs:.2f}", f"{short / theirs:.2f}")
    return (name, *(f"{m:.4f}" for m in margins), ms(theirs), ms(long), ms(short), *ratios)


def _runs(peer: Any, query: Query, method: str, ascent: Ascent | None) -> tuple[Run, Run, Run]:
    def ours(maps: Maps) -> Run:
        return lambda: float(crown(query, ascent=ascent, maps=maps).rows.lower.min())

    return _theirs(peer, query, method), ours(Maps()), ours(Maps(dtype="float32"))


def _theirs(peer: Any, query: Query, method: str) -> Run:
    (x,) = query.inputs
    module, shape = sequential(query)
    low, high = (torch.tensor(side, dtype=torch.float32).reshape(1, *shape) for side in query.boxes[x].outer)
    spec = query.spec[0]
    assert isinstance(spec, Affine)
    rows = torch.tensor(spec.maps[0].matrix().toarray(), dtype=torch.float32)[None]
    bias = torch.tensor(spec.bias, dtype=torch.float32)
    bounded = peer.BoundedModule(module, low, bound_opts={"optimize_bound_args": {"iteration": 20}})
    inputs = peer.BoundedTensor((low + high) / 2, peer.PerturbationLpNorm(x_L=low, x_U=high))

    def run() -> float:
        with torch.set_grad_enabled(method == "CROWN-Optimized"):
            lower, _ = bounded.compute_bounds(x=(inputs,), C=rows, method=method, bound_upper=False)
        return float((lower.detach() + bias).min())

    return run


def sequential(query: Query) -> tuple[torch.nn.Sequential, tuple[int, ...]]:
    """A chain of convolutions, matrices and ReLUs as a torch module, and the shape of its input."""
    layers: list[torch.nn.Module] = []
    shape: tuple[int, ...] | None = None
    flat = True
    for node in query.nodes:
        if isinstance(node, Affine):
            (linear,) = node.maps
            bias = torch.tensor(node.bias, dtype=torch.float32)
            layer: Any
            if isinstance(linear, Conv):
                channels, rank = len(linear.weight), len(linear.strides)
                assert linear.pads[:rank] == linear.pads[rank:]
                size = linear.weight.shape
                layer = torch.nn.Conv2d(size[1] * linear.groups, channels, size[2:], linear.strides, linear.pads[:rank])
                weight, bias, flat = linear.weight, bias.reshape(channels, -1)[:, 0], False
                shape = shape or tuple(linear.in_shape)
            else:
                layers += [] if flat else [torch.nn.Flatten()]
                layer, weight, flat = torch.nn.Linear(linear.n_in, linear.n_out), linear.matrix().toarray(), True
            layer.weight.data, layer.bias.data = torch.tensor(weight, dtype=torch.float32), bias
            layers.append(layer)
            shape = shape or (linear.n_in,)
        elif node.parents:
            layers.append(torch.nn.ReLU())
    assert shape is not None
    return torch.nn.Sequential(*layers), shape
