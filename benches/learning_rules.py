"""Accuracy on MNIST of the rules without backpropagation, beside backpropagation.

python benches/learning_rules.py feedback --seeds 0 1 2
python benches/learning_rules.py equilibrium asymmetric noprop boosting --seeds 0 1 2

MNIST is read from --data, by default ../shared/data/mnist: 60000 samples train, 10000 test, no
augmentation, no early stopping: accuracies are those of the last epoch. One thread.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

from thalweg.race import idx
from thalweg.search import learning


def mnist(folder):
    def read(part):
        images = idx.read(idx.find(folder, f"{part}-images-idx3-ubyte")).astype(np.float32)
        labels = idx.read(idx.find(folder, f"{part}-labels-idx1-ubyte")).astype(np.int64)
        return torch.from_numpy((images / 255 - 0.1307) / 0.3081), torch.from_numpy(labels)

    return read("train"), read("t10k")


def mlp(*sizes, activation=nn.Tanh):
    layers = [nn.Flatten()]
    for i, o in pairwise(sizes):
        layers += [nn.Linear(i, o), activation()]
    return nn.Sequential(*layers[:-1])


class Backpropagation(nn.Module):
    """What the rules replace, behind their interface."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def backward(self, inputs, targets):
        loss = nn.functional.cross_entropy(self.model(inputs), targets)
        loss.backward()
        return loss.item()

    @torch.no_grad()
    def predict(self, inputs):
        return self.model(inputs)


def sigmoids():
    return mlp(784, 256, 256, 10, activation=nn.Sigmoid)


def feedback(seed):
    model = mlp(784, 512, 512, 10)
    return learning.DirectFeedback(model, seed=seed)


def equilibrium(seed, **settings):
    sizes = [784, 256, 256, 10]
    return learning.EquilibriumPropagation(sizes, tol=1e-3, seed=seed, **settings)


def asymmetric(seed):
    return equilibrium(seed, symmetric=False)


class Block(nn.Module):
    """Convolutions of the image, joined with the noisy label: 86,000 parameters."""

    def __init__(self):
        super().__init__()
        self.image = nn.Sequential(
            nn.Conv2d(1, 12, 5, stride=2), nn.ReLU(), nn.Conv2d(12, 24, 3, stride=2), nn.ReLU(),
            nn.Flatten(), nn.Dropout(0.2), nn.Linear(600, 128), nn.ReLU(),
        )  # fmt: skip
        self.label = nn.Sequential(nn.Linear(10, 32), nn.ReLU())
        self.joined = nn.Sequential(nn.Linear(160, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, x, z):
        return self.joined(torch.cat([self.image(x[:, None]), self.label(z)], 1))


class OneBlock(Block):
    """The same network with nothing from the label."""

    def forward(self, x):
        return super().forward(x, x.new_zeros(len(x), 10))


def noprop(seed):
    return learning.NoProp([Block() for _ in range(10)], classes=10, seed=seed)


def residual():
    return nn.Sequential(nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256))


def boosting(seed):
    stem = nn.Sequential(nn.Flatten(), nn.Linear(784, 256))
    heads = [nn.Sequential(nn.ReLU(), nn.Linear(256, 10)) for _ in range(ROUNDS)]
    return learning.SequentialBoosting([residual() for _ in heads], heads, 10, stem=stem)


class Residual(nn.Module):
    """The blocks of `boosting`, trained at once."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Flatten(), nn.Linear(784, 256))
        self.blocks = nn.ModuleList(residual() for _ in range(ROUNDS))
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(256, 10))

    def forward(self, x):
        g = self.stem(x)
        for block in self.blocks:
            g = g + block(g)
        return self.head(g)


ROUNDS = 3
# Rule, network trained by backpropagation beside it, epochs, rate, batch. Epochs of boosting are
# shared by its rounds.
RULES = {
    "feedback": (feedback, lambda: mlp(784, 512, 512, 10), 12, 1e-3, 128),
    "equilibrium": (equilibrium, sigmoids, 10, 2e-3, 100),
    "asymmetric": (asymmetric, sigmoids, 10, 2e-3, 100),
    "noprop": (noprop, OneBlock, 20, 2e-3, 128),
    "boosting": (boosting, Residual, 12, 1e-3, 128),
}


def accuracy(rule, X, y):
    rule.eval()
    pairs = zip(X.split(1000), y.split(1000), strict=True)
    right = [(rule.predict(a).argmax(1) == b).sum() for a, b in pairs]
    rule.train()
    return 100 * float(sum(right)) / len(X)


def train(rule, data, epochs, lr, batch, seed, name):
    (X, y), (Xt, yt) = data
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(rule.parameters(), lr=lr)
    # One cosine over all epochs; boosting has one for each round.
    rounds = ROUNDS if isinstance(rule, learning.SequentialBoosting) else 1
    steps = epochs * (len(X) // batch) // rounds
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: 0.5 * (1 + np.cos(np.pi * (k % steps) / steps))
    )
    start = time.process_time()
    for epoch in range(epochs):
        total = 0.0
        for index in torch.randperm(len(X), generator=generator).split(batch)[: len(X) // batch]:
            optimizer.zero_grad()
            total += rule.backward(X[index], y[index])
            optimizer.step()
            schedule.step()
        if rounds > 1 and (epoch + 1) % (epochs // rounds) == 0:
            print(rule.advance(zip(X.split(1000), y.split(1000), strict=True)))
        print(
            f"{name} seed {seed} epoch {epoch + 1}: loss {total * batch / len(X):.4f} test "
            f"{accuracy(rule, Xt, yt):.2f} cpu {time.process_time() - start:.0f} s",
            flush=True,
        )
    return accuracy(rule, Xt, yt)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rules", nargs="+", choices=RULES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--samples", type=int, default=60000)
    parser.add_argument("--alone", action="store_true", help="no backpropagation beside")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/mnist"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    (X, y), test = mnist(options.data)
    data = (X[: options.samples], y[: options.samples]), test
    for name in options.rules:
        build, network, epochs, lr, batch = RULES[name]
        found = {name: [], "backpropagation": []}
        for seed in options.seeds:
            torch.manual_seed(seed)
            rules = {name: build(seed)}
            torch.manual_seed(seed)
            if not options.alone:
                rules["backpropagation"] = Backpropagation(network())
            for label, rule in rules.items():
                result = train(
                    rule, data, options.epochs or epochs, options.lr or lr, batch, seed, label
                )
                found[label].append(result)
        for label, values in found.items():
            if values:
                print(f"{name}, {label}: test {np.round(values, 2)} mean {np.mean(values):.2f}")


if __name__ == "__main__":
    main()
