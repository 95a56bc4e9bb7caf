"""PyTorch modules as networks, through ONNX in memory: what is verified is what would be deployed."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.network import Network
from nnsym.read.agree import require_agreement
from nnsym.read.onnx import load
from nnsym.read.torch_straight import alike, arguments_of, rename, symbolic

if TYPE_CHECKING:
    import torch


def from_torch(
    module: torch.nn.Module,
    input_shape: Sequence[int] | Sequence[Sequence[int]] | torch.Tensor | Sequence[torch.Tensor],
    *,
    name: str | None = None,
    drop_softmax: bool = False,
) -> Network:
    """The function that ``module`` computes in evaluation mode, read through :func:`torch.onnx.export`.

    ``input_shape`` is the shape that ``module`` is called with, batch axis included: ``(1, 784)``, or one shape
    per argument for several; sample tensors stand for their shapes. With ``drop_softmax`` the network ends before the
    softmax that the module ends in: its outputs are the scores, whose order is that of the probabilities, so that
    ``argmax`` says the same, and a comparison with a number something else. Straight code over common layers
    (:mod:`nnsym.read.torch_straight`) is read from one run, in a tenth of the time and with the same names. The
    module is left as it was, its training flags restored. The network's dtype is that of the module's parameters; its
    ``model`` is the exported ONNX, on which counterexamples are replayed. Raises :class:`UnsupportedError` for what the
    exporter or :func:`~nnsym.read.onnx.load` refuses.
    """
    network = unchecked(module, input_shape, name=name, drop_softmax=drop_softmax, check=True)
    first = next(module.parameters(), None)
    device = "cpu" if first is None else first.device
    with evaluating(module), _scores(drop_softmax) as scores:
        require_agreement(network, lambda point: _outputs(module, network, point, device, scores), by="torch")
    return network


def unchecked(
    module: torch.nn.Module,
    input_shape: Sequence[int] | Sequence[Sequence[int]] | torch.Tensor | Sequence[torch.Tensor],
    *,
    name: str | None = None,
    drop_softmax: bool = False,
    check: bool = False,
    traced: bool = False,
) -> Network:
    """The network as :func:`from_torch` reads it, compared with nothing, or with ONNX Runtime alone for ``check``.

    For whoever compares it himself, as training does for parameters that are not the module's own. With ``traced`` it
    is read from one run, in a hundredth of the time; a run says nothing of the branches that it did not take, so that
    nothing may be proved of such a network. Raises :class:`UnsupportedError` where torch warns of that.
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise InputError(
            f"{type(module).__name__} is not a torch.nn.Module", remedy="Pass a module; read files with nnsym.load"
        )
    label = name or type(module).__name__
    first = next(module.parameters(), None)
    dtype = torch.float32 if first is None else first.dtype
    device = "cpu" if first is None else first.device
    arguments = tuple(torch.zeros(shape, dtype=dtype, device=device) for shape in _shapes(input_shape, label))
    with evaluating(module), _quiet():
        model = _export(module, arguments, label, drop_softmax, _traced if traced else _whole)
    return load(model, name=label, check=check)


