"""Modules whose code is straight: one run shows all that they compute, so the quick exporter of torch reads them.

The exporter of the module's code takes seconds to find the branches that depend on data. In straight code there are
none. Two runs say so: one by torch.fx on symbols without values comes to the end over known layers and functions
alone, and one on numbers, in which torch warns of what it takes for constant, does the same operation by operation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: What one operation becomes in a run, and what the exporter of the code calls its value, by the axes that it slides
#: over; a constant is no value of its own.
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
    "Reshape": "view",
    "Add": "add",
    "Sub": "sub",
    "Concat": "cat",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Constant": "",
}
_HOOKS = ("_forward_pre_hooks", "_forward_hooks")
_METHODS = {"relu", "tanh", "sigmoid", "flatten", "view", "reshape", "size", "softmax", "log_softmax", "add", "sub"}


def symbolic(module: torch.nn.Module) -> torch.fx.GraphModule | None:
    """What straight code does, one operation after the other; None for any other code.

    Parametrized and compiled modules, hooks and methods of an instance are code that fx does not look into; layers in
    place change what others read.
    """
    from torch import fx, nn  # heavy: torch

    parts = list(module.modules())
    if any(vars(nn.modules.module)[f"_global{hooks}"] for hooks in _HOOKS) or any(
        "forward" in vars(part) or any(vars(part)[hooks] for hooks in _HOOKS) for part in parts
    ):
        return None
    layers, functions = _layers(), _functions()
    try:
        found = fx.symbolic_trace(nn.Sequential(module) if type(module) in layers else module)
    except Exception:  # whatever the user's code raises on a symbol, on which it cannot branch
        return None
    for node in found.graph.nodes:
        match node.op:
            case "call_module":
                layer = found.get_submodule(node.target)
                known, changes = type(layer) in layers, getattr(layer, "inplace", False)
            case "call_function":
                known, changes = node.target in functions, node.kwargs.get("inplace", False)
            case "call_method":
                known, changes = node.target in _METHODS, False
            case _:
                known, changes = node.op in ("placeholder", "output"), False
        if not known or (changes and not _alone(found, node.args[0])):
            return None
    return found


def _layers() -> set[type]:
    from torch import nn  # heavy: torch

    return {
        *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d),
        *(nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.Softmax, nn.LogSoftmax),
        *(nn.Sequential, nn.Flatten, nn.Identity, nn.Dropout),
    }


def _functions() -> set[Any]:
    import operator

    import torch  # heavy: torch
    from torch.nn import functional

    return {
        *(operator.add, operator.sub, operator.mul, getattr, operator.getitem),  # of shapes too
        *(torch.add, torch.sub, torch.cat, torch.relu, torch.tanh, torch.sigmoid, torch.flatten, torch.reshape),
        *(torch.softmax, torch.log_softmax, functional.softmax, functional.log_softmax, functional.relu),
        *(functional.leaky_relu, functional.tanh, functional.sigmoid),
        *(functional.max_pool1d, functional.max_pool2d, functional.avg_pool1d, functional.avg_pool2d),
    }


def _alone(found: torch.fx.GraphModule, changed: torch.fx.Node) -> bool:
    """True if a value that is changed in place was made for this alone."""
    from torch import nn  # heavy: torch

    if changed.op != "call_module" or len(changed.users) > 1:
        return False
    return isinstance(found.get_submodule(str(changed.target)), (nn.Linear, nn.Conv1d, nn.Conv2d))


def arguments_of(found: torch.fx.GraphModule) -> list[str]:
    """What the code calls its arguments."""
    return [str(node.target) for node in found.graph.nodes if node.op == "placeholder"]


def rename(model: Any, inputs: Sequence[str]) -> bool:
    """Call the values of the ONNX model of a run what the exporter of the code calls them; False where that cannot be.

    So hidden neurons have the same names, however a module is read. It cannot be where an operation became several.
    """
    graph = model.graph
    if len(graph.input) != len(inputs):
        return False
    renamed, met = {given.name: name for given, name in zip(graph.input, inputs, strict=True)}, Counter[str]()
    for given in graph.input:
        given.name = renamed[given.name]
    for node in graph.node:
        name = _NAMES.get(node.op_type)
        if name is None or len(node.output) != 1:
            return False
        if not name:
            continue
        slides = next((len(given.ints) for given in node.attribute if given.name == "kernel_shape"), 0)
        name = name.format(slides)
        met[name] += 1
        renamed[node.output[0]] = value = name if met[name] == 1 else f"{name}_{met[name] - 1}"
        node.name, node.output[0] = f"node_{value}", value
        node.input[:] = [renamed.get(given, given) for given in node.input]
    for given in graph.output:
        given.name = renamed.get(given.name, "")
    names = [given.name for given in graph.output]
    return all(names) and len(set(names)) == len(names) and not set(names) & set(inputs)


def alike(one: Any, other: Any) -> bool:
    """True if two ONNX models do the same operations on the same numbers, whatever these are called."""
    return _operations(one) == _operations(other)


def _operations(model: Any) -> tuple[list[Any], list[str]]:
    stored: dict[str, Any] = {}
    for part in model.graph.initializer:
        nameless = type(part)()
        nameless.CopyFrom(part)
        nameless.ClearField("name")
        stored[part.name] = nameless.SerializeToString(deterministic=True)
    done = []
    for node in model.graph.node:
        given = sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
        read = [stored.get(name, name) for name in node.input]
        if node.op_type == "Constant":
            stored[node.output[0]] = (given,)
        else:
            done.append((node.op_type, given, read, list(node.output)))
    return done, [given.name for given in model.graph.output]
