"""Write docs/operators.md from the code: ``python scripts/operators.py``; ``--check`` says whether it is current."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from nnsym.read.ops import LOWERINGS, movement
from nnsym.read.ops.base import Lowering

PAGE = Path(__file__).parent.parent / "docs" / "operators.md"

_HEAD = """\
# Operators

Generated from the code by `python scripts/operators.py`; a test says when it is out of date.

An ONNX operator is *lowered* to the few nodes that there are ([architecture](architecture.md)), so that every encoding
and every source of bounds has it. The kinds of node say where it is exact:

| node | bounds | `smt` encodings | `bigm` and other MILP encodings |
| --- | --- | --- | --- |
| affine | exact of one map | exact | exact |
| piecewise-linear functions, maxima | outer | exact | exact |
| products of computed values | outer (McCormick) | exact | exact with lanes that take products, else outer |
| powers, reciprocals | outer | exact where they are rational | outer |
| other smooth functions | outer | refused, with a remedy | outer |

An operator that is not listed is read if the ONNX standard writes it by others that are (`Attention`,
`RotaryEmbedding`, losses), and operators on constants are computed, whatever they are but for those with a graph
inside (`If`, `Loop`, `Scan`), which are refused. Operator sets before 7, which
ONNX Runtime no longer has, are read as they stand; the runtime runs the model after ONNX's own converter.

torch modules are read through `torch.onnx.export` in evaluation mode, and compared with the module itself: what
exports to these operators is supported, `MultiheadAttention` and `TransformerEncoderLayer` among it.

A property that only compares values of one `Softmax` or `LogSoftmax` is judged by their arguments, which are in the
same order ([numerics](numerics.md)).

| operator | what it is lowered to |
| --- | --- |
"""

#: Functions of a class that many share, whose docstring is about all of them.
_OWN = {"Relu": "`max(0, x)`.", "Abs": "`\\|x\\|`.", "Sign": "-1, 0 or 1, as x is negative, 0 or positive."}


def page() -> str:
    """The text of the page."""
    rows = [f"| `{name}` | {_OWN.get(name) or _said(lowering)} |\n" for name, lowering in sorted(LOWERINGS.items())]
    return _HEAD + "".join(rows)


def _said(lowering: Lowering) -> str:
    """The first sentence of what a lowering says of itself, or of the function that it applies."""
    if lowering is movement.move:
        return "Elements are moved; the operator's reference implementation says where to."
    text = inspect.getdoc(lowering) or ""
    for made_of in () if text else inspect.getclosurevars(lowering).nonlocals.values():
        named = made_of if callable(made_of) else type(made_of)
        text = text or ("" if named.__module__ == "builtins" else inspect.getdoc(named) or "")
    return text.split("\n\n")[0].replace("\n", " ").replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.read_text() == page() else f"{PAGE} is out of date: python scripts/operators.py")
    PAGE.write_text(page())
