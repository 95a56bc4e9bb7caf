"""The pictures of these pages: python docs/encodings/pictures.py"""

from pathlib import Path

import nnsym as nn

HERE = Path(__file__).parent

nn.draw("triangle", op="relu", l=-1, u=2, path=HERE / "triangle-relu.svg")
nn.draw("triangle", op="abs", l=-1, u=1.5, path=HERE / "triangle-abs.svg")
nn.draw("triangle", op="sigmoid", l=-3, u=2, path=HERE / "triangle-sigmoid.svg")
nn.draw(["line-zero", "line-parallel", "line-adaptive"], op="relu", l=-1, u=2, path=HERE / "lines-relu.svg")
nn.draw("triangle", op="clip", l=-1, u=2, path=HERE / "pieces-clip.svg")
nn.draw("triangle", op="sign", l=-1, u=2, path=HERE / "pieces-sign.svg")
nn.draw_reach(
    nn.zoo.random_mlp(1, widths=(2, 6, 6, 2)),
    (-1, 1),
    methods=("ibp", "crown", "triangle", "bigm"),
    samples=300,
    path=HERE / "reach.svg",
)
nn.draw_reach(  # the two neurons of the page on the convex barrier
    nn.sequential([([[1, 1], [1, -1]], [0, 0]), ([[1, 0], [0, 1]], [0, 0])]),
    (-1, 1),
    methods=("triangle", "triangle+krelu2", "bigm"),
    samples=300,
    path=HERE / "barrier.svg",
)
