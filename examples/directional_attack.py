"""Optimize through trained networks, under constraints that only say yes or no.

Three networks are trained here: a surrogate of a reactor, a classifier of small pictures, a decoder
of curves. Each then has a cost to be minimized, by attacks with direct search, by direct search
alone and by attacks alone, with the same number of evaluations.
"""

import argparse
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from thalweg.search import CoveringDirectSearch, DirectionalAttack, attack


class Problem(NamedTuple):
    name: str
    start: np.ndarray
    bounds: list
    radius: float
    network: nn.Module
    loss: object
    feasible: object
    mask: list


def fit(network, x, y, loss, steps=400):
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(network(x), y).backward()
        optimizer.step()
    return network.eval()


def mlp(*sizes):
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.Tanh())]
    return nn.Sequential(*layers[:-1])


def reactor():
    """Most yield of a simulated reactor below a temperature; settings are scaled to [0, 1]."""
    x = torch.rand(3000, 16)
    rate = torch.exp(-((x[:, :8] - 0.7) ** 2).sum(dim=1))
    mixing = 0.6 + 0.4 * torch.cos(3 * (x[:, 8:] - x[:, :8]).mean(dim=1))
    heat = x.mean(dim=1) + 0.3 * rate * mixing + 0.2 * x[:, 0] * x[:, 9]
    network = fit(mlp(16, 48, 2), x, torch.stack([rate * mixing, heat], 1), nn.MSELoss())
    return Problem(
        "reactor", np.full(16, 0.1), [(0, 1)] * 16, 0.3, network,
        loss=lambda y: -y[:, 0],
        feasible=lambda x, y: y[:, 1] <= 0.75,
        mask=[True, False],
    )  # fmt: skip


class Mixture(nn.Module):
    """A picture mixed from others, then its log-probabilities."""

    def __init__(self, pictures, classifier):
        super().__init__()
        self.register_buffer("pictures", pictures)
        self.classifier = classifier

    def forward(self, weights):
        return torch.log_softmax(self.classifier(weights @ self.pictures), dim=1)


def mixture():
    """Mix pictures of other classes into one that the classifier sees as class 0."""
    centres = torch.randn(5, 36)
    labels = torch.arange(1500) % 5
    pictures = centres[labels] + 0.8 * torch.randn(1500, 36)
    classifier = fit(mlp(36, 32, 5), pictures, labels, nn.CrossEntropyLoss(), steps=150)
    parts = pictures[labels > 0][:20]
    return Problem(
        "mixture", np.full(20, 0.05), [(-1, 1)] * 20, 0.3, Mixture(parts, classifier),
        loss=lambda y: -y[:, 0],
        # Little weight in all, and no class but 0 and 1 may be likely.
        feasible=lambda x, y: (x.abs().sum(dim=1) <= 2.0) & (y[:, 2:].exp().sum(dim=1) <= 0.7),
        mask=[True] + [False] * 4,
    )  # fmt: skip


def decoder():
    """A decoder of 12 codes into pictures of two blobs."""
    places = torch.rand(3000, 4)
    codes = torch.cat([2 * places - 1, torch.randn(3000, 8)], dim=1)
    codes = codes @ torch.linalg.qr(torch.randn(12, 12))[0]
    grid = torch.linspace(0, 1, 8)
    rows, columns = grid.repeat_interleave(8), grid.repeat(8)
    blobs = [
        torch.exp(-8 * ((rows - places[:, i, None]) ** 2 + (columns - places[:, i + 1, None]) ** 2))
        for i in (0, 2)
    ]
    return fit(mlp(12, 64, 64), codes, blobs[0] + blobs[1], nn.MSELoss()), codes


def picture():
    """The code of a picture that is most like another one and not too bright."""
    network, codes = decoder()
    with torch.no_grad():
        wanted, others = network(codes[:1]), network(codes[:200]).sum(dim=1)
    return Problem(
        "picture", codes[others.argmin()].numpy().astype(float), [(-3, 3)] * 12, 0.3, network,
        loss=lambda y: ((y - wanted) ** 2).sum(dim=1),
        feasible=lambda x, y: y.sum(dim=1) <= 0.98 * wanted.sum(),
        mask=[True] * 64,
    )  # fmt: skip


def hybrid(problem, budget, seed):
    search = DirectionalAttack(
        problem.start, network=problem.network, loss=problem.loss, feasible=problem.feasible,
        mask=problem.mask, bounds=problem.bounds, radius=problem.radius, seed=seed,
    )  # fmt: skip
    return search.run(budget).fun


def direct_search(problem, budget, seed):
    cost = measure(problem)
    search = CoveringDirectSearch(
        problem.start, bounds=problem.bounds, radius=problem.radius, seed=seed
    )
    while search.evaluations < budget and search.converged(0.0) is None:
        search.tell(cost(search.ask()))
    return search.best.cost


def attacks(problem, budget, seed):
    """Attacks alone, with the radius of the hybrid; nothing is drawn, so seeds do not count."""
    cost, (low, high) = measure(problem), np.transpose(problem.bounds)
    x, radius = problem.start, problem.radius
    best = cost(x[None])[0]
    mask = torch.tensor(problem.mask)
    for _ in range(budget - 1):
        leaf = torch.tensor(x, dtype=torch.float32)
        with torch.no_grad():
            output = problem.network(leaf[None])
        output.requires_grad_()
        (gradient,) = torch.autograd.grad(problem.loss(output).sum(), output)
        delta = attack(problem.network, leaf, -gradient[0] * mask, radius)
        trial = np.clip(x + delta.numpy(), low, high)
        new = cost(trial[None])[0]
        if new < best:
            x, best, radius = trial, new, min(1.3 * radius, 1.0)
        else:
            radius /= 1.3
        if radius < 1e-5:
            break
    return best


def measure(problem):
    """Costs of rows of points, as the hybrid evaluates them."""
    return DirectionalAttack(
        problem.start, network=problem.network, loss=problem.loss, feasible=problem.feasible
    ).evaluate


def compare(problem, budget, seeds):
    ways = {"hybrid": hybrid, "direct search": direct_search, "attacks": attacks}
    return {
        name: [way(problem, budget, seed) for seed in range(seeds)] for name, way in ways.items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=int, default=400, help="evaluations of each run")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each")
    parser.add_argument("--networks", type=int, default=0, help="seed of what is trained")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(f"median cost of {chosen.seeds} seeds after {chosen.budget} evaluations")
    for make in (reactor, mixture, picture):
        torch.manual_seed(chosen.networks)
        problem = make()
        costs = compare(problem, chosen.budget, chosen.seeds)
        print(
            f"{problem.name:8}", *(f"{way} {np.median(cost):.4g}" for way, cost in costs.items()),
            sep="   ",
        )  # fmt: skip
