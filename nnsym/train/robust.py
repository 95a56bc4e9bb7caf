"""Robust classifiers from labelled images: one loop for all recipes."""

from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nnsym.errors import InputError
from nnsym.results.ranges import seed as checked_seed
from nnsym.train.given import classes, tensor
from nnsym.train.recipes import Batch, Recipe, Setting, find_recipe
from nnsym.train.schedule import Epoch, Schedule

_CLIP = 10.0  # the length of a gradient


def robust(
    module: torch.nn.Module,
    data: tuple[Any, Any],
    eps: float,
    method: str = "ibp",
    *,
    epochs: int = 100,
    batch: int = 128,
    rate: float = 1e-2,
    within: tuple[float, float] | None = (0.0, 1.0),
    schedule: Schedule | None = None,
    initialise: bool | None = None,
    seed: int = 0,
    watch: Callable[[Epoch], None] | None = None,
) -> torch.nn.Module:
    """A copy of ``module`` trained to keep its label within ``eps`` of every image; what it proves, verification says.

    ``data`` are images ``(n, ...)``, as the module takes them, and labels ``(n,)``. ``method`` names a recipe
    (:data:`nnsym.train.recipes.RECIPES`): ``ibp``, ``crown-ibp``, ``linear``, ``sabr:0.1``, ``mtl:0.02``, ``pgd``,
    ``standard`` for the maximum norm, ``gaussian:0.25`` for smoothing, ``lmt`` for the 2-norm, ``linf-distance`` for a
    :class:`~nnsym.train.distance.DistanceNet`. Boxes are cut to ``within``. The radius and the clean loss follow the
    ``schedule``; Adam's ``rate`` falls to a tenth of itself over the last half. With ``initialise``, the default of
    recipes by bounds, weights start from the normal distribution of deviation ``sqrt(2 pi) / fan_in`` (Shi et al.,
    Fast Certified Robust Training with Short Warmup, 2021). ``watch`` is called with an :class:`Epoch` after each;
    ``print`` will do. The same ``seed``, data and machine give the same network.
    """
    images, labels, count = _read(module, data)
    _check(eps, epochs, batch, rate)
    limits, plan = _within(within), schedule or Schedule()
    if not isinstance(plan, Schedule):
        raise InputError(f"schedule is {schedule!r}", remedy="Give an nn.train.Schedule")
    made, number = find_recipe(method)
    chance = torch.Generator().manual_seed(checked_seed(seed))
    trained = copy.deepcopy(module).train()
    if made.certified if initialise is None else initialise:
        _initialise(trained, chance)
    shape = (1, *images.shape[1:])
    recipe = made(Setting(module=trained.train(), shape=shape, classes=count, chance=chance, number=number))
    optimiser = torch.optim.Adam(trained.parameters(), lr=rate)
    cuts, step = -(-len(images) // batch), 0
    for epoch in range(1, epochs + 1):
        right, total, reached = 0, 0.0, 0.0
        for index in torch.split(torch.randperm(len(images), generator=chance), batch):
            done = step / max(1, epochs * cuts - 1)
            for group in optimiser.param_groups:
                group["lr"] = rate * _fallen(done)
            given = _batch(images[index], labels[index], float(eps), within=limits, plan=plan, done=done)
            total += _step(recipe, optimiser, given) * len(index)
            right += _right(trained, given) if watch is not None else 0
            step, reached = step + 1, given.eps
        if watch is not None:
            share = right / len(images)
            watch(Epoch(number=epoch, of=epochs, eps=reached, loss=total / len(images), accuracy=share))
    return trained.eval()


def _fallen(done: float) -> float:
    """What is left of the rate: all of it up to half of the steps, then linearly down to a tenth."""
    return min(1.0, 0.1 + 1.8 * (1.0 - done))


def _batch(
    images: Tensor, labels: Tensor, radius: float, *, within: tuple[float, float] | None, plan: Schedule, done: float
) -> Batch:
    """Images with their boxes, of the part of the radius that the plan has reached."""
    eps = radius * plan.grown(done)
    lower, upper = images - eps, images + eps
    if within is not None:
        lower, upper = lower.clamp(*within), upper.clamp(*within)
    return Batch(
        images=images,
        labels=labels,
        lower=lower,
        upper=upper,
        eps=eps,
        clean=plan.clean(done),
        grown=plan.grown(done),
        done=done,
    )


def _step(recipe: Recipe, optimiser: torch.optim.Optimizer, batch: Batch) -> float:
    optimiser.zero_grad()
    cost = recipe.cost(batch)
    value = float(cost.detach())
    if not math.isfinite(value):
        raise InputError(f"the loss is {value}", where="training", remedy="Give a smaller rate or radius")
    cost.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(recipe.module.parameters(), _CLIP)
    optimiser.step()
    return value


@torch.no_grad()
def _right(module: torch.nn.Module, batch: Batch) -> int:
    return int((module(batch.images).argmax(-1) == batch.labels).sum())


def _initialise(module: torch.nn.Module, chance: torch.Generator) -> None:
    """Weights of layers from N(0, 2 pi / fan_in^2), biases 0: intervals then keep their width from layer to layer."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)):
                fan_in = layer.weight[0].numel()
                layer.weight.normal_(0.0, math.sqrt(2 * math.pi) / fan_in, generator=chance)
                if layer.bias is not None:
                    layer.bias.zero_()


def _read(module: torch.nn.Module, data: tuple[Any, Any]) -> tuple[Tensor, Tensor, int]:
    """Images, labels, and how many classes the module has."""
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"{type(module).__name__} is not a torch.nn.Module", remedy="Pass the module to train")
    first = next(module.parameters(), None)
    if first is None:
        raise InputError("has no parameters", where=type(module).__name__, remedy="Pass a module to train")
    try:
        images, labels = data
    except (TypeError, ValueError):
        raise InputError("the data are no pair", remedy="Pass (images, labels)") from None
    images, labels = tensor(images, "images").to(first.dtype), tensor(labels, "labels")
    if images.dim() < 2 or labels.shape != images.shape[:1] or not len(labels):
        shapes = f"images of shape {tuple(images.shape)} and labels of shape {tuple(labels.shape)}"
        raise InputError(shapes, remedy="Give as many labels as images, at least one")
    if not bool(torch.isfinite(images).all()):
        raise InputError("the images are not finite numbers", remedy="Check the data")
    scores = _scores(module, images[:1])
    return images, classes(labels, "labels", scores), scores


def _scores(module: torch.nn.Module, image: Tensor) -> int:
    """How many scores the module gives an image; raises :class:`InputError` where it gives none."""
    try:
        with torch.no_grad():
            return int(copy.deepcopy(module).eval()(image).shape[-1])
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        said = str(error).strip().partition("\n")[0]
        raise InputError(
            f"it gives an image of shape {tuple(image.shape)} no scores: {said}",
            where=type(module).__name__,
            remedy="Pass images as the module takes them",
        ) from None


def _within(given: Any) -> tuple[float, float] | None:
    """Limits of images, one below the other, or none."""
    if given is None:
        return None
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not low < high:
        raise InputError(f"within is {given!r}", remedy="Give the least and the greatest number, as (0.0, 1.0)")
    return low, high


def _check(eps: float, epochs: int, batch: int, rate: float) -> None:
    for name, value in (("epochs", epochs), ("batch", batch)):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
            raise InputError(f"{name} is {value!r}", remedy="Give a whole number, at least 1")
    for name, real, least in (("eps", eps, 0.0), ("rate", rate, 1e-12)):
        if isinstance(real, bool) or not isinstance(real, numbers.Real) or not least <= real < math.inf:
            raise InputError(f"{name} is {real!r}", remedy="Give a finite number, not negative")
