"""Problems of `benches/search.py`: sign networks, a hard tree, smooth functions, small modules."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


def moons(n=400, noise=0.15, seed=0):
    rng = np.random.default_rng(seed)
    angle = np.pi * rng.random(n // 2), np.pi * rng.random(n - n // 2)
    upper = np.stack([np.cos(angle[0]), np.sin(angle[0])], 1)
    lower = np.stack([1 - np.cos(angle[1]), 0.5 - np.sin(angle[1])], 1)
    x = np.concatenate([upper, lower]) + noise * rng.normal(size=(n, 2))
    return x, np.repeat([0, 1], [n // 2, n - n // 2])


def checkerboard(n=400, k=3, noise=0.05, seed=0, positive=None):
    rng = np.random.default_rng(seed)
    x = rng.random((n, 2)) * k
    y = np.floor(x).sum(1).astype(int) % 2
    if positive is not None:
        rest = np.flatnonzero(y == 0)
        few = np.flatnonzero(y == 1)[: int(len(rest) * positive / (1 - positive))]
        keep = np.concatenate([rest, few])
        x, y = x[keep], y[keep]
    x = x + noise * rng.normal(size=x.shape)
    return (x - x.mean(0)) / x.std(0), y


def sign_net(flat, x, hidden):
    """Outputs (B, n) of 2-hidden-1 networks with sign units, one for each row of `flat`."""
    flat, x = flat.astype(np.float32), x.astype(np.float32)
    w1, b1, w2, b2 = np.split(flat, np.cumsum([2 * hidden, hidden, hidden]), axis=1)
    w1 = w1.reshape(len(flat), hidden, 2)
    h = np.sign(np.matmul(x, w1.transpose(0, 2, 1)) + b1[:, None, :])
    return np.matmul(h, w2[:, :, None])[..., 0] + b2


def error(out, y):
    return ((out > 0) != y).mean(1)


def one_minus_f1(out, y):
    hit = ((out > 0) & (y == 1)).sum(1)
    return 1 - 2 * hit / np.maximum((out > 0).sum(1) + (y == 1).sum(), 1)


def tree(flat, x, depth=4):
    """Leaf values (B, n) of complete oblique trees: right where w.x + b > 0."""
    nodes = 2**depth - 1
    w, b, leaf = np.split(flat, [2 * nodes, 3 * nodes], axis=1)
    right = np.matmul(w.reshape(len(flat), nodes, 2), x.T) + b[:, :, None] > 0
    node = np.zeros((len(flat), len(x)), dtype=int)
    for _ in range(depth):
        node = 2 * node + 1 + np.take_along_axis(right, node[:, None], 1)[:, 0]
    return np.take_along_axis(leaf, node - nodes, 1)


def sphere(x):
    return (x**2).sum(1)


def ackley(x):
    spread = np.exp(-0.2 * np.sqrt((x**2).mean(1)))
    return 20 - 20 * spread + np.e - np.exp(np.cos(2 * np.pi * x).mean(1))


def rastrigin(x):
    return 10 * x.shape[1] + (x**2 - 10 * np.cos(2 * np.pi * x)).sum(1)


def rosenbrock(x):
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(1)


@dataclass
class Case:
    name: str
    make: Callable[[int], Any]
    budget: int
    unit: str
    # Settings of the peers, those of the examples of the polystep package.
    epsilon: float
    step_radius: float
    sigma: float
    lr: float

    def show(self, cost):
        return cost if self.unit == "cost" else 100 * (1 - cost)


def _sign(data, hidden, loss):
    def make(seed):
        x, y = data(seed)
        x0 = 0.5 * np.random.default_rng(seed + 100).normal(size=4 * hidden + 1)
        return (lambda flat: loss(sign_net(flat, x, hidden), y)), x0

    return make


def _tree(seed):
    x, y = checkerboard(600, seed=seed)
    x0 = 0.3 * np.random.default_rng(seed + 100).normal(size=61)
    return (lambda flat: error(tree(flat, x), y)), x0


def _smooth(cost, width):
    return lambda seed: (cost, np.random.default_rng(seed + 100).uniform(-width, width, 20))


CASES = [
    Case("moons", _sign(lambda s: moons(seed=s), 32, error), 51600, "accuracy", 0.02, 2, 0.5, 0.2),
    Case(
        "checkerboard", _sign(lambda s: checkerboard(seed=s), 32, error), 51600, "accuracy",
        0.02, 2, 0.5, 0.2,
    ),
    Case(
        "direct F1", _sign(lambda s: checkerboard(600, seed=s, positive=0.25), 8, one_minus_f1),
        13200, "F1", 0.05, 1.5, 0.5, 0.2,
    ),
    Case("tree", _tree, 40000, "accuracy", 0.02, 1.5, 0.3, 0.15),
    Case("sphere", _smooth(sphere, 3), 12000, "cost", 0.5, 0.5, 0.5, 0.2),
    Case("ackley", _smooth(ackley, 3), 12000, "cost", 0.5, 0.5, 0.5, 0.2),
    Case("rastrigin", _smooth(rastrigin, 3), 12000, "cost", 0.5, 0.5, 0.5, 0.2),
    Case("rosenbrock", _smooth(rosenbrock, 1.5), 12000, "cost", 0.5, 0.5, 0.5, 0.2),
]  # fmt: skip


class Sign(torch.nn.Module):
    def forward(self, x):
        return torch.sign(x)


@dataclass
class Module:
    name: str
    layers: Callable[[], list[torch.nn.Module]]
    rank: int = 8

    def make(self):
        torch.manual_seed(0)
        model = torch.nn.Sequential(*self.layers())
        return model, torch.randn(256, 64), torch.randint(10, (256,))


nn = torch.nn
MODULES = [
    Module("relu", lambda: [nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)]),
    Module("sign", lambda: [nn.Linear(64, 32), Sign(), nn.Linear(32, 10)]),
    Module(
        "deep",
        lambda: [
            nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64),
            nn.Tanh(), nn.Linear(64, 10),
        ],
    ),
    Module(
        "conv",
        lambda: [
            nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3), nn.Tanh(), nn.Flatten(),
            nn.Linear(288, 10),
        ],
    ),
]  # fmt: skip
