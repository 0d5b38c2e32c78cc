"""What low-precision states and parameters cost in a training run: losses against float32.

    python benches/state_precision.py --data DIR --seeds 0,1,2,3,4

Trains a network 784-256-256-10 on MNIST (IDX files in DIR, as `thalweg race --task mnist` takes
them; without DIR a smaller one on scikit-learn's digits) for some epochs: the same initial weights
and batches for every line of a seed. Prints the cross-entropy over the whole training set after the
last step, and its difference from the run with float32 states of the same seed, as mean and
standard deviation over seeds. `--json FILE` appends the runs, and prints the table of all runs
there, so that seeds can be run one after the other.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg import optim
from thalweg.race import idx

# Rates that suit each rule on this network.
RULES: dict[str, dict[str, Any]] = {
    "Adam": {"lr": 1e-3},
    "AdEMAMix": {"lr": 1e-3},
    "DiffGrad": {"lr": 1e-3},
    "Lion": {"lr": 1e-4},
    "Muon": {"lr": 2e-2},
}
STATES = ("float32", "bfloat16", "int8")
ROUNDINGS = ("nearest", "stochastic", "kahan")


def mnist(folder: Path) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return images and labels, of training and test."""

    def part(name: str) -> tuple[Tensor, Tensor]:
        images = idx.read(idx.find(folder, f"{name}-images-idx3-ubyte"))
        labels = idx.read(idx.find(folder, f"{name}-labels-idx1-ubyte"))
        x = torch.from_numpy(images.reshape(len(images), -1).astype(np.float32)) / 255
        return (x - 0.13) / 0.31, torch.from_numpy(labels.astype(np.int64))

    return part("train"), part("t10k")


def digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """As `mnist`, of the digits that come with scikit-learn."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x, y = torch.tensor(data.data, dtype=torch.float32) / 8 - 1, torch.tensor(data.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return (x[order[:1437]], y[order[:1437]]), (x[order[1437:]], y[order[1437:]])


def network(inputs: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [nn.Linear(inputs, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)]
    return nn.Sequential(*layers)


def batches(n: int, size: int, epochs: int, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        yield from torch.randperm(n, generator=generator).split(size)


def optimizers(model: nn.Module, rule: str, **options: Any) -> list[torch.optim.Optimizer]:
    """One optimizer; two for Muon, whose vectors go to Adam."""
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() != 2]
    if rule == "Muon":
        return [
            optim.Muon(matrices, weight_decay=0.0, **RULES["Muon"], **options),
            optim.Adam(vectors, **RULES["Adam"], **options),
        ]
    return [getattr(optim, rule)(model.parameters(), **RULES[rule], **options)]


def train(data: Any, rule: str, seed: int, epochs: int, dtype: torch.dtype, **options: Any) -> Any:
    """Return losses and error after one run, and bytes of state a parameter."""
    (x, y), (xt, yt) = data
    model = network(x.shape[1], seed).to(dtype)
    steppers = optimizers(model, rule, **options)
    for batch in batches(len(x), 128, epochs, seed):
        loss = nn.functional.cross_entropy(model(x[batch].to(dtype)).float(), y[batch])
        for stepper in steppers:
            stepper.zero_grad()
        loss.backward()
        for stepper in steppers:
            stepper.step()
    # Judged in float32, whatever the type of the weights.
    model.float()
    with torch.no_grad():
        scores, tests = model(x), model(xt)
    held = sum(
        t.numel() * t.element_size()
        for stepper in steppers
        for entry in stepper.state.values()
        for t in entry.values()
    )
    return {
        "rule": rule,
        "seed": seed,
        "parameters": str(dtype).removeprefix("torch."),
        "state": options.get("state_dtype", "float32"),
        "rounding": options.get("rounding", "nearest"),
        "train": float(nn.functional.cross_entropy(scores, y)),
        "test": float(nn.functional.cross_entropy(tests, yt)),
        "error": float((tests.argmax(1) != yt).double().mean()),
        "bytes": held / sum(p.numel() for p in model.parameters()),
    }


def runs(data: Any, seeds: list[int], epochs: int) -> Iterator[dict[str, Any]]:
    for seed in seeds:
        for rule in RULES:
            for state in STATES:
                yield train(data, rule, seed, epochs, torch.float32, state_dtype=state)
        for rounding in ROUNDINGS:
            yield train(data, "Adam", seed, epochs, torch.bfloat16, rounding=rounding)
        yield train(
            data, "Adam", seed, epochs, torch.bfloat16, rounding="stochastic", state_dtype="int8"
        )


def table(records: list[dict[str, Any]]) -> str:
    """Losses as mean and deviation over seeds, a line for each kind of run."""
    keys = ("rule", "parameters", "state", "rounding")
    kinds: dict[tuple[str, ...], dict[int, dict[str, Any]]] = {}
    for record in records:
        kinds.setdefault(tuple(record[k] for k in keys), {})[record["seed"]] = record
    lines = [
        "| rule | parameters | rounding | state | bytes a parameter | training loss | "
        "minus that of float32 | test loss | test error, % |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (rule, parameters, state, rounding), found in kinds.items():
        full = kinds[rule, "float32", "float32", "nearest"]
        seeds = sorted(set(found) & set(full))
        change = [found[s]["train"] - full[s]["train"] for s in seeds]
        cells = [rule, parameters, rounding if parameters != "float32" else "-", state]
        cells += [f"{next(iter(found.values()))['bytes']:.2f}"]
        cells += [spread([found[s]["train"] for s in seeds])]
        cells += ["-" if found is full else spread(change)]
        cells += [spread([found[s]["test"] for s in seeds])]
        cells += [spread([100 * found[s]["error"] for s in seeds], 2)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: list[float], digits: int = 4) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} +- {deviation:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of MNIST's IDX files")
    parser.add_argument("--seeds", default="0,1,2,3,4", help="default 0,1,2,3,4")
    parser.add_argument("--epochs", type=int, default=5, help="default 5")
    parser.add_argument("--json", type=Path, help="append the runs here")
    arguments = parser.parse_args()
    data = digits() if arguments.data is None else mnist(arguments.data)
    known = arguments.json is not None and arguments.json.exists()
    records = json.loads(arguments.json.read_text()) if known else []
    for record in runs(data, [int(s) for s in arguments.seeds.split(",")], arguments.epochs):
        records.append(record)
        if arguments.json:
            arguments.json.write_text(json.dumps(records, indent=1) + "\n")
    print(table(records))


if __name__ == "__main__":
    main()
