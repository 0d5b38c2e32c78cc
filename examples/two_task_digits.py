"""Two tasks on the bundled digits: which digit, and is it drawn with a closed loop.

One trunk, two heads. The mean gradient, UPGrad and ConFIG train the same network; `conflict` shows
how often the two tasks pull apart on the trunk, and a heat map of it is written when matplotlib is
there. Runs in a few seconds.
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

import thalweg.aggregate as ag

LOOPS = torch.tensor([1, 0, 0, 0, 1, 0, 1, 0, 1, 1])  # 0, 4, 6, 8 and 9 enclose an area


def data():
    digits = load_digits()
    x = torch.tensor(digits.data, dtype=torch.float32) / 16
    y = torch.tensor(digits.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    return (x[:1200], y[:1200]), (x[1200:], y[1200:])


def train(aggregator, epochs=10, batch=64):
    torch.manual_seed(0)
    (x, y), (xt, yt) = data()
    trunk = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
    digit, loop = nn.Linear(32, 10), nn.Linear(32, 1)
    heads = [list(digit.parameters()), list(loop.parameters())]
    optimizer = torch.optim.Adam([*trunk.parameters(), *heads[0], *heads[1]], lr=3e-3)
    history = ag.ConflictHistory(["digit", "loop"])

    def watched(jacobian):
        history.update(jacobian)
        return aggregator(jacobian)

    for _ in range(epochs):
        for index in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            z = trunk(x[index])
            losses = [
                nn.functional.cross_entropy(digit(z), y[index]),
                nn.functional.binary_cross_entropy_with_logits(
                    loop(z)[:, 0], LOOPS[y[index]].float()
                ),
            ]
            ag.mtl_backward(losses, z, heads, trunk.parameters(), watched)
            optimizer.step()
    with torch.no_grad():
        z = trunk(xt)
        right = (digit(z).argmax(1) == yt).float().mean()
        looped = ((loop(z)[:, 0] > 0) == LOOPS[yt].bool()).float().mean()
    return float(right), float(looped), history


def main():
    torch.set_num_threads(1)  # networks this small only wait for a second thread
    for aggregator in (ag.Mean(), ag.UPGrad(), ag.ConFIG()):
        right, looped, history = train(aggregator)
        rate = sum(record.rate for record in history.records) / len(history.records)
        print(
            f"{type(aggregator).__name__:8s} digit {right:.3f}  loop {looped:.3f}  "
            f"steps in conflict {rate:.0%}"
        )
    if len(sys.argv) > 1:
        history.plot().figure.savefig(sys.argv[1])


if __name__ == "__main__":
    main()
