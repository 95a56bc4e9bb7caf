"""The model tests that ship with the onnx package: networks of other makers, with their inputs and results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.network import Network
from nnsym.read.onnx import load

FAMILIES = ("pytorch-converted", "pytorch-operator", "simple")


@dataclass(frozen=True, eq=False)
class Case:
    """A model with stored inputs and outputs, in the model's order."""

    name: str
    path: Path

    def samples(self) -> Iterator[tuple[list[Any], list[Any]]]:
        for folder in sorted(self.path.glob("test_data_set_*")):
            yield _arrays(folder, "input"), _arrays(folder, "output")


def _arrays(folder: Path, kind: str) -> list[Any]:
    found = []
    for k in range(len(list(folder.glob(f"{kind}_*.pb")))):
        proto = onnx.TensorProto()
        proto.ParseFromString((folder / f"{kind}_{k}.pb").read_bytes())
        found.append(numpy_helper.to_array(proto))
    return found


def cases() -> list[Case]:
    """All 140 of the installed package, by name."""
    root = Path(onnx.__file__).parent / "backend" / "test" / "data"
    folders = (f for family in FAMILIES for f in (root / family).iterdir() if (f / "model.onnx").exists())
    return sorted((Case(f.name, f) for f in folders), key=lambda c: c.name)


def read(case: Case) -> Network | str:
    """The network, compared with ONNX Runtime at random points, or why it is refused."""
    try:
        return load(case.path / "model.onnx")
    except (InputError, UnsupportedError) as error:
        return str(error)


def agrees(network: Network, case: Case) -> bool:
    """Whether the network gives the stored results at the stored inputs."""
    for given, expected in case.samples():
        point = [np.asarray(v, dtype=np.float64) for v in given[: len(network.inputs)]]
        found = network.evaluate(*point)
        results = found if isinstance(found, tuple) else (found,)
        for value, wanted in zip(results, expected, strict=True):
            wide = np.asarray(wanted, dtype=np.float64)
            if value.shape != wanted.shape or not np.allclose(value, wide, rtol=1e-4, atol=1e-5, equal_nan=True):
                return False
    return True
