"""A small physics-informed network with ConFIG: the viscous Burgers equation.

Three losses compete: the equation inside, the initial and the boundary values. Their gradients
differ in length by orders of magnitude and often point apart; the plain sum listens to the longest.
Adam on the sum, ConFIG with Adam, and M-ConFIG with plain SGD (one loss a step, so a third of the
backward passes) train the same network. Under a minute.
"""

import math

import torch
from torch import nn

import thalweg.aggregate as ag

VISCOSITY = 0.05


def network():
    torch.manual_seed(0)
    layers = [nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1)]
    return nn.Sequential(*layers)


def losses(model, generator, which=(0, 1, 2)):
    """Mean squares of the residuals, at fresh points."""
    out = []
    for k in which:
        if k == 0:
            points = torch.rand(128, 2, generator=generator) * torch.tensor([1.0, 2.0])
            t, x = points[:, 0].requires_grad_(), (points[:, 1] - 1).requires_grad_()
            u = model(torch.stack([t, x], 1))[:, 0]
            ut, ux = torch.autograd.grad(u.sum(), [t, x], create_graph=True)
            uxx = torch.autograd.grad(ux.sum(), x, create_graph=True)[0]
            out.append((ut + u * ux - VISCOSITY * uxx).square().mean())
        elif k == 1:
            x = torch.rand(64, generator=generator) * 2 - 1
            u = model(torch.stack([torch.zeros(64), x], 1))[:, 0]
            out.append((u + torch.sin(math.pi * x)).square().mean())
        else:
            t = torch.rand(64, generator=generator)
            side = torch.sign(torch.rand(64, generator=generator) - 0.5)
            out.append(model(torch.stack([t, side], 1)).square().mean())
    return out


def exact(t, x, nodes=80):
    """Cole-Hopf solution by Gauss-Hermite quadrature."""
    import numpy as np

    z, w = np.polynomial.hermite.hermgauss(nodes)
    z, w = torch.tensor(z), torch.tensor(w)
    y = x[:, None] - z * torch.sqrt(4 * VISCOSITY * t)[:, None]
    f = torch.exp(-torch.cos(math.pi * y) / (2 * math.pi * VISCOSITY)) * w
    return -(torch.sin(math.pi * y) * f).sum(1) / f.sum(1)


def error(model):
    t, x = torch.meshgrid(torch.linspace(0.05, 1, 20), torch.linspace(-1, 1, 41), indexing="ij")
    t, x = t.reshape(-1).double(), x.reshape(-1).double()
    with torch.no_grad():
        u = model(torch.stack([t, x], 1).float())[:, 0].double()
    want = exact(t, x)
    return float((u - want).norm() / want.norm())


def train(name, steps):
    model, generator = network(), torch.Generator().manual_seed(1)
    params = list(model.parameters())
    momentum = name == "M-ConFIG"
    optimizer = (torch.optim.SGD if momentum else torch.optim.Adam)(params, lr=2e-3)
    aggregator = {"sum": ag.Sum(), "ConFIG": ag.ConFIG(), "M-ConFIG": ag.MConFIG(3)}[name]
    for step in range(steps):
        optimizer.zero_grad()
        if momentum:
            (loss,) = losses(model, generator, [step % 3])
            gradients = torch.autograd.grad(loss, params, materialize_grads=True)
            for param, update in zip(params, aggregator.step(list(gradients), step % 3)):
                param.grad = update
        else:
            ag.backward(losses(model, generator), params, aggregator, chunk_size=1)
        optimizer.step()
    return error(model)


def main(steps=600):
    torch.set_num_threads(1)  # networks this small only wait for a second thread
    for name, count in (("sum", steps), ("ConFIG", steps), ("M-ConFIG", 3 * steps)):
        print(f"{name:9s} {count:5d} steps: relative error {train(name, count):.3f}")


if __name__ == "__main__":
    main()
