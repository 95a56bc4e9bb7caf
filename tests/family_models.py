"""Small torch modules built like the networks of the field's families, each with the shape of its input."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch import nn as layers


class Generator(layers.Module):
    """cgan: a generator that doubles its images, and the critic after it."""

    shape = (1, 5)

    def __init__(self) -> None:
        super().__init__()
        self.enter = layers.Linear(5, 128)
        self.grow = layers.Sequential(
            layers.BatchNorm2d(8), layers.Upsample(scale_factor=2), layers.Conv2d(8, 8, 3, padding=1),
            layers.BatchNorm2d(8, 0.8), layers.LeakyReLU(0.2), layers.ConvTranspose2d(8, 4, 4, 2, 1),
            layers.BatchNorm2d(4), layers.ReLU(), layers.Conv2d(4, 1, 3, padding=1), layers.Tanh(),
        )  # fmt: skip
        self.critic = layers.Sequential(
            layers.Conv2d(1, 8, 3, 2, 1), layers.LeakyReLU(0.2), layers.Conv2d(8, 8, 3, 2, 1), layers.LeakyReLU(0.2),
            layers.Flatten(), layers.Linear(128, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.critic(self.grow(self.enter(x).view(1, 8, 4, 4)))


class AttentiveGenerator(layers.Module):
    """cgan with attention over the places of an image."""

    shape = (1, 5)

    def __init__(self) -> None:
        super().__init__()
        self.enter = layers.Linear(5, 72)
        self.q, self.k, self.v = (layers.Conv2d(8, count, 1) for count in (2, 2, 8))
        self.leave = layers.ConvTranspose2d(8, 1, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.enter(x)).view(1, 8, 3, 3)
        q, k, v = (layer(h).flatten(2) for layer in (self.q, self.k, self.v))
        weights = torch.softmax(torch.bmm(q.transpose(1, 2), k), -1)
        return torch.tanh(self.leave(torch.bmm(v, weights.transpose(1, 2)).view(1, 8, 3, 3) + h)).flatten(1)


class Segmenter(layers.Module):
    """carvana: a U-net; the result is how many pixels have the label of the mask, the fourth channel."""

    shape = (1, 4, 8, 8)
    labels = True

    def __init__(self) -> None:
        super().__init__()
        self.down, self.deep = self._double(3, 4), self._double(4, 8)
        self.up, self.join, self.classes = (
            layers.ConvTranspose2d(8, 4, 2, 2),
            self._double(8, 4),
            layers.Conv2d(4, 2, 1),
        )

    @staticmethod
    def _double(n: int, m: int) -> layers.Module:
        one = (layers.Conv2d(n, m, 3, padding=1, bias=False), layers.BatchNorm2d(m), layers.ReLU())
        return layers.Sequential(*one, layers.Conv2d(m, m, 3, padding=1), layers.BatchNorm2d(m), layers.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        image, mask = x[:, :3], x[:, 3:]
        first = self.down(image)
        deep = self.up(self.deep(torch.max_pool2d(first, 2)))
        shares = torch.softmax(self.classes(self.join(torch.cat([first, deep], 1))), 1)
        if self.labels:
            return torch.eq(torch.argmax(shares, 1, keepdim=True), (mask > 0.5).long()).sum((1, 2, 3)).float()
        return (torch.where(shares[:, :1] < shares[:, 1:], 1.0, 0.0) * mask).sum((1, 2, 3))


class SegmenterByComparison(Segmenter):
    """The same, its label by comparing the two classes."""

    labels = False


class Detector(layers.Module):
    """yolo, cctsdb: residual blocks, two scales, boxes from a grid."""

    shape = (1, 3, 16, 16)

    def __init__(self) -> None:
        super().__init__()
        block = self._block
        self.a, self.b, self.c, self.d, self.r = block(3, 4), block(4, 8, 2), block(8, 8, 2), block(16, 8), block(8, 8)
        self.head = layers.Conv2d(8, 12, 1)
        self.grid = torch.stack(torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="xy"), -1)

    @staticmethod
    def _block(n: int, m: int, stride: int = 1) -> layers.Module:
        conv = layers.Conv2d(n, m, 3, stride, 1, bias=False)
        return layers.Sequential(conv, layers.BatchNorm2d(m), layers.LeakyReLU(0.1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.b(self.a(x))
        h = h + self.r(h)
        both = torch.cat([layers.functional.interpolate(self.c(h), scale_factor=2, mode="nearest"), h], 1)
        y = layers.functional.avg_pool2d(self.head(self.d(both)), 2).view(1, 2, 6, 4, 4).permute(0, 1, 3, 4, 2)
        place = (torch.sigmoid(y[..., :2]) * 2 - 0.5 + self.grid) * 8
        size = (torch.sigmoid(y[..., 2:4]) * 2) ** 2 * 4
        return torch.cat([place, size, torch.sigmoid(y[..., 4:])], -1).view(1, -1, 6)


class Patched(layers.Module):
    """cctsdb: a patch written into an image (ScatterND)."""

    shape = (1, 12)

    def __init__(self) -> None:
        super().__init__()
        self.image = torch.rand(1, 3, 8, 8)
        self.net = layers.Sequential(
            layers.Conv2d(3, 4, 3, 2, 1), layers.ReLU(), layers.Flatten(), layers.Linear(64, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        image = self.image.clone()
        image[:, :, 2:4, 3:5] = x.view(1, 3, 2, 2)
        return self.net(image)


class Placed(layers.Module):
    """cctsdb: where a patch lies is computed (Floor, comparisons, And, Where)."""

    shape = (1, 2)

    def __init__(self) -> None:
        super().__init__()
        self.net = layers.Sequential(layers.Linear(8, 6), layers.ReLU(), layers.Linear(6, 2))

    def forward(self, x: Tensor) -> Tensor:
        start, grid = torch.floor(x[:, :1] * 4), torch.arange(8.0)
        inside = torch.logical_and(grid >= start, grid < start + 2)
        return self.net(torch.where(inside, x[:, 1:].expand(1, 8), torch.full((1, 8), 0.3)))


class Lattice(layers.Module):
    """tllverify: the largest of least linear functions."""

    shape = (1, 2)

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.chosen = layers.Linear(2, 8), torch.randint(0, 8, (6, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)[:, self.chosen].min(-1).values.max(-1, keepdim=True).values


class BiasField(layers.Module):
    """cifar_biasfield: 16 coefficients of a field, then a convolutional classifier."""

    shape = (1, 16)

    def __init__(self) -> None:
        super().__init__()
        self.field = layers.Linear(16, 192)
        self.net = layers.Sequential(
            layers.Conv2d(3, 8, 3, 1, 1), layers.ReLU(), layers.Conv2d(8, 8, 4, 2, 1), layers.ReLU(), layers.Flatten(),
            layers.Linear(128, 10),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.field(x).view(1, 3, 8, 8))


class Shifted(layers.Module):
    """dist_shift: a decoder that ends in a sigmoid, then a classifier. (cora, safenlp and relusplitter are its end.)"""

    shape = (1, 8)

    def __init__(self) -> None:
        super().__init__()
        widths = (8, 32, 64, 32, 10)
        linear = [layers.Linear(a, b) for a, b in pairwise(widths)]
        ends = (layers.ReLU(), layers.Sigmoid(), layers.ReLU(), layers.Identity())
        self.net = layers.Sequential(*(part for pair in zip(linear, ends, strict=True) for part in pair))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Enclosed(layers.Module):
    """linearizenn: a network beside a linear map of its input, and differences of both."""

    shape = (1, 4)

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = layers.Linear(4, 16), layers.Linear(16, 16), layers.Linear(16, 2)
        self.beside = layers.Linear(4, 16)

    def forward(self, x: Tensor) -> Tensor:
        g = torch.relu(self.b(torch.relu(self.a(x)))) + self.beside(x)
        return torch.cat([self.c(g), g[:, :2] - x[:, :2], x[:, 2:] + 0.1 * g[:, 2:4]], 1)


class Sound(layers.Module):
    """soundnessbench: convolution, mean pooling, sine, tanh and sigmoid."""

    shape = (1, 1, 5, 5)

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = layers.Conv2d(1, 4, 3, padding=1), layers.AvgPool2d(2)
        self.linear, self.leave = layers.Linear(16, 6), layers.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.linear(self.pool(torch.relu(self.conv(x))).flatten(1))
        return self.leave(torch.sin(h) + torch.tanh(h) * torch.sigmoid(h))


class Room(layers.Module):
    """metaroom: normalisation, strided convolutions, classes."""

    shape = (1, 3, 8, 14)

    def __init__(self) -> None:
        super().__init__()
        self.net = layers.Sequential(
            layers.Conv2d(3, 8, 3, 2), layers.ReLU(), layers.Conv2d(8, 8, 3, 1), layers.ReLU(), layers.Flatten(),
            layers.Linear(32, 20),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x - 0.5) / 0.25)


class Descent(layers.Module):
    """lsnc: a clipped controller, one step of a pendulum, and the difference of a Lyapunov function."""

    shape = (1, 4)

    def __init__(self) -> None:
        super().__init__()
        self.control = layers.Sequential(layers.Linear(4, 8), layers.LeakyReLU(), layers.Linear(8, 1))
        self.energy = layers.Linear(4, 4)

    def _value(self, x: Tensor) -> Tensor:
        y = self.energy(x)
        return (y**2).sum(1, keepdim=True) + torch.abs(y).sum(1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        u, angle, speed = self.control(x).clamp(-1, 1), x[:, 1:2], x[:, 3:4]
        change = [x[:, 2:3], speed, torch.cos(angle) * u - torch.sin(angle), u * 0.5 - torch.sin(angle) * speed]
        after = x + 0.05 * torch.cat(change, 1)
        return torch.cat([self._value(after) - self._value(x), self._value(x), after], 1)


class Flow(layers.Module):
    """ml4acopf: voltages and angles of a network, powers by sines and cosines of differences, squared excess."""

    shape = (1, 4)

    def __init__(self) -> None:
        super().__init__()
        self.net = layers.Sequential(layers.Linear(4, 12), layers.ReLU(), layers.Linear(12, 6))
        self.lines = torch.randn(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.net(x)
        v, angle = torch.sigmoid(y[:, :3]) * 0.2 + 0.9, y[:, 3:]
        apart = angle[:, :, None] - angle[:, None, :]
        through = self.lines * torch.cos(apart) + self.lines.T * torch.sin(apart)
        power = (v[:, :, None] * v[:, None, :] * through).sum(-1)
        return torch.cat([power, torch.relu(power - 1) ** 2, v], 1)


class Sets(layers.Module):
    """nn4sys: members of a set with a mask, their mean over a computed number, a sigmoid."""

    shape = (1, 3, 5)

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = layers.Linear(4, 6), layers.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        members, mask = torch.split(x, [4, 1], 2)
        return torch.sigmoid(self.b((torch.relu(self.a(members)) * mask).sum(1) / (mask.sum(1) + 1.0)))


FAMILIES: tuple[Any, ...] = (
    Generator, AttentiveGenerator, Segmenter, SegmenterByComparison, Detector, Patched, Placed, Lattice, BiasField,
    Shifted, Enclosed, Sound, Room, Descent, Flow, Sets,
)  # fmt: skip
