"""Block coordinate descent for a 3 x 1500 ReLU network on MNIST, next to its published code.

git clone https://github.com/timlautk/BCD-for-DNNs-PyTorch
python benches/blocks_network.py --peer BCD-for-DNNs-PyTorch --samples 6000 --sweeps 5
python benches/blocks_network.py --sweeps 50

The published code is a notebook: its functions and the body of its training loop are taken from
there and run as they are, in the same process, a sweep of theirs after each of ours, on the same
data and weights. A published sweep is timed twice: whole, as the notebook times it (with its
accuracies and losses), and its block updates alone. MNIST is read from --data, by default
../shared/data/mnist; --samples takes the first of the training set.
"""

from __future__ import annotations

import argparse
import json
import textwrap
import time
from pathlib import Path

import numpy as np
import torch
from search_network import mnist
from torch import nn

from thalweg.coordinate import BlockCoordinateTrainer


def network(width, seed):
    torch.manual_seed(seed)
    layers = []
    for a, b in ((784, width), (width, width), (width, width), (width, 10)):
        layers += [nn.Linear(a, b), nn.ReLU()]
        nn.init.normal_(layers[-2].weight, std=0.01)
        nn.init.constant_(layers[-2].bias, 0.1)
    return nn.Sequential(*layers[:-1])


class Published:
    """State and sweep of the notebook."""

    def __init__(self, folder, model, X, y, test):
        path = Path(folder) / "bcd_dnn_mlp_mnist.ipynb"
        cells = json.loads(path.read_text())["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        one_hot = nn.functional.one_hot
        space = self.space = {"torch": torch, "nn": nn, "np": np, "time": time}
        space |= {
            "device": torch.device("cpu"),
            "N": len(X),
            "N_test": len(test[0]),
            "niter": 1,
            "k": 0,
        }
        space |= {"x_train": X.T.contiguous(), "x_test": test[0].T.contiguous()}
        space |= {
            "y_train": y,
            "y_test": test[1],
            "y_one_hot": one_hot(y, 10).float().T.contiguous(),
        }
        for k in range(4):
            linear = model[2 * k]
            space[f"W{k + 1}"] = linear.weight.detach().clone()
            space[f"b{k + 1}"] = linear.bias.detach()[:, None].clone()
            space[f"d{k + 1}"] = linear.out_features
        start = next(text for text in code if text.startswith("seed ="))
        # From the forward pass on: the weights are ours.
        exec(start[start.index("U1 = ") :], space)
        for text in code:
            if text.startswith("def "):
                exec(text, space)
        loop = next(text for text in code if "for k in range(niter):" in text)
        body = textwrap.dedent(loop.partition("for k in range(niter):\n")[2])
        body = body[: body.index("# print results")]
        updates = body[: body.index("a1_train")]
        self.parts = [compile(updates, str(path), "exec")]
        self.parts.append(compile(body[len(updates) :], str(path), "exec"))

    def sweep(self):
        """Seconds of the updates and of all, and the accuracy on the test set."""
        times = [time.perf_counter()]
        for part in self.parts:
            exec(part, self.space)
            times.append(time.perf_counter())
        return times[1] - times[0], times[2] - times[0], self.space["accuracy_test"][0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", help="folder of the published code")
    parser.add_argument("--data", default="../shared/data/mnist")
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--width", type=int, default=1500)
    parser.add_argument("--sweeps", type=int, default=5)
    parser.add_argument("--seed", type=int, default=10)
    parser.add_argument("--chunk", type=int, default=4096)
    parser.add_argument("--evaluate-every", type=int, default=1)
    options = parser.parse_args()
    (X, y), (X2, y2), test = mnist(options.data)
    # Pixels in [0, 1] and all 60000 training images, as published.
    pixels = [torch.from_numpy(x * 0.3081 + 0.1307) for x in (X, X2, test[0])]
    X = torch.cat(pixels[:2])[: options.samples]
    y = torch.from_numpy(np.concatenate([y, y2])[: options.samples].astype(np.int64))
    test = pixels[2], torch.from_numpy(test[1].astype(np.int64))
    model = network(options.width, options.seed)
    peer = Published(options.peer, model, X, y, test) if options.peer else None
    trainer = BlockCoordinateTrainer(model, chunk=options.chunk)
    ratios, spent = [], []
    for sweep in range(1, options.sweeps + 1):
        start = time.perf_counter()
        objective = trainer.sweep(X, y)
        spent.append(time.perf_counter() - start)
        line = f"sweep {sweep:2d}  objective before {objective:10.2f}  {spent[-1]:6.2f} s"
        if sweep % options.evaluate_every == 0:
            accuracy = (trainer.predict(test[0]).argmax(1) == test[1]).double().mean()
            line += f"  test accuracy {accuracy:.4f}"
        if peer is not None:
            updates, whole, accuracy = peer.sweep()
            ratios.append((updates / spent[-1], whole / spent[-1]))
            line += f"  published {accuracy:.4f}  {updates:6.2f} s, whole {whole:6.2f} s"
        print(line, flush=True)
    if ratios:
        # The first sweep also makes the blocks and reads the data.
        later = np.array(ratios[1:] or ratios)
        for name, column in zip(("updates alone", "as published"), later.T, strict=True):
            low, middle, high = np.percentile(column, [25, 50, 75])
            print(f"{name}: {middle:.2f} times our time (quartiles {low:.2f} and {high:.2f})")


if __name__ == "__main__":
    main()
