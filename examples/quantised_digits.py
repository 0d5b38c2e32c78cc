"""A digits network with one bit a weight: train, pull towards two levels, then round.

The Cauchy-Schwarz regulariser of every output channel is added with a growing weight, so that
rounding to {-a, a} costs little. Taner, Wang, Studer 2025, arXiv:2503.01639. Runs in some seconds.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from thalweg.project import cauchy_schwarz as cs


def data():
    digits = load_digits()
    x = torch.tensor(digits.data, dtype=torch.float32) / 16
    y = torch.tensor(digits.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order[:1200]], y[order[:1200]], x[order[1200:]], y[order[1200:]]


def train(strength, epochs=40, batch=64):
    torch.manual_seed(0)
    x, y, _, _ = data()
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    weights = [layer.weight for layer in model if isinstance(layer, nn.Linear)]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
            if strength:
                pull = sum(cs.binary_scale_invariant(w).mean() for w in weights)
                loss = loss + strength * epoch / epochs * pull
            loss.backward()
            optimizer.step()
    return model, weights


@torch.no_grad()
def accuracy(model):
    _, _, x, y = data()
    return (model(x).argmax(1) == y).float().mean().item()


def main():
    for name, strength in (("plain", 0.0), ("regularised", 3.0)):
        model, weights = train(strength)
        full = accuracy(model)
        with torch.no_grad():
            for w in weights:
                w.copy_(cs.quantize(w))
        print(f"{name:12s} accuracy {full:.3f}, with one bit a weight {accuracy(model):.3f}")


if __name__ == "__main__":
    main()
