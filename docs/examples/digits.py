"""Robustness of handwritten digits: ``nnsym verify docs/examples/digits.py:robust``."""

import nnsym as nn
from nnsym import demo

f = nn.load(demo.NETWORK)

# Ready-made: no pixel moved by at most 3/64 changes the class. Bounds alone verify it.
image, label = demo.digit(4)
robust = nn.props.robust(f, image, label, eps=3 / 64, within=(0, 1))

# The same kind of property written out, for an image that only exact methods settle.
image, label = demo.digit(1)
x = nn.Variable(64, name="x")
close = nn.forall(x, where=nn.ball(x, image, 3 / 64, within=(0, 1)), then=nn.argmax(f(x)) == label, name="close")

# One that is false: every method that finds a counterexample replays it in ONNX Runtime.
fragile = nn.props.robust(f, *demo.digit(19), eps=3 / 64, within=(0, 1), name="fragile")
