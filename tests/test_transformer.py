"""A small transformer on handwritten digits, trained here: attention, LayerNorm and GELU, proved and refuted."""

from __future__ import annotations

import numpy as np
import pytest

import nnsym as nn

pytestmark = pytest.mark.slow


def _trained():
    """Rows of 8 pixels as 8 tokens; one block, then the mean of the tokens."""
    import torch
    from sklearn.datasets import load_digits
    from torch import nn as layers

    torch.manual_seed(0)
    data = load_digits()
    images = torch.tensor(data.images / 16.0, dtype=torch.float32)
    labels = torch.tensor(data.target)

    class Block(layers.Module):
        def __init__(self):
            super().__init__()
            self.enter = layers.Linear(8, 8)
            self.place = layers.Parameter(0.1 * torch.randn(8, 8))
            self.block = layers.TransformerEncoderLayer(8, 1, 16, dropout=0.0, activation="gelu", batch_first=True)
            self.leave = layers.Linear(64, 10)

        def forward(self, x):
            return self.leave(self.block(self.enter(x) + self.place).flatten(1))

    net = Block()
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for step in range(150):
        chosen = torch.arange(step * 128, step * 128 + 128) % 1500
        optimiser.zero_grad()
        layers.functional.cross_entropy(net(images[chosen]), labels[chosen]).backward()
        optimiser.step()
    with torch.no_grad():
        right = (net(images[1500:]).argmax(1) == labels[1500:]).float().mean()
    assert right > 0.8
    return net, data.images[1500:] / 16.0, data.target[1500:]


def test_images_are_proved_at_a_small_radius_and_refuted_at_a_large_one():
    net, images, labels = _trained()
    f = nn.from_torch(net, (1, 8, 8))
    x = nn.Variable((1, 8, 8), name="x")
    y = f(x)
    verdicts = {0.001: [], 0.5: []}
    for radius, found in verdicts.items():
        for image, label in zip(images[:8], labels[:8], strict=True):
            if int(np.argmax(f.evaluate(image[None]))) != label or len(found) == 3:
                continue
            p = nn.forall(
                x, where=nn.box(x, image[None] - radius, image[None] + radius), then=nn.argmax(y) == int(label)
            )
            found.append(str(nn.verify(p, "crown" if radius < 0.1 else "attack", timeout=120).status))
    assert verdicts == {0.001: ["verified"] * 3, 0.5: ["falsified"] * 3}
