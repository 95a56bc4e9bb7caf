"""Chains of torch's own layers: one run shows all that they compute, so the quick exporter of torch reads them.

The exporter of the module's code takes seconds to find the branches that depend on data. In a ``Sequential`` of layers
whose code is torch's own and has none, there is nothing to find.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: What one layer becomes in a run, and what the exporter of the code calls its value, by the axes that it slides over.
_NAMES = {
    "Gemm": "linear",
    "MatMul": "linear",  # without a bias
    "Conv": "conv{}d",
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "MaxPool": "max_pool{}d",
    "AveragePool": "avg_pool{}d",
    "Flatten": "view",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
}
_HOOKS = ("_forward_pre_hooks", "_forward_hooks")


def is_chain(module: torch.nn.Module) -> bool:
    """True where the code of known layers is all that runs, one after the other.

    Subclasses, parametrized and compiled modules, hooks and methods of an instance are code of their own.
    """
    from torch import nn  # heavy: torch

    known: set[type] = {nn.Linear, nn.Conv1d, nn.Conv2d, nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid}
    known |= {nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.Softmax, nn.LogSoftmax}
    known |= {nn.Sequential, nn.Flatten, nn.Identity, nn.Dropout}
    return not any(vars(nn.modules.module)[f"_global{hooks}"] for hooks in _HOOKS) and all(
        type(part) in known and "forward" not in vars(part) and not any(vars(part)[hooks] for hooks in _HOOKS)
        for part in module.modules()
    )


def rename(model: Any) -> bool:
    """Call the values of a chain's ONNX model what the exporter of its code calls them; False where that cannot be.

    So hidden neurons have the same names, however a module is read. It cannot be where a layer became two operators.
    """
    graph = model.graph
    renamed, met = {graph.input[0].name: "input"}, Counter[str]()
    graph.input[0].name = "input"
    for node in graph.node:
        name = _NAMES.get(node.op_type)
        if name is None or len(node.output) != 1:
            return False
        slides = next((len(given.ints) for given in node.attribute if given.name == "kernel_shape"), 0)
        name = name.format(slides)
        met[name] += 1
        renamed[node.output[0]] = value = name if met[name] == 1 else f"{name}_{met[name] - 1}"
        node.name, node.output[0] = f"node_{value}", value
        node.input[:] = [renamed.get(given, given) for given in node.input]
    graph.output[0].name = renamed[graph.output[0].name]
    return True
