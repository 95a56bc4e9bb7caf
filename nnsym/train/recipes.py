"""Losses of robust classifiers, by name: what a batch of labelled images costs at a radius.

A recipe returns a scalar to minimise. The certified ones rest on :class:`nnsym.train.Loss` of "the label wins",
whose rows are the margins between the label and every other class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from nnsym.errors import InputError, did_you_mean
from nnsym.ir.network import Network
from nnsym.lang.algebra.ranking import wins
from nnsym.lang.algebra.variables import Variable
from nnsym.lang.property import Property, forall
from nnsym.lang.statements.sets import box
from nnsym.train.distance import DistanceNet, sharpness
from nnsym.train.loss import Loss
from nnsym.train.points import ascended
from nnsym.train.spectral import Spectral

_STEPS = 8  # of projected gradient descent


@final
@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images with their labels, the boxes round them at the present radius, and where the training stands.

    ``clean`` is the share of the clean loss, ``grown`` the part of the radius that is reached, ``done`` that of the
    steps.
    """

    images: Tensor
    labels: Tensor
    lower: Tensor
    upper: Tensor
    eps: float
    clean: float
    grown: float
    done: float


@final
@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a recipe is made for: the module, the shape of one call, the number of classes, and a source of chance."""

    module: torch.nn.Module
    shape: tuple[int, ...]
    classes: int
    chance: torch.Generator
    number: float | None  # what stands behind the recipe's name

    def loss(self, bounds: str) -> Loss:
        """The loss of "the label wins", one case per label."""
        return Loss(labels_win(self.classes), self.module, self.shape, bounds=bounds, smooth=True)


def labels_win(classes: int) -> Callable[[Network], Sequence[Property]]:
    """One case per label: ``forall x in [0, 1]: f(x)`` is largest at the label alone."""

    def cases(f: Network) -> Sequence[Property]:
        size = sum(t.node.size for t in f.inputs.values())
        x = Variable(size)
        scores = f(x).ravel()
        return [forall(x, where=box(x, 0, 1), then=wins(scores, label)) for label in range(classes)]

    return cases


class Recipe(ABC):
    """What a batch costs. ``certified`` recipes start from Shi's initialisation."""

    certified = False

    def __init__(self, setting: Setting) -> None:
        self.setting, self.module = setting, setting.module

    @abstractmethod
    def cost(self, batch: Batch) -> Tensor:
        """The loss of a batch."""

    def _plain(self, batch: Batch) -> Tensor:
        return functional.cross_entropy(self.module(batch.images), batch.labels)

    def _attacked(self, batch: Batch) -> Tensor:
        boxes = (batch.lower, batch.upper)
        return ascended(self.module, batch.labels, *boxes, steps=_STEPS, chance=self.setting.chance)


@final
class Standard(Recipe):
    """The clean loss alone."""

    def cost(self, batch: Batch) -> Tensor:
        return self._plain(batch)


@final
class Attacked(Recipe):
    """The loss at points of projected gradient ascent (Madry et al. 2018)."""

    def cost(self, batch: Batch) -> Tensor:
        return functional.cross_entropy(self.module(self._attacked(batch)), batch.labels)


@final
class Noisy(Recipe):
    """The loss at images with Gaussian noise, of the number's deviation or the radius (Cohen et al. 2019)."""

    def cost(self, batch: Batch) -> Tensor:
        sigma = batch.eps if self.setting.number is None else self.setting.number
        noise = torch.randn(batch.images.shape, generator=self.setting.chance, dtype=batch.images.dtype)
        return functional.cross_entropy(self.module(batch.images + sigma * noise), batch.labels)


class Certified(Recipe):
    """``kappa`` of the clean loss and the rest from bounds (Gowal et al. 2018)."""

    certified = True
    bounds = "ibp"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.loss = setting.loss(self.bounds)

    def cost(self, batch: Batch) -> Tensor:
        clean = self._plain(batch)
        if batch.grown == 0:
            return clean
        return batch.clean * clean + (1 - batch.clean) * self._bounded(batch)

    def _bounded(self, batch: Batch) -> Tensor:
        return self.loss((batch.lower, batch.upper), case=batch.labels)


@final
class Linear(Certified):
    """Parallel lines, those of the dual network of Wong and Kolter (2018), with hidden neurons bounded by intervals."""

    bounds = "fastlin-ibp"


