"""One line of a torch loop swapped: torch.optim for thalweg.optim.

The bundled digits, a small network, the same loop with both. A scheduler, clipping and a checkpoint
are those of torch. Runs in a few seconds.
"""

import io
import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

import thalweg.optim


def train(make, epochs=6):
    torch.manual_seed(0)
    digits = load_digits()
    x = torch.tensor(digits.data, dtype=torch.float32) / 16
    y = torch.tensor(digits.target)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = make(model.parameters())
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for at in range(0, 1400, 100):
            loss = nn.functional.cross_entropy(model(x[at : at + 100]), y[at : at + 100])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
    accuracy = (model(x[1400:]).argmax(1) == y[1400:]).float().mean().item()
    return accuracy, loss.item(), optimizer


def main():
    accuracy, loss, theirs = train(lambda p: torch.optim.AdamW(p, lr=3e-3))
    print(f"torch.optim.AdamW    {accuracy:.3f} right, loss {loss:.6f}")
    # The line that changes:
    same, same_loss, ours = train(lambda p: thalweg.optim.AdamW(p, lr=3e-3))
    print(f"thalweg.optim.AdamW  {same:.3f} right, loss {same_loss:.6f}")
    other, other_loss, _ = train(lambda p: thalweg.optim.AdEMAMix(p, lr=3e-3))
    print(f"thalweg.optim.AdEMAMix {other:.3f} right, loss {other_loss:.6f}")

    # A run begun with torch goes on here.
    checkpoint = io.BytesIO()
    torch.save(theirs.state_dict(), checkpoint)
    checkpoint.seek(0)
    ours.load_state_dict(torch.load(checkpoint))
    return 0 if abs(loss - same_loss) < 1e-3 and min(accuracy, other) > 0.8 else 1


if __name__ == "__main__":
    sys.exit(main())
