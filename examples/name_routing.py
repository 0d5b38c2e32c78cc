"""Muon for hidden matrices, AdamW for embedding, head and vectors: one optimizer, by name and shape.

A character model on a text that counts. Telemetry shows what the steps of each group did, and is
drawn when matplotlib is there. Runs in a few seconds.
"""

import sys

import torch
from torch import nn

from thalweg import optim

TEXT = " ".join(f"{n} plus {n} is {2 * n}" for n in range(200))
LETTERS = sorted(set(TEXT))


class Model(nn.Module):
    def __init__(self, width=32, context=8):
        super().__init__()
        self.embed = nn.Embedding(len(LETTERS), width)
        self.hidden = nn.Sequential(
            nn.Linear(width * context, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()
        )
        self.head = nn.Linear(64, len(LETTERS))

    def forward(self, x):
        return self.head(self.hidden(self.embed(x).flatten(1)))


def main():
    torch.manual_seed(0)
    codes = torch.tensor([LETTERS.index(c) for c in TEXT])
    windows = codes.unfold(0, 9, 1)
    x, y = windows[:, :8], windows[:, 8]
    model = Model()
    # The first key that matches counts: "embedding" and "head.*" before "matrix".
    optimizer = optim.Routed(
        model,
        {
            "embedding": lambda p: optim.AdamW(p, lr=1e-2, weight_decay=0.0),
            "head.*": lambda p: optim.AdamW(p, lr=3e-3),
            "matrix": lambda p: optim.Muon(p, lr=2e-2),
            "rest": lambda p: optim.AdamW(p, lr=3e-3, weight_decay=0.0),
        },
    )
    for group in optimizer.param_groups:
        print(f"{group['rule']:<6} lr {group['lr']:<6} {', '.join(group['param_names'])}")
    telemetry = optim.Telemetry(optimizer, per="group")
    generator = torch.Generator().manual_seed(0)
    first = None
    for _ in range(150):
        rows = torch.randint(len(x), (128,), generator=generator)
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first = first or loss.item()
    print(f"loss {first:.3f} -> {loss.item():.3f}")
    for number, reading in telemetry.last.items():
        print(f"group {number}: update {reading.update_norm:.4f} of {reading.param_norm:.2f}")
    try:
        telemetry.plot().savefig("name_routing.png")
        print("wrote name_routing.png")
    except ImportError as error:
        print(error)
    return 0 if loss.item() < 0.5 * first else 1


if __name__ == "__main__":
    sys.exit(main())
