"""Small networks, each with a property, whose graphs and programs are kept as text beside this file.

A change of a lowering, of a rule or of the order of rows shows in review as a change of these texts;
``python -m tests.golden`` writes them anew. All constants are short binary numbers, so that the bounds they lead to are
the same on every machine.
"""

from __future__ import annotations

from pathlib import Path

import nnsym as nn
from nnsym.ask.export import build_program
from nnsym.ir.text import dump_network, dump_query
from nnsym.write.listing import dump_program

FOLDER = Path(__file__).parent
ENCODINGS = ("bigm", "smt")
REFRESH = "python -m tests.golden"


def argmax_of_relus() -> nn.Property:
    """Two layers of ReLUs, one of which is stable; a conclusion of two rows, a violation of two cases."""
    layers = [
        ([[1, 1], [1, -1], [0.5, 0.25]], [0.5, 0, 2]),
        ([[1, -1, 0], [-0.5, 1, 1]], [0, -0.25]),
        ([[1, 0], [0, 1], [1, -1]], [1, 0, 0.5]),
    ]
    f, x = nn.sequential(layers, name="f"), nn.Variable(2, name="x")
    return nn.forall(x, where=nn.box(x, [-1, 0], [1, 1]), then=nn.argmax(f(x)) == 0, name="argmax_of_relus")


def clipped_maximum() -> nn.Property:
    """Clips to [0, 6] and a maximum in the property, with a linear precondition."""
    layers = [([[4, 4], [4, -2]], [1, 0]), ([[1, -1], [0.5, 0.5], [0, 1]], [0, 0.25, 0])]
    f, x = nn.sequential(layers, activation="relu6", name="f"), nn.Variable(2, name="x")
    where = nn.box(x, -1, 1) & (x[0] + x[1] <= 1)
    return nn.forall(x, where=where, then=nn.max(f(x)) <= 5, name="clipped_maximum")


def two_runs() -> nn.Property:
    """One network of absolute values, run on two inputs that are close: shared weights, differences, a disjunction."""
    f = nn.sequential([([[1, -1], [2, 1]], [0, -0.5]), ([[1, 0.5]], [0.25])], activation="abs", name="f")
    x, z = nn.Variable(2, name="x"), nn.Variable(2, name="z")
    close = nn.box(x, 0, 1) & nn.box(z, 0, 1) & nn.all(nn.abs(x - z) <= 0.25)
    return nn.forall([x, z], where=close, then=nn.abs(f(x) - f(z)) <= 0.5, name="two_runs")


PROPERTIES = (argmax_of_relus, clipped_maximum, two_runs)


def texts() -> dict[str, str]:
    """All golden texts, by the name of their file."""
    found = {}
    for make in PROPERTIES:
        name, query = make.__name__, make().query
        networks = dict.fromkeys(application.network for application in query.applications)
        found[f"{name}.graph.txt"] = "\n".join([*map(dump_network, networks), dump_query(query, width=8)])
        for encoding in ENCODINGS:
            _, program, _ = build_program(query, encoding, bounds="ibp")
            found[f"{name}.{encoding}.txt"] = dump_program(program)
    return found
