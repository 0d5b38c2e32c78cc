"""The part of a step that is not the model's, against a stream of the bytes that it must move.

    python benches/multi_gradient.py --elements 8000000

Closures hand out gradients that lie ready, so that what is timed is the optimizer's. The stream
copies memory: one array read and one written, counted as two arrays. `arrays` is how often the
formula reads or writes an array as long as the parameters, given how the step must keep them until
it cannot fail; `ratio` is the time over that of as many arrays of the stream, both measured in
turn.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from stepping import measure
from torch import Tensor

import thalweg
from thalweg import optim

# What a step reads and writes, in arrays of the length of the parameters.
ARRAYS = {
    # |g|; x and g to the trial; the trial to x.
    "SMB, trial step": 1 + 3 + 2,
    # |g|; x and g to the trial; |g_t|; products of g and g_t; x, g and g_t to x.
    "SMB, model step": 1 + 3 + 1 + 2 + 4,
    # g to v; |v|; x to the point before; x and v to x.
    "SPIDER, large batch": 2 + 1 + 2 + 3,
    # |g'|; g, g' and v to v; x to the point before; x and v to x.
    "SPIDER, difference": 1 + 4 + 2 + 3,
    # x and D to w; D and g to D; |D|; D in the ball; |D|; x and D to x; mean and w to the mean.
    "O2NC": 3 + 3 + 1 + 2 + 1 + 3 + 3,
}


class Case:
    """One parameter, and gradients as a closure finds them."""

    def __init__(self, elements: int) -> None:
        self.x = torch.nn.Parameter(torch.randn(elements))
        self.gradients = [1e-3 * torch.randn(elements) for _ in range(2)]
        self.calls = 0

    def closure(self, rising: bool = False) -> Tensor:
        """Loss; gradients in turn, put where autograd would put them."""
        turn = self.calls % 2
        self.calls += 1
        self.x.grad = self.gradients[turn]
        return torch.tensor(1.0 + turn if rising else 1.0 - turn)


def steps(case: Case) -> dict[str, Callable[[], None]]:
    smb = optim.SMB([case.x], lr=1e-6)
    fresh, corrected = (optim.SPIDER([case.x], lr=1e-6, q=q) for q in (1, 1 << 30))
    o2nc = optim.O2NC([case.x], radius=1e-6, length=1 << 30)
    spare = [g.clone() for g in case.gradients]

    def difference() -> None:
        corrected.step(case.closure)
        # The step keeps the memory of the second gradient as its estimate.
        case.gradients[1] = spare[0]
        spare.reverse()

    return {
        "SMB, trial step": lambda: smb.step(case.closure),
        "SMB, model step": lambda: smb.step(lambda: case.closure(rising=True)),
        "SPIDER, large batch": lambda: fresh.step(case.closure),
        "SPIDER, difference": difference,
        "O2NC": lambda: o2nc.step(case.closure),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elements", type=int, default=8_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    thalweg.set_num_threads(arguments.threads)
    source, target = torch.randn(arguments.elements), torch.randn(arguments.elements)
    case = Case(arguments.elements)
    print(f"{'step':<22} arrays  ms       ratio to the stream")
    for name, step in steps(case).items():
        step()
        case.calls = 0
        stream = measure.Contender("stream", lambda: target.copy_(source))
        result = measure.run([measure.Contender("step", step), stream], arguments.rounds, 0.0)
        share = 2 / ARRAYS[name]
        low, middle, high = (share * r for r in measure.quartiles(result.ratios("step", "stream")))
        milliseconds = 1e3 * result.median("step")
        print(
            f"{name:<22} {ARRAYS[name]:>6}  {milliseconds:7.2f}  "
            f"{middle:.2f} [{low:.2f}, {high:.2f}]"
        )


if __name__ == "__main__":
    main()
