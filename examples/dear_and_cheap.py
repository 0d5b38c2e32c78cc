"""Few calls of a dear loss: ProxyProx and GradientSliding. Takes a few seconds.

1. A network is fitted to few dear labels; a cheap, slightly wrong simulator labels as much as one
   likes. ProxyProx minimizes the loss on dear labels, with one gradient of it a step.
2. Least squares over all data with a rough penalty on differences: gradient sliding asks for the
   gradient of the data once a step, and for that of the penalty many times.
3. Robust phase retrieval with steps that are a thousand times too long: model-based steps do not
   mind.
"""

import math
import sys

import numpy as np
import torch

from thalweg import optim, steps


def proxy():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    x = torch.rand(256, 2) * 4 - 2
    truth = torch.sin(x[:, 0]) * x[:, 1]
    simulated = truth + 0.05 * x[:, 0]
    losses = {}
    for name in ("ProxyProx", "SGD", "Adam"):
        torch.manual_seed(1)
        model = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))

        def loss(labels, model=model):
            return (model(x)[:, 0] - labels).square().mean()

        if name == "ProxyProx":
            inner = optim.Adam(model.parameters(), lr=3e-3)
            optimizer = optim.ProxyProx(inner, eta=3.0, max_inner=60)
        elif name == "SGD":
            optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        else:
            optimizer = optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(40):
            if name == "ProxyProx":
                optimizer.step(lambda: loss(truth), lambda: loss(simulated))
            else:
                optimizer.zero_grad()
                loss(truth).backward()
                optimizer.step()
        losses[name] = loss(truth).item()
    print("dear loss after 40 gradients of it:", {k: round(v, 4) for k, v in losses.items()})
    return losses["ProxyProx"] < 0.5 * min(losses["SGD"], losses["Adam"])


def sliding():
    n, lam = 20, 0.5
    rng = np.random.default_rng(0)
    truth = np.repeat([1.0, -1.0, 2.0, 0.5], n // 4)
    data = truth + 0.3 * rng.standard_normal(n)
    x = [np.zeros(n)]

    def gradient(p):
        return [p[0] - data]

    def subgradient(p):
        signs = lam * np.sign(np.diff(p[0]))
        return [np.concatenate([[0.0], signs]) - np.concatenate([signs, [0.0]])]

    method = steps.GradientSliding(
        lr=1.0, lipschitz=2 * lam * math.sqrt(n), distance=7.0, mu=1.0, sequence="multiphase"
    )
    while method.gradient_calls < 28:
        method.step(x, gradient, subgradient)
    error = np.abs(x[0] - truth).mean()
    print(
        f"gradient sliding: {method.gradient_calls} gradients of the data, "
        f"{method.subgradient_calls} of the penalty, mean error {error:.2f}"
    )
    return error < 0.3


def models():
    d = 20
    rng = np.random.default_rng(0)
    rows, truth = rng.standard_normal((160, d)), rng.standard_normal(d)
    squares = (rows @ truth) ** 2
    start = truth + 0.4 * rng.standard_normal(d)
    found = {}
    for kind in ("subgradient", "prox_linear"):
        for factor in (1, 1000):
            x, method = [start.copy()], steps.ModelBased(factor * 1e-3, kind)
            for i in rng.integers(0, len(rows), 4000):
                z = rows[i] @ x[0]
                value, slope = z * z - squares[i], 2 * z * rows[i]
                if kind == "subgradient":
                    value, slope = abs(value), np.sign(value) * slope
                if np.abs(x[0]).max() > 1e30:
                    break
                method.step(x, value, [slope])
            found[kind, factor] = np.linalg.norm(np.abs(x[0]) - np.abs(truth))
    for (kind, factor), error in found.items():
        print(f"phase retrieval, {kind:11s} with {factor:4d} times the step: error {error:.1e}")
    return found["prox_linear", 1000] < 0.01 < found["subgradient", 1000]


if __name__ == "__main__":
    sys.exit(0 if all([proxy(), sliding(), models()]) else 1)