@final
class CrownIbp(Certified):
    """Lines of the rows over intervals, which take over as the radius grows (Zhang et al. 2020)."""

    bounds = "crown-ibp"

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.intervals = setting.loss("ibp")

    def _bounded(self, batch: Batch) -> Tensor:
        boxes, share = (batch.lower, batch.upper), 1.0 - batch.grown
        rows = self.intervals.rows(boxes, case=batch.labels)
        if share > 0:
            rows = share * self.loss.rows(boxes, case=batch.labels) + (1 - share) * rows
        return functional.softplus(torch.logsumexp(-rows, 1)).mean()


@final
class Small(Certified):
    """Intervals over small boxes round attacked points (Mueller et al., Certified Training: Small Boxes, 2023)."""

    default = 0.1

    def _bounded(self, batch: Batch) -> Tensor:
        size = self.default if self.setting.number is None else self.setting.number
        half = 0.5 * size * (batch.upper - batch.lower)
        near = self._attacked(batch)
        centre = torch.maximum(torch.minimum(near, batch.upper - half), batch.lower + half)
        return self.loss((centre - half, centre + half), case=batch.labels)


@final
class Mixed(Recipe):
    """A share of the loss by intervals, the rest at attacked points (De Palma et al., Expressive Losses, 2024)."""

    certified = True
    default = 0.02

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.loss = setting.loss("ibp")

    def cost(self, batch: Batch) -> Tensor:
        if batch.grown == 0:
            return self._plain(batch)
        share = self.default if self.setting.number is None else self.setting.number
        near = functional.cross_entropy(self.module(self._attacked(batch)), batch.labels)
        return (1 - share) * near + share * self.loss((batch.lower, batch.upper), case=batch.labels)


@final
class LipschitzMargin(Recipe):
    """Scores of other classes raised by ``sqrt(2) eps L`` (Tsuzuku et al. 2018); the radius is one of the 2-norm."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.norms = Spectral(setting.module, setting.shape, setting.chance)

    def cost(self, batch: Batch) -> Tensor:
        scores = self.module(batch.images)
        raised = 2**0.5 * batch.eps * self.norms.product()
        own = functional.one_hot(batch.labels, self.setting.classes).to(scores.dtype)
        return functional.cross_entropy(scores + raised * (1 - own), batch.labels)


@final
class Distances(Recipe):
    """Networks of distances: the norm's exponent grows, and the margin's threshold with it (Zhang et al. 2021)."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        if not isinstance(setting.module, DistanceNet):
            raise InputError(
                f"{type(setting.module).__name__} has no layers of distances",
                where="linf-distance",
                remedy="Train nn.train.DistanceNet([64, 128, 10])",
            )

    def cost(self, batch: Batch) -> Tensor:
        assert isinstance(self.module, DistanceNet)
        self.module.p = sharpness(batch.done)
        scores = self.module(batch.images)
        own = scores.gather(1, batch.labels[:, None])
        rivals = scores.scatter(1, batch.labels[:, None], -torch.inf).amax(1, keepdim=True)
        return functional.relu(self.module.threshold * batch.eps - (own - rivals)).mean()


RECIPES: Mapping[str, type[Recipe]] = {
    "standard": Standard,
    "pgd": Attacked,
    "gaussian": Noisy,
    "ibp": Certified,
    "crown-ibp": CrownIbp,
    "linear": Linear,
    "sabr": Small,
    "mtl": Mixed,
    "lmt": LipschitzMargin,
    "linf-distance": Distances,
}
_NUMBERED = {"gaussian": (0.0, float("inf")), "sabr": (0.0, 1.0), "mtl": (0.0, 1.0)}


def find_recipe(text: str) -> tuple[type[Recipe], float | None]:
    """The recipe that a text names, ``ibp`` or ``sabr:0.1``, and its number."""
    name, colon, number = text.partition(":") if isinstance(text, str) else (str(text), "", "")
    if name not in RECIPES:
        remedy = f"{did_you_mean(name, RECIPES)}Choose one of: {', '.join(RECIPES)}"
        raise InputError(f"there is no recipe '{text}'", remedy=remedy)
    if not colon:
        return RECIPES[name], None
    if name not in _NUMBERED:
        raise InputError(f"recipe '{name}' takes no number", where=text, remedy=f"Write '{name}'")
    low, high = _NUMBERED[name]
    try:
        found = float(number)
    except ValueError:
        found = low
    if not low < found <= high or found == float("inf"):
        said = "a finite number above 0" if high > 1 else "a number above 0 and at most 1"
        raise InputError(f"'{number}' is no number for '{name}'", where=text, remedy=f"Give {said}")
    return RECIPES[name], found
