"""Averaged Langevin: the mean of iterates estimates the posterior mean, the last one does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import Parameter

from thalweg import optim

F64 = torch.float64


def test_the_mean_has_the_error_of_an_autoregression():
    # Around a mean m: x - m = rho (x - m) + noise, with rho = 1 - lr a, of variance s in the end;
    # the mean of n of them has s / n ((1 + rho) / (1 - rho) - 2 rho (1 - rho^n) / (n (1 - rho)^2)).
    a, lr, temperature, n, size = 2.0, 0.05, 0.7, 200, 20_000
    center = torch.linspace(-3, 3, size, dtype=F64)
    p = Parameter(center.clone())
    optimizer = optim.SGLD([p], lr=lr, temperature=temperature, average=True, burn_in=60, seed=4)
    for _ in range(60 + n):
        p.grad = a * (p.detach() - center)
        optimizer.step()
    rho, s = 1 - lr * a, temperature / a / (1 - lr * a / 2)
    assert (p.detach() - center).square().mean().item() == pytest.approx(s, rel=0.05)
    optimizer.eval()
    part = (1 + rho) / (1 - rho) - 2 * rho * (1 - rho**n) / (n * (1 - rho) ** 2)
    error = (p.detach() - center).square().mean().item()
    assert error == pytest.approx(s / n * part, rel=0.05)
    assert error < s / 10


def test_minibatches_of_a_linear_regression():
    rng = np.random.default_rng(0)
    n, d, batch, noise = 500, 8, 50, 0.5
    X = rng.normal(size=(n, d)) @ np.diag(np.linspace(0.6, 1.4, d))
    y = X @ rng.normal(size=d) + noise * rng.normal(size=n)
    # With a standard normal prior.
    mean = np.linalg.solve(X.T @ X / noise**2 + np.eye(d), X.T @ y / noise**2)
    xs, ys = torch.tensor(X), torch.tensor(y)
    ratios = []
    for seed in range(5):
        w = Parameter(torch.zeros(d, dtype=F64))
        optimizer = optim.SGLD([w], lr=1e-4, average=True, burn_in=300, thinning=2, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        for _ in range(2000):
            rows = torch.randint(n, (batch,), generator=generator)
            residual = xs[rows] @ w.detach() - ys[rows]
            w.grad = n / batch * xs[rows].T @ residual / noise**2 + w.detach()
            optimizer.step()
        last = np.linalg.norm(w.detach().numpy() - mean)
        optimizer.eval()
        ratios.append(last / np.linalg.norm(w.detach().numpy() - mean))
    assert np.median(ratios) > 4
    assert min(ratios) > 2
