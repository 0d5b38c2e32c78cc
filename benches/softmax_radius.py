"""Spikes of the learning rate on MNIST with and without SoftmaxRadius, and what it costs.

python benches/softmax_radius.py spikes mlp --out mlp.json
python benches/softmax_radius.py picture mlp.json cnn.json transformer-*.json --png spikes.png
python benches/softmax_radius.py overhead

MNIST is read from --data, by default ../shared/data/mnist. A network trains for 200 steps of AdamW
at 1e-3 (the transformer at 3e-3) with batches of 128; in step 201, or in --length steps from there,
the rate is multiplied; then it is as before, until step 300. "clipped" has its gradients clipped to
norm 1. All start from the same weights and see the same batches. The table shows test accuracy in
percent right after the first step of the spike, at the end, and the range of the latter over seeds.
`overhead` times both in turns, in one process.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from thalweg import optim

FACTORS = (1, 10, 100, 1000, 10000)
ARMS = ("plain", "clipped", "controlled")
BEFORE, AFTER, BATCH = 200, 100, 128
LR = {"mlp": 1e-3, "cnn": 1e-3, "transformer": 3e-3}


def mnist(folder, train=20000, test=2000):
    def read(name, offset):
        return np.frombuffer(gzip.open(Path(folder) / name).read(), np.uint8, offset=offset)

    def images(name, count):
        pixels = read(name, 16).reshape(-1, 1, 28, 28)[:count].astype(np.float32)
        return torch.from_numpy((pixels / 255 - 0.1307) / 0.3081)

    def labels(name, count):
        return torch.from_numpy(read(name, 8)[:count].astype(np.int64))

    return (
        images("train-images-idx3-ubyte.gz", train),
        labels("train-labels-idx1-ubyte.gz", train),
        images("t10k-images-idx3-ubyte.gz", test),
        labels("t10k-labels-idx1-ubyte.gz", test),
    )


def mlp():
    layers = [nn.Flatten(), nn.Linear(784, 128)]
    for _ in range(2):
        layers += [nn.LayerNorm(128), nn.GELU(), nn.Linear(128, 128)]
    return nn.Sequential(*layers, nn.LayerNorm(128), nn.GELU(), nn.Linear(128, 10))


def cnn():
    layers = []
    for i, o in ((1, 8), (8, 16), (16, 32)):
        layers += [nn.Conv2d(i, o, 3, stride=2, padding=1), nn.BatchNorm2d(o), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


class Transformer(nn.Module):
    """Sixteen patches of 7 x 7, two blocks."""

    def __init__(self, width=32):
        super().__init__()
        self.embed = nn.Linear(49, width)
        self.place = nn.Parameter(torch.randn(16, width) * 0.1)
        block = {"dropout": 0.1, "batch_first": True, "norm_first": True}
        self.blocks = nn.Sequential(
            *(nn.TransformerEncoderLayer(width, 4, 4 * width, **block) for _ in range(2))
        )
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        patches = nn.functional.unfold(x, 7, stride=7).transpose(1, 2)
        return self.head(self.blocks(self.embed(patches) + self.place).mean(1))


NETWORKS = {"mlp": mlp, "cnn": cnn, "transformer": Transformer}


def build(name, arm):
    model = NETWORKS[name]()
    optimizer = optim.AdamW(model.parameters(), lr=LR[name])
    return model, optim.SoftmaxRadius(optimizer, model) if arm == "controlled" else optimizer


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        found = (model(x).argmax(1) == y).double().mean().item()
    model.train()
    return found


def step(model, optimizer, x, y, clip):
    loss = nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    if clip:
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def spikes(name, data, seeds, length):
    """Accuracy by arm, factor and seed: a list over the steps from the spike on."""
    x, y, x_test, y_test = data
    found = {arm: {factor: [] for factor in FACTORS} for arm in ARMS}
    for seed in seeds:
        for arm in ARMS:
            torch.manual_seed(seed)
            start = build(name, arm)
            generator = torch.Generator().manual_seed(seed)
            draw = torch.randint(len(x), (BEFORE + AFTER, BATCH), generator=generator)
            for rows in draw[:BEFORE]:
                step(*start, x[rows], y[rows], arm == "clipped")
            for factor in FACTORS:
                model, optimizer = copy.deepcopy(start)
                torch.manual_seed(seed)
                curve = [accuracy(model, x_test, y_test)]
                for k, rows in enumerate(draw[BEFORE:]):
                    for group in optimizer.param_groups:
                        group["lr"] = LR[name] * (factor if k < length else 1)
                    step(model, optimizer, x[rows], y[rows], arm == "clipped")
                    if k < 10 or k % 10 == 9:
                        curve.append(accuracy(model, x_test, y_test))
                found[arm][factor].append(curve)
            ends = [found[arm][factor][-1][-1] for factor in FACTORS]
            print(name, seed, arm, " ".join(f"{end:.3f}" for end in ends), flush=True)
    return found


def table(results):
    print("| network | spike | " + " | ".join(ARMS) + " |")
    print("| --- | ---: | " + " | ".join("---" for _ in ARMS) + " |")
    for name, found in results.items():
        for factor in FACTORS:
            cells = []
            for arm in ARMS:
                curves = 100 * np.array(found[arm][str(factor)])
                after, end = np.median(curves[:, 1]), curves[:, -1]
                spread = f"({end.min():.1f}-{end.max():.1f})"
                cells.append(f"{after:.1f}, {np.median(end):.1f} {spread}")
            print(f"| {name} | {factor}x | " + " | ".join(cells) + " |")


def picture(results, png):
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        2, len(results), figsize=(3.2 * len(results), 4.6), sharex=True, sharey=True,
        layout="constrained", squeeze=False,
    )  # fmt: skip
    steps = [0, *range(1, 11), *range(20, AFTER + 1, 10)]
    for column, (name, found) in enumerate(results.items()):
        for row, factor in enumerate((100, 10000)):
            panel = panels[row, column]
            for arm, color in zip(ARMS, ("tab:red", "tab:blue", "tab:green")):
                curves = 100 * np.array(found[arm][str(factor)])
                panel.plot(steps, np.median(curves, 0), color=color, label=arm)
                panel.fill_between(steps, curves.min(0), curves.max(0), color=color, alpha=0.15)
            panel.set_title(f"{name}, {factor}x", fontsize=10)
    for panel in panels[1]:
        panel.set_xlabel("steps since the spike")
    for panel in panels[:, 0]:
        panel.set_ylabel("test accuracy, %")
    panels[0, 0].legend(fontsize=8)
    figure.savefig(png, dpi=80)


def loaded(paths):
    """Results by network; files of the same one, such as cnn-1.json and cnn-2.json, are joined."""
    results = {}
    for path in map(Path, paths):
        found = json.loads(path.read_text())
        joined = results.setdefault(path.stem.split("-")[0], found)
        if joined is not found:
            for arm, factors in found.items():
                for factor, curves in factors.items():
                    joined[arm][factor] += curves
    return results


def overhead(data, rounds=30):
    """Time of training steps over that of plain ones, in turns, and what a step adds."""
    x, y = data[:2]
    options = {"jvp": {}, "jvp, 32 rows": {"samples": 32}, "difference": {"method": "difference"}}
    for name in NETWORKS:
        torch.manual_seed(0)
        start, pairs = NETWORKS[name](), {}
        for kind in ("plain", *options):
            model = copy.deepcopy(start)
            optimizer = optim.AdamW(model.parameters(), lr=1e-3)
            if kind != "plain":
                optimizer = optim.SoftmaxRadius(optimizer, model, **options[kind])
            pairs[kind] = model, optimizer
        taken = {kind: [] for kind in pairs}
        for k in range(rounds + 3):
            rows = slice(k * BATCH, (k + 1) * BATCH)
            for kind, (model, optimizer) in pairs.items():
                optimizer.zero_grad()
                times = [time.perf_counter()]
                loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
                times.append(time.perf_counter())
                loss.backward()
                times.append(time.perf_counter())
                optimizer.step()
                times.append(time.perf_counter())
                if k >= 3:
                    taken[kind].append(times)
        spent = {kind: np.diff(np.array(times)) for kind, times in taken.items()}
        plain = spent["plain"]
        forward, backward, step = 1e3 * np.median(plain, 0)
        print(f"{name}: forward {forward:.2f} ms, backward {backward:.2f}, AdamW {step:.3f}")
        for kind in options:
            ratios = spent[kind].sum(1) / plain.sum(1)
            low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
            added = np.median((spent[kind][:, 2] - plain[:, 2]) / plain[:, 0])
            print(
                f"  {kind}: training step {middle:.2f} ({low:.2f}-{high:.2f}) of a plain one, "
                f"adds {added:.2f} forward passes"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("spikes", "picture", "overhead"))
    parser.add_argument("names", nargs="*")
    parser.add_argument("--data", default="../shared/data/mnist")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--length", type=int, default=1)
    parser.add_argument("--out", default="spikes.json")
    parser.add_argument("--png", default="spikes.png")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.what == "picture":
        results = loaded(options.names)
        table(results)
        picture(results, options.png)
    elif options.what == "overhead":
        overhead(mnist(options.data))
    else:
        found = spikes(options.names[0], mnist(options.data), options.seeds, options.length)
        Path(options.out).write_text(json.dumps(found))
