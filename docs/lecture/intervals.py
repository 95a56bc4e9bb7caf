"""The textbook example x + y >= x - y on x in [1, 2], y in [0, 1] (docs/lecture/intervals.md).

nnsym compare docs/lecture/intervals.py:weak
nnsym verify docs/lecture/intervals.py:strict
"""

import nnsym as nn

# The network has no activation: f(x, y) = (x + y, x - y).
f = nn.sequential([([[1, 1], [1, -1]], [0, 0])], name="f")

v = nn.Variable(2, name="v")
z = f(v)
box = nn.box(v, [1, 0], [2, 1])

weak = nn.forall(v, where=box, then=z[0] >= z[1], name="weak")
strict = nn.forall(v, where=box, then=z[0] > z[1], name="strict")
