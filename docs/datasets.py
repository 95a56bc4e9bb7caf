"""The picture of docs/datasets.md: ``python docs/datasets.py`` (needs scikit-learn; half a minute the first time)."""

from functools import partial
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import nnsym as nn
from nnsym import demo

HERE = Path(__file__).parent
RADII = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15)

found = load_digits()
images, labels = (found.data[-100:] / 16).astype(np.float32), found.target[-100:]
family = partial(nn.props.robust, nn.load(demo.NETWORK, name="digits"), within=(0, 1))
record = HERE.parent / "build" / "datasets.jsonl"
record.parent.mkdir(exist_ok=True)
stages = ["ibp", "crown", "portfolio"]
table = nn.table({"digits": family}, (images, labels), stages, eps=RADII, timeout=1, file=record)
table.plot(HERE / "datasets.svg")
print(table)
