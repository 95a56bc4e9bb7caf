"""Complete methods on the same networks of growing size (docs/lecture/complete.md).

python docs/lecture/complete.py 10 30 100 300 1000      # the table and the picture, some minutes
python docs/lecture/complete.py 3-SAT                   # random formulas as networks

Needs the extra ``dev``: scikit-learn's 8x8 digits, averaged to 4x4, are what the networks are trained on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import nnsym as nn

METHODS = {
    "MILP": ("bigm", "highs"),
    "SMT": ("smt", "z3"),
    "input splitting": ("bab:smear", None),
    "search on LPs": ("bab:gap:refine=0:leaf=lp:few=9999", None),
    "search on bounds": ("bab:early", None),
    "bounds, then MILP": ("bab:early:leaf=milp", None),
}
#: Those of pictures of methods (:mod:`nnsym.report.pictures.style`); the searches in shades of their own.
INKS = dict(zip(METHODS, ("#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#b22222", "#1f2328"), strict=True))
EPS, SECONDS, IMAGES = 0.05, 20.0, 3


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images of 16 pixels in [0, 1], and their classes."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.images.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16) / 16, data.target


def trained(neurons: int, certified: bool, *, seed: int = 0, epochs: int = 60) -> nn.Network:
    """A network 16-n-n-10 with 2 n neurons; ``certified`` trains the worst margin that intervals leave (Gowal 2018)."""
    import torch

    torch.manual_seed(seed)
    half = neurons // 2
    layers = [torch.nn.Linear(*size) for size in ((16, half), (half, half), (half, 10))]
    x, y = (torch.tensor(a) for a in digits())
    x = x.float()
    steps = torch.optim.Adam([p for layer in layers for p in layer.parameters()], 5e-3)
    for epoch in range(epochs):
        eps = EPS * min(1.0, 2 * epoch / epochs) if certified else 0.0
        for batch in torch.randperm(len(x)).split(100):
            loss = torch.nn.functional.cross_entropy(_worst(layers, x[batch], y[batch], eps), y[batch])
            steps.zero_grad()
            loss.backward()
            steps.step()
    pairs = [(la.weight.detach().numpy(), la.bias.detach().numpy()) for la in layers]
    return nn.sequential(pairs, name=f"{'certified' if certified else 'normal'} {neurons}")


def _worst(layers: Sequence[object], x: object, y: object, eps: float) -> object:
    """Logits with the largest of every other class and the least of the right one, by intervals round ``x``."""
    import torch

    low, high = x - eps, x + eps
    for k, layer in enumerate(layers):
        centre, radius = (low + high) / 2, (high - low) / 2
        centre, radius = layer(centre), radius @ layer.weight.abs().T
        low, high = centre - radius, centre + radius
        if k < len(layers) - 1:
            low, high = low.relu(), high.relu()
    right = torch.nn.functional.one_hot(y, 10).bool()
    return torch.where(right, low, high)


def questions(network: nn.Network, count: int = IMAGES) -> Iterator[nn.Property]:
    """Robustness at the first images that the network gets right."""
    x, y = digits()
    found = 0
    for image, label in zip(x[1000:], y[1000:], strict=True):
        v = nn.Variable(16, name="x")
        out = network(v)
        logits = network(image)
        if int(np.argmax(logits)) != label:
            continue
        where = nn.box(v, np.maximum(image - EPS, 0), np.minimum(image + EPS, 1))
        yield nn.forall(v, where=where, then=nn.wins(out, int(label)), name=f"{network.name} image {found}")
        found += 1
        if found == count:
            return


def measured(problem: nn.Property, method: str) -> tuple[str, float]:
    """The verdict and wall seconds."""
    name, solver = METHODS[method]
    start = time.perf_counter()
    result = nn.verify(problem, name, timeout=SECONDS, **({"solver": solver} if solver else {}))
    return str(result.status.value), time.perf_counter() - start


def table(sizes: Sequence[int]) -> list[tuple[str, int, str, int, float]]:
    """Training, neurons, method, how many of the questions were decided, and the mean seconds of all of them."""
    rows = []
    for certified in (False, True):
        lost: set[str] = set()
        for size in sizes:
            network = trained(size, certified)
            asked = list(questions(network))
            for method in METHODS:
                if method in lost:
                    continue
                told = [measured(problem, method) for problem in asked]
                decided = sum(verdict != "unknown" for verdict, _ in told)
                lost |= {method} if not decided else set()
                rows.append((network.name.split()[0], size, method, decided, sum(s for _, s in told) / len(told)))
                print(*rows[-1], sep="\t", flush=True)
    return rows


def drawn(rows: Sequence[tuple[str, int, str, int, float]], path: Path) -> None:
    """Seconds against neurons, one panel for each way of training."""
    from nnsym.report.pictures.style import finished, picture, plain_axes

    figure = picture(8, 3.4)
    for axes, training in zip(figure.subplots(1, 2, sharey=True), ("normal", "certified"), strict=True):
        for method in METHODS:
            own = [(size, seconds) for t, size, m, _, seconds in rows if (t, m) == (training, method)]
            axes.plot(*zip(*own, strict=True), marker="o", color=INKS[method], label=method)
        axes.axhline(SECONDS, color="#999999", linewidth=0.8, linestyle=":")
        axes.set(xscale="log", yscale="log", xlabel="neurons", title=f"{training} training")
        plain_axes(axes)
    figure.axes[0].set_ylabel("seconds, mean")
    lines, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    finished(figure, path)


def formula(variables: int, seed: int, ratio: float = 4.26) -> list[list[int]]:
    """A random 3-SAT formula with as many clauses for each variable as are hardest (Mitchell et al. 1992)."""
    rng = np.random.default_rng(seed)
    every = [rng.choice(variables, 3, replace=False) + 1 for _ in range(round(ratio * variables))]
    return [[int(k * s) for k, s in zip(some, rng.choice([-1, 1], 3), strict=True)] for some in every]


def satisfiable(variables: int, seed: int, method: str) -> tuple[str, float]:
    """``falsified`` where the formula of a seed can be satisfied."""
    return measured(nn.zoo.unsatisfiable(formula(variables, seed)), method)


if __name__ == "__main__":
    if sys.argv[1:] == ["3-SAT"]:
        for method in METHODS:
            satisfiable(3, 0, method)  # imports and processes are not what is measured
            for variables in (4, 8, 12, 16):
                told = [satisfiable(variables, seed, method) for seed in range(3)]
                print(method, variables, *(v for v, _ in told), *(f"{s:.2f}" for _, s in told), sep="\t", flush=True)
                if all(verdict == "unknown" for verdict, _ in told):
                    break
    else:
        drawn(table([int(word) for word in sys.argv[1:]] or [10, 30]), Path("complete.svg"))
