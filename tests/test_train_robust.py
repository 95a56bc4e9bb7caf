"""Recipes: what they certify on the digits, what they refuse, and that a seed is a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import nnsym as nn
from nnsym.ir.network import Network
from nnsym.lang.property import Property
from nnsym.train.recipes import RECIPES, Setting
from nnsym.train.spectral import Spectral
from tests.digits_data import certified, classifier, clean, digits

EPS = 0.1


def few() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 60)
    return (rng.random((60, 6)) * 0.2 + np.eye(6)[label] * 0.7).astype(np.float32), label


def small(seed: int = 0) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))


QUICK = ("ibp", "gaussian", "lmt")
OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in RECIPES if name not in (*QUICK, "linf-distance")]


@pytest.mark.parametrize("method", [*QUICK, *OTHERS])
def test_every_recipe_lowers_its_own_loss_and_a_seed_is_a_network(method: str) -> None:
    module, told = small(), []
    before = [p.detach().clone() for p in module.parameters()]
    options = {"epochs": 20, "batch": 20, "rate": 0.05, "seed": 1}
    first = nn.train.robust(module, few(), 0.05, method, watch=told.append, **options)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    assert clean(first, *few()) > 95
    assert [epoch.number for epoch in told] == list(range(1, 21))
    assert told[0].eps == 0
    assert told[-1].eps == pytest.approx(0.05)
    assert str(told[-1]).startswith("epoch 20/20")
    if method == "gaussian":
        again = nn.train.robust(module, few(), 0.05, method, **options)
        other = nn.train.robust(module, few(), 0.05, method, **{**options, "seed": 2})
        same = [torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)]
        assert all(same)
        assert not torch.equal(first[0].weight, other[0].weight)


def test_what_is_no_training_is_refused_in_words() -> None:
    for method, said in (("ibpp", "Did you mean ibp"), ("ibp:3", "takes no number"), ("sabr:0", "at most 1")):
        with pytest.raises(nn.InputError, match=said):
            nn.train.robust(small(), few(), 0.1, method)
    for options in ({"epochs": 0}, {"batch": 1.5}, {"rate": -1.0}, {"seed": -1}):
        with pytest.raises(nn.InputError, match=next(iter(options))):
            nn.train.robust(small(), few(), 0.1, **options)
    images, labels = few()
    wrong = {
        "labels: 3 is no number of 3": (images, labels + 1),
        r"labels: .\.5 is no number": (images, labels + 0.5),
        "labels: nan is no number": (images, labels * float("nan")),
        "labels are no array": (images, ["a"] * len(images)),
        "images are not finite numbers": (images * np.float32("inf"), labels),
        "no scores": (images[:, :2], labels),
    }
    for said, data in wrong.items():
        for method in ("ibp", "standard", "lmt"):
            with pytest.raises(nn.InputError, match=said):
                nn.train.robust(small(), data, 0.1, method)
    for within in ((1.0, 0.0), (float("nan"), 1.0), (0.0, 0.5, 1.0), "ab", 0.5):
        with pytest.raises(nn.InputError, match="within is"):
            nn.train.robust(small(), few(), 0.1, within=within)
    with pytest.raises(nn.InputError, match="schedule is 'fast'"):
        nn.train.robust(small(), few(), 0.1, schedule="fast")
    with pytest.raises(nn.InputError, match="a schedule of"):
        nn.train.Schedule(warm=float("nan"))
    with pytest.raises(nn.InputError, match="no pair"):
        nn.train.robust(small(), few()[0], 0.1)
    with pytest.raises(nn.InputError, match="eps is nan"):
        nn.train.robust(small(), few(), float("nan"))
    with pytest.raises(nn.InputError, match="no layers of distances"):
        nn.train.robust(small(), few(), 0.1, "linf-distance")
    with pytest.raises(nn.UnsupportedError, match="no product of norms of Softplus"):
        nn.train.robust(torch.nn.Sequential(torch.nn.Linear(6, 3), torch.nn.Softplus()), few(), 0.1, "lmt")


def test_the_product_of_norms_is_that_of_singular_values() -> None:
    torch.manual_seed(4)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, stride=2, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(27, 4)
    ).double()
    chance = torch.Generator().manual_seed(0)
    setting = Setting(module=module, shape=(1, 1, 6, 6), classes=4, chance=chance, number=None)
    norms = Spectral(setting.module, setting.shape, setting.chance)
    for _ in range(200):
        found = norms.product()
    columns = torch.eye(36, dtype=torch.float64).reshape(36, 1, 6, 6)
    first = torch.nn.functional.conv2d(columns, module[0].weight, stride=2, padding=1).reshape(36, -1)
    true = torch.linalg.matrix_norm(first, 2) * torch.linalg.matrix_norm(module[3].weight, 2)
    assert float(found.detach()) == pytest.approx(float(true.detach()), rel=1e-6)
    found.backward()
    assert module[0].weight.grad is not None


def test_networks_of_distances_are_read_exactly() -> None:
    torch.manual_seed(0)
    net = nn.train.robust(nn.train.DistanceNet([6, 8, 3]), few(), 0.05, "linf-distance", epochs=30, rate=0.02)
    assert clean(net, *few()) > 95
    f, (images, labels) = nn.from_torch(net, (1, 6)), few()
    with torch.no_grad():
        scores = net(torch.tensor(images)).numpy()
    margin = [scores[k, c] - np.delete(scores[k], c).max() for k, c in enumerate(labels)]
    k = int(np.argmax(margin))
    eps = 0.49 * float(margin[k])  # below half of the margin: a 1-Lipschitz network cannot change its mind
    p = nn.props.robust(f, images[k].astype(float), int(labels[k]), eps)
    assert nn.verify(p, "ibp").verified


@pytest.mark.slow
def test_a_rule_is_trained_until_it_is_verified() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2)
    )

    def rule(f: Network) -> Property:
        x = nn.Variable(2)
        y = f(x).ravel()
        then = (y[0] >= y[1]) & ((y[1] <= 2 * x[1] + 1) | (x[1] <= -0.5))
        return nn.forall(x, where=nn.box(x, -1, 1) & (x[0] >= 0.2), then=then)

    points = torch.rand(400, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    goal = torch.stack([1.5 * points[:, 0] - 0.2, points[:, 1]], 1)
    step = torch.optim.Adam(module.parameters(), lr=5e-3)
    for _ in range(200):
        step.zero_grad()
        ((module(points) - goal) ** 2).mean().backward()
        step.step()
    assert nn.verify(rule(nn.from_torch(module, (1, 2))), "attack").falsified
    loss = nn.train.Loss(rule, module, (1, 2), goal=0.1, cells=64)
    for _ in range(300):
        step.zero_grad()
        fit = ((module(points) - goal) ** 2).mean()
        (5 * loss() + fit).backward()
        step.step()
    result = nn.verify(rule(nn.from_torch(module, (1, 2))), timeout=60)
    assert result.verified
    assert float(fit.detach()) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("bounds", "holds"), [("ibp", True), pytest.param("attack", False, marks=pytest.mark.field)])
def test_monotonicity_is_trained_by_bounds_of_differences(bounds: str, holds: bool) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(2, 12), torch.nn.ReLU(), torch.nn.Linear(12, 12), torch.nn.ReLU(), torch.nn.Linear(12, 1)
    )

    def rising(f: Network) -> Property:
        x, z = nn.Variable(2, name="x"), nn.Variable(2, name="z")
        pairs = nn.box(x, -1, 1) & nn.box(z, -1, 1) & (x[0] <= z[0]) & (x[1] == z[1])
        return nn.forall([x, z], where=pairs, then=f(x).ravel()[0] <= f(z).ravel()[0])

    x = torch.tensor(np.random.default_rng(0).uniform(-1, 1, (400, 2)), dtype=torch.float32)
    goal = 0.6 * x[:, :1] + torch.sin(3 * x[:, 1:]) + 0.3 * torch.sin(9 * x[:, :1])
    step = torch.optim.Adam(module.parameters(), lr=1e-2)
    loss = nn.train.Loss(rising, module, (1, 2), bounds=bounds, cells=16)
    for k in range(700):
        step.zero_grad()
        fit = ((module(x) - goal) ** 2).mean()
        (fit + 3 * loss() if k >= 300 else fit).backward()
        step.step()
    result = nn.verify(rising(nn.from_torch(module, (1, 2))), timeout=60)
    assert (result.verified, result.falsified) == (holds, not holds)
    assert float(fit.detach()) < 0.06


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.field) for seed in (1, 2))]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_intervals_train_digits_that_intervals_certify(seed: int) -> None:
    train, own, test, labels = digits()
    net = nn.train.robust(classifier(), (train, own), EPS, "ibp", seed=seed)
    f = nn.from_torch(net, (1, 64))
    assert clean(net, test, labels) >= 94
    assert certified(f, test, labels, 0.05, "ibp-merged") >= 87
    assert certified(f, test, labels, EPS, "ibp-merged") >= 72
    if seed == 0:
        assert unknown_after(f, net, test[:100], labels[:100]) == 0


@pytest.mark.field
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_training_for_lines_is_not_certified_by_intervals(seed: int) -> None:
    train, own, test, labels = digits()
    f = nn.from_torch(nn.train.robust(classifier(), (train, own), EPS, "linear", seed=seed), (1, 64))
    assert certified(f, test, labels, EPS, "ibp-merged") == 0
    assert certified(f, test, labels, EPS, "crown-ibp") >= 72
    plain = nn.from_torch(nn.train.robust(classifier(), (train, own), EPS, "standard", seed=seed), (1, 64))
    assert certified(plain, test, labels, EPS, "crown-ibp") <= 2


def unknown_after(f: Network, net: torch.nn.Module, images: np.ndarray, labels: np.ndarray) -> int:
    """How many images no stage of a cascade decides."""
    with torch.no_grad():
        left = np.flatnonzero(net(torch.tensor(images)).argmax(1).numpy() == labels)
    for method in ("ibp-merged", "crown", None):
        asked = [nn.props.robust(f, images[k].astype(float), int(labels[k]), EPS, within=(0, 1)) for k in left]
        results = [nn.verify(p, method, timeout=60) for p in asked]
        left = left[[not (r.verified or r.falsified) for r in results]]
    return len(left)
