"""Fit a small network in fewer iterations one after the other: OptEx over Adam.

Each iteration takes the gradients of all its workers at once, in threads, at points where Adam
would arrive with estimated gradients. Prints the iterations that each number of workers takes.
"""

import torch

from thalweg import optim

TARGET = 0.02


def iterations(workers: int) -> int:
    torch.manual_seed(0)
    x = torch.linspace(-2.0, 2.0, 64)[:, None]
    y = torch.sin(2.0 * x)
    model = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    names = [name for name, _ in model.named_parameters()]

    def evaluate(tensors: list[torch.Tensor]) -> torch.Tensor:
        found = torch.func.functional_call(model, dict(zip(names, tensors)), (x,))
        return (found - y).square().mean()

    optimizer = optim.OptEx(optim.Adam(model.parameters(), lr=0.003), workers=workers)
    for step in range(3000):
        if float(optimizer.step(evaluate=evaluate)) < TARGET:
            return step
    return 3000


for workers in (1, 2, 4):
    print(f"{workers} workers: {iterations(workers)} iterations to a loss of {TARGET}")
