"""What ``nnsym-vnnlib supports`` says: one line an item, no notes, in the words of the VNN-LIB 2.0 standard."""

from __future__ import annotations

from collections.abc import Sequence

#: Every flag with its other spellings.
CAPABILITIES: tuple[tuple[str, ...], ...] = (
    ("--onnx-opset-versions",),
    ("--vnnlib-versions",),
    ("--onnx-element-types",),
    ("--onnx-operators",),
    ("--hidden-node-theories",),
    ("--multiple-input-output-theories", "--multiple-inputs-output-theories"),
    ("--multiple-network-theories",),
    ("--multiple-node-comparison-theories",),
    ("--arithmetic-complexity-theories",),
    ("--optimised-disjunctive-reasoning",),
    ("--serialise-assignments",),
)

_WORDS: dict[str, tuple[str, ...]] = {
    "--onnx-opset-versions": ("7", "22"),  # those that the operators are tried in, against ONNX Runtime
    "--vnnlib-versions": ("1.0", "2.0"),
    "--onnx-element-types": ("real", "float32", "float64", "float16"),
    "--hidden-node-theories": ("NH", "H"),
    "--multiple-input-output-theories": ("SIO", "MIO"),
    "--multiple-network-theories": ("SNET", "MENET", "MINET", "MNET"),
    "--multiple-node-comparison-theories": ("SNC", "MNC"),
    "--arithmetic-complexity-theories": ("BND", "OUTC", "LIN", "POLY"),
    "--optimised-disjunctive-reasoning": ("true",),
    "--serialise-assignments": ("true",),
}

#: Operators without inputs, or of constants alone, which are computed when a model is read.
_FOLDED = ("Constant", "ConstantOfShape", "Range")


def capability(flag: str) -> Sequence[str]:
    """The lines that answer one flag."""
    if flag != "--onnx-operators":
        return _WORDS[flag]
    from nnsym.read.ops import LOWERINGS  # start: one flag of many asks for it

    return sorted({*(name.rsplit(".", 1)[-1] for name in LOWERINGS), *_FOLDED})
