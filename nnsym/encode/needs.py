"""What a query needs of a solver beyond what its encoding always emits, and where each need comes from.

Products and quadratic balls are in few queries. An encoding whose rule for products emits bilinear rows fits every
solver of linear programs for all the others.
"""

from __future__ import annotations

from nnsym.encoding import Encoding
from nnsym.ir.names import node_names
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.ir.walk import topological
from nnsym.program import Feature


def needs(query: Query, encoding: Encoding) -> dict[Feature, str]:
    """Each kind of block that this query makes the encoding emit besides ``encoding.emits``, with its first place."""
    found: dict[Feature, str] = {}
    names = node_names(query.nodes)
    for node in query.nodes:
        rule = encoding.rule_for(node)
        for feature in rule.emits if rule is not None else ():
            found.setdefault(feature, _place(query, node, names[node]))
    for x, balls in query.balls.items():
        if any(ball.p == 2 and ball.radius for ball in balls):
            found.setdefault(Feature.QUADRATIC, f"the ball of '{x.name}' (p = 2)")
    for x in query.inputs:
        if x.integer.any():
            found.setdefault(Feature.INTEGERS, f"the integers of '{x.name}'")
    return {feature: where for feature, where in found.items() if feature not in encoding.emits}


def _place(query: Query, node: Node, name: str) -> str:
    """``product_1 of `x[0] * x[1] <= 2` ``: the node and the first comparison that depends on it."""
    for parent, part in query.rows.parts.items():
        if query.labels and node in topological((parent,)):
            return f"{name} of `{query.labels[int(part.row[0])]}`"
    return name
