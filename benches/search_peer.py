"""Argmax attention and hard routing: the polystep package, then ours in a tenth of its time.

    python benches/search_peer.py attention --seconds 250 --batch 128 --rank 4

Both train the same network on MNIST from the same weights, on one thread of one process; seconds
are CPU seconds of training. The peer runs its published settings (softmax, temperature and radii on
cosine schedules over the steps that fit), with the batch and rank given: at the published batch of
512 and rank 8 a step takes it three minutes here.
"""

import argparse
import time

import numpy as np
import search_network
import torch

import thalweg
from thalweg.search.objectives import Network


class Slots(torch.nn.Module):
    """Values scaled by the sigmoid of the largest key."""

    def __init__(self, inputs, slots):
        super().__init__()
        self.keys, self.values = torch.nn.Linear(inputs, slots), torch.nn.Linear(inputs, inputs)

    def forward(self, h):
        scores = self.keys(h)
        slot = scores.argmax(1)
        return self.values(h) * torch.sigmoid(self.keys.weight[slot])


class Experts(torch.nn.Module):
    """The expert with the largest gate; the others are evaluated and dropped, as published."""

    def __init__(self, inputs, hidden, outputs, experts):
        super().__init__()
        self.gate = torch.nn.Linear(inputs, experts)
        self.experts = torch.nn.ModuleList(
            torch.nn.Sequential(
                torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs)
            )
            for _ in range(experts)
        )

    def forward(self, h):
        chosen = torch.nn.functional.one_hot(self.gate(h).argmax(1), len(self.experts))
        out = torch.stack([expert(h) for expert in self.experts], 1)
        return (out * chosen[:, :, None]).sum(1)


def module(task):
    nn = torch.nn
    first, last = [nn.Linear(784, 128), nn.ReLU()], [nn.Linear(128, 10)]
    inner = Slots(128, 8) if task == "attention" else Experts(128, 128, 128, 4)
    return nn.Sequential(*first, inner, *last)


def accuracy(model, X, y):
    with torch.no_grad():
        return float((model(torch.from_numpy(X)).argmax(1).numpy() == y).mean())


def peer(model, task, data, options):
    import polystep
    from polystep.cost_nn import NNCostEvaluator
    from polystep.epsilon import CosineEpsilon
    from polystep.hybrid_subspace import HybridSubspace
    from polystep.transform import ParamLayout

    (X, y), _, _ = data
    subspace = HybridSubspace.from_layout(
        ParamLayout.from_module(model), rank=options.rank, rotation_interval=0, absorb_interval=20
    )
    total = options.steps

    def cosine(init, target):
        return CosineEpsilon(init=init, target=target, total_steps=total)

    if task == "attention":
        radii = {
            "epsilon": cosine(5.0, 0.3),
            "step_radius": cosine(32.0, 8.0),
            "probe_radius": cosine(2.0, 0.5),
        }
    else:
        # its numbers are multiplied by the temperature
        radii = {"epsilon": 0.5, "step_radius": cosine(12.0, 4.0), "probe_radius": 1.0}
    search = polystep.PolyStepOptimizer(
        model, subspace=subspace, solver="softmax", polytope_type="orthoplex", seed=options.seed,
        **radii,
    )  # fmt: skip
    evaluator = NNCostEvaluator(model, loss_fn=torch.nn.CrossEntropyLoss())
    rng, spent, steps, count = np.random.default_rng(options.seed), 0.0, 0, 0
    while spent < options.seconds and steps < total:
        rows = rng.integers(0, len(X), options.batch)
        xb, yb = torch.from_numpy(X[rows]), torch.from_numpy(y[rows].astype(np.int64))

        def closure(stacked, xb=xb, yb=yb):
            nonlocal count
            out = evaluator.evaluate(stacked, xb, yb)
            count += len(out)
            return out

        start = time.process_time()
        search.step(closure)
        spent += time.process_time() - start
        steps += 1
        print(f"peer step {steps}: {spent:.0f} s, test {100 * score(model, data):.2f}", flush=True)
    return spent, count


def score(model, data):
    return accuracy(model, *data[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["attention", "routed"])
    parser.add_argument("--seconds", type=float, default=250.0)
    parser.add_argument("--steps", type=int, default=25, help="length of the peer's schedules")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", default="../shared/data/mnist")
    options = parser.parse_args()
    torch.set_num_threads(1)
    thalweg.set_num_threads(1)
    data = search_network.mnist(options.data)
    build, _ = search_network.TASKS[options.task]
    network = Network(build(np.random.default_rng(options.seed)))
    model = module(options.task)
    network.to_torch(model)
    before = accuracy(model, *data[2]), network.accuracy(*data[2])
    print(f"{options.task}: before training {100 * before[0]:.2f} and {100 * before[1]:.2f} test")
    spent, count = peer(model, options.task, data, options)
    theirs = score(model, data)
    # the tenth is of CPU time; the schedule must know how many steps fit into it
    budget, start = spent / 10, time.process_time()
    (X, y), _, _ = data
    pilot = Network(build(np.random.default_rng(options.seed)))
    rate = pilot.train(X[:5120], y[:5120], epochs=1, seed=options.seed)
    each = (time.process_time() - start) / rate.steps
    epochs = budget / each / (len(X) // 512)
    start = time.process_time()
    out = network.train(X, y, epochs=epochs, seed=options.seed)
    own = time.process_time() - start
    print(
        f"{options.task} seed {options.seed}: polystep {100 * theirs:.2f} after {spent:.0f} s and "
        f"{count} evaluations, ours {100 * network.accuracy(*data[2]):.2f} after {own:.0f} s and "
        f"{out.evaluations} evaluations"
    )


if __name__ == "__main__":
    main()
