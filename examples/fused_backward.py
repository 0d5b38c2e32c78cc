"""Steps inside the backward pass: gradients are used and freed one after the other.

The loop, the scheduler and the checkpoint stay as they are; what changes is the line that makes the
optimizer. Prints how many gradients are alive at once. Runs in a few seconds.
"""

import sys

import torch
from torch import nn

from thalweg import optim


def network():
    torch.manual_seed(0)
    layers = [layer for _ in range(8) for layer in (nn.Linear(256, 256), nn.Tanh())]
    return nn.Sequential(*layers, nn.Linear(256, 1))


def train(fused, steps=20):
    model = network()
    if fused:
        optimizer = optim.fuse_backward(model, lambda p: optim.AdamW(p, lr=1e-3))
    else:
        optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer)
    x = torch.randn(64, 256)
    y = x[:, :1] * x[:, 1:2]
    most = 0
    for _ in range(steps):
        loss = (model(x) - y).square().mean()
        loss.backward()
        alive = sum(p.grad.numel() for p in model.parameters() if p.grad is not None)
        most = max(most, alive)
        # With fused steps nothing is left to do here.
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
    return loss.item(), most, optimizer


def main():
    loss, alive, optimizer = train(fused=False)
    print(f"ordinary loop: loss {loss:.6f}, {alive} numbers in gradients after backward")
    same, none, fused = train(fused=True)
    print(f"fused backward: loss {same:.6f}, {none} numbers in gradients after backward")
    # A checkpoint of one is a checkpoint of the other.
    fused.load_state_dict(optimizer.state_dict())
    optim.unfuse_backward(fused)
    return 0 if loss == same and none == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
