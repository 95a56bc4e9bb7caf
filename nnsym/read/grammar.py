"""What ONNX's own grammar says of a node, asked before anything computes with it.

ONNX Runtime trusts it and may end the process where a model breaks it.
"""

from __future__ import annotations

from typing import Any, final

from nnsym.errors import InputError

_STANDARD = ("", "ai.onnx")
_VERSIONS = 2**31  # onnx holds them in 32 bits


@final
class Rules:
    """The operators of the sets that a model names: their inputs, and their attributes with types."""

    def __init__(self, model: Any, where: str) -> None:
        from onnx import checker

        numbers = {"the IR version": model.ir_version}
        numbers |= {f"the version of the operator set '{o.domain or 'ai.onnx'}'": o.version for o in model.opset_import}
        for what, number in numbers.items():
            if not 0 <= number < _VERSIONS:
                raise InputError(f"{what} is {number}", where=where, remedy=_REMEDY)
        self._context = checker.C.CheckerContext()
        self._context.ir_version = model.ir_version or 3
        self._context.opset_imports = {o.domain: o.version for o in model.opset_import}
        self.opset = next((o.version for o in model.opset_import if o.domain in _STANDARD), 0)

    def require(self, node: Any) -> None:
        """Raise :class:`InputError` where a node of ONNX's own operators breaks the rules; others pass."""
        from onnx import checker, defs

        if node.domain not in _STANDARD or not defs.has(node.op_type):
            return
        try:
            checker.check_node(node, self._context)
        except checker.ValidationError as error:
            said = [line for line in str(error).splitlines() if line.strip()]
            raise InputError(f"is not valid ONNX: {said[0] if said else 'no reason given'}", remedy=_REMEDY) from None
        inputs = defs.get_schema(node.op_type, self.opset, "").inputs
        many = bool(inputs) and inputs[-1].option == defs.OpSchema.FormalParameterOption.Variadic
        if many and not all(node.input[len(inputs) - 1 :]):
            raise InputError("is not valid ONNX: one of its inputs has no name", remedy=_REMEDY)


_REMEDY = "Export the model again; onnx.checker.check_model says the same"
