"""A learning rate ten thousand times too large, for one step: with the cap, nothing happens.

A small network learns the bundled digits; in step 200 its learning rate is multiplied. Prints the
accuracy on held-out digits before, right after and at the end, without and with `SoftmaxRadius`,
and the lengths of its steps in radii. `--plot radius.png` draws them. Runs in a few seconds.
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn

from thalweg import optim


def main(plot):
    digits = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float32) / 8 - 1, torch.tensor(digits.target)
    train, test = slice(0, 1400), slice(1400, None)
    for name in ("plain", "clipped", "capped"):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        optimizer = optim.AdamW(model.parameters(), lr=3e-3)
        if name == "capped":
            # The loop stays as it is: the model remembers its last batch.
            optimizer = optim.SoftmaxRadius(optimizer, model)
        shown = []
        for step, rows in enumerate(torch.randint(1400, (400, 64))):
            for group in optimizer.param_groups:
                group["lr"] = 30.0 if step == 200 else 3e-3
            loss = nn.functional.cross_entropy(model(x[train][rows]), y[train][rows])
            optimizer.zero_grad()
            loss.backward()
            if name == "clipped":
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if step in (199, 200, 399):
                with torch.no_grad():
                    hits = model(x[test]).argmax(1) == y[test]
                shown.append(f"{hits.double().mean():.3f}")
        print(f"{name:<8} accuracy before, after, at the end: {', '.join(shown)}")
    spike, rest = optimizer.history[200], list(optimizer.history)[201:]
    print(f"the spike was {spike.r:.0f} radii long, and was cut to {spike.scale * spike.r:.3f}")
    print(f"steps after it were {max(reading.r for reading in rest):.3f} radii long at most")
    if plot:
        optimizer.plot().savefig(plot)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", default=None)
    main(parser.parse_args().plot)