def _whole(module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> Any:
    """The ONNX model of all that the module computes: of one run where that shows it."""
    model = _ran(module, arguments)
    return _translated(module, arguments) if model is None else model


def _ran(module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> Any:
    """The ONNX model of straight code, by a run; None where the code is not known to be straight."""
    straight = symbolic(module)
    if straight is None:
        return None
    with contextlib.suppress(Exception):  # an older exporter, of which nobody knows how long torch will have it
        model, other = (_traced(code, arguments) for code in (module, straight))
        inputs = arguments_of(straight)
        if rename(model, inputs) and rename(other, inputs) and alike(model, other):
            return model
    return None


def _translated(module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> Any:
    """The ONNX model of the module's own code; None where the exporter makes none."""
    import torch

    program = torch.onnx.export(module, arguments, dynamo=True, verbose=False)
    return None if program is None else program.model_proto


def _traced(module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> Any:
    """The ONNX model of one run; what may differ in another run is an error."""
    import onnx
    import torch

    file, library = io.BytesIO(), cast("Any", torch)  # whose stubs know neither the warning nor files in memory
    with warnings.catch_warnings(record=True) as said:  # raised, the module's own code might catch them
        warnings.simplefilter("always", library.jit.TracerWarning)
        library.onnx.export(module, arguments, file, dynamo=False, verbose=False)
    for warning in said:
        if issubclass(warning.category, library.jit.TracerWarning):
            raise UnsupportedError(str(warning.message), where=type(module).__name__)
    return onnx.load_model_from_string(file.getvalue())


def _export(
    module: torch.nn.Module,
    arguments: tuple[torch.Tensor, ...],
    label: str,
    drop_softmax: bool,
    exporter: Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], Any],
) -> bytes:
    import torch

    try:
        with torch.no_grad():
            module(*arguments)
    except Exception as error:  # whatever the user's code raises on a wrong shape
        shapes = ", ".join(str(tuple(a.shape)) for a in arguments)
        remedy = "Give the shape with its batch axis, as in (1, 784)"
        raise InputError(f"cannot be called on shape {shapes}: {_line(error)}", where=label, remedy=remedy) from error
    try:
        model = exporter(module, arguments)
    except Exception as error:  # the exporter raises many unrelated classes
        remedy = "Export it to ONNX yourself and use nnsym.load"
        raise UnsupportedError(f"torch.onnx.export fails: {_line(error)}", where=label, remedy=remedy) from error
    if model is None:
        raise UnsupportedError("torch.onnx.export gives no model", where=label, remedy="Use nnsym.load on a file")
    _forget_places(model)
    if drop_softmax:
        _drop_softmax(model.graph, label)
    return bytes(model.SerializeToString())


def _forget_places(model: Any) -> None:
    """Drop the exporter's remarks: they hold call stacks, with the folders of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
    for function in model.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]


_SOFTMAX = ("Softmax", "LogSoftmax")
_SCORES = "scores"  # what the output is called without it; no exporter's name, those have the operator's


def _drop_softmax(graph: Any, label: str) -> None:
    """Take the softmax off that gives an ONNX graph's only output: what it was applied to is the output ``scores``."""
    ends = [node for node in graph.node if len(graph.output) == 1 and graph.output[0].name in node.output]
    if len(ends) != 1 or ends[0].op_type not in _SOFTMAX or ends[0].input[0] in {i.name for i in graph.input}:
        said = f"it ends in {ends[0].op_type}" if ends else "it has several outputs"
        raise InputError(f"no softmax to drop: {said}", where=label, remedy="Leave drop_softmax out")
    before, after = ends[0].input[0], _SCORES
    graph.node.remove(ends[0])
    graph.output[0].name = after
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [after if name == before else name for name in names]


@contextlib.contextmanager
def _scores(watch: bool) -> Iterator[list[torch.Tensor]]:
    """What the last softmax that torch computes in the body was applied to, as the last of a list."""
    if not watch:
        yield []
        return
    import torch
    from torch.overrides import TorchFunctionMode

    functions = {
        *(torch.softmax, torch.log_softmax, torch.Tensor.softmax, torch.Tensor.log_softmax),
        *(torch.nn.functional.softmax, torch.nn.functional.log_softmax, torch.special.softmax),
        torch.special.log_softmax,
    }
    seen: list[torch.Tensor] = []

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in functions:
                seen.append(args[0])
            return func(*args, **(kwargs or {}))

    with Watch():
        yield seen


def _outputs(
    module: torch.nn.Module, network: Network, point: Mapping[str, Array], device: Any, scores: list[torch.Tensor]
) -> dict[str, Array]:
    """What the module itself gives, under the names of the exported outputs; its scores where a softmax is dropped."""
    import torch

    scores.clear()
    with torch.no_grad():
        given = module(*(torch.as_tensor(array).to(device) for array in point.values()))
    given = scores[-1] if scores else given
    results = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if len(results) != len(network.outputs) or not all(isinstance(r, torch.Tensor) for r in results):
        raise UnsupportedError("the outputs are not tensors", where=network.name, remedy="Return a tensor or a tuple")
    return {name: result.cpu().numpy() for name, result in zip(network.outputs, results, strict=True)}


def _shapes(given: Any, where: str) -> list[tuple[int, ...]]:
    remedy = "Pass a shape such as (1, 784), a sample tensor, or one of them per argument"
    given = _shape_of(given) if hasattr(given, "detach") else given
    try:
        given = [_shape_of(part) if hasattr(part, "detach") else part for part in given]
        several = len(given) > 0 and all(isinstance(part, Sequence) for part in given)
        shapes = [tuple(int(n) for n in part) for part in (given if several else [given])]
    except (TypeError, ValueError):
        raise InputError(f"input_shape {given!r} is not a shape", where=where, remedy=remedy) from None
    if any(n < 1 for shape in shapes for n in shape):
        raise InputError(f"input_shape {given!r} has an axis below 1", where=where, remedy=remedy)
    return shapes


def _shape_of(sample: Any) -> tuple[int, ...]:
    """The shape of a tensor."""
    return tuple(sample.shape)


def _line(error: Exception) -> str:
    text = str(error.__cause__ or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode, with the training flag of every submodule restored afterwards."""
    flags = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in flags:
            part.training = training


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's prints, warnings and log lines."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def devices() -> list[str]:
    """The devices that torch finds here, as ``device=`` takes them, with what they are."""
    import torch

    found = [f"cuda:{k} ({torch.cuda.get_device_name(k)})" for k in range(torch.cuda.device_count())]
    return ["cpu", *found]
