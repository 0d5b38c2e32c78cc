"""The bundled digits by four rules that send no gradient from layer to layer, and by one that does.

Direct feedback alignment, equilibrium propagation, NoProp and sequential boosting, each with a
network of its own kind; backpropagation trains the first of them. Runs in a few seconds.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from thalweg.optim import AdamW
from thalweg.search.learning import (
    DirectFeedback,
    EquilibriumPropagation,
    NoProp,
    SequentialBoosting,
)


def data():
    digits = load_digits()
    x = torch.tensor(digits.data, dtype=torch.float32) / 8 - 1
    y = torch.tensor(digits.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return (x[:1400], y[:1400]), (x[1400:], y[1400:])


def mlp():
    torch.manual_seed(0)
    layers = nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10)
    return nn.Sequential(*layers)


def epochs(rule, x, y, count, lr):
    """Any rule, any optimizer."""
    optimizer = AdamW(rule.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        for index in torch.randperm(len(x), generator=generator).split(50):
            optimizer.zero_grad()
            rule.backward(x[index], y[index])
            optimizer.step()


def backpropagation(x, y):
    model = mlp()
    optimizer = AdamW(model.parameters(), lr=3e-3)
    for _ in range(10):
        for index in torch.randperm(len(x), generator=torch.Generator().manual_seed(0)).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[index]), y[index]).backward()
            optimizer.step()
    return model


def feedback(x, y):
    rule = DirectFeedback(mlp(), seed=0)
    epochs(rule, x, y, 10, lr=3e-3)
    angles = ", ".join(f"{angle:.0f}" for angle in rule.alignment(x, y))
    print(f"angles between feedback and gradient: {angles} degrees")
    return rule.predict


def equilibrium(x, y):
    rule = EquilibriumPropagation([64, 64, 64, 10], tol=1e-3, seed=0)
    epochs(rule, x, y, 10, lr=1e-2)
    return rule.predict


class Block(nn.Module):
    """Sees the image and the noisy label."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64 + 10, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, x, z):
        return self.layers(torch.cat([x, z], 1))


def noprop(x, y):
    torch.manual_seed(0)
    rule = NoProp([Block() for _ in range(10)], classes=10, seed=0)
    epochs(rule, x, y, 15, lr=3e-3)
    return rule.predict


def boosting(x, y):
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)) for _ in range(3)]
    rule = SequentialBoosting(blocks, [nn.Linear(64, 10) for _ in blocks], classes=10)
    for _ in blocks:
        epochs(rule, x, y, 5, lr=3e-3)
        print(f"a block leaves {rule.advance([(x, y)]).factor:.2f} of the exponential loss")
    return rule.predict


def main():
    torch.set_num_threads(1)  # networks this small only wait for a second thread
    (x, y), (xt, yt) = data()
    for train in (backpropagation, feedback, equilibrium, noprop, boosting):
        scores = train(x, y)(xt)
        print(f"{train.__name__:15s} test accuracy {(scores.argmax(1) == yt).float().mean():.3f}")


if __name__ == "__main__":
    main()
