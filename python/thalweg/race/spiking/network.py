"""One network of leaky integrate-and-fire units: as arrays, and as a torch module.

Every step v = beta v + z, a spike and v = 0 where v >= 1; the input current is constant, and the
spike counts of the outputs are the scores.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from thalweg.search.objectives import Dense, Network

BETA, THRESHOLD, STEPS, CLASSES = 0.95, 1.0, 15, 10
# every class fires for some image at the start
LIFT = 0.2


class _Spike(torch.autograd.Function):
    """A hard threshold whose backward pass pretends to be steep but smooth.

    Zenke, Ganguli 2018, "SuperSpike", Neural Computation 30(6): 1 / (1 + slope |v - threshold|)^2.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(v)
        ctx.slope = slope
        return (v >= THRESHOLD).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (v,) = ctx.saved_tensors
        return grads[0] / (1 + ctx.slope * (v - THRESHOLD).abs()) ** 2, None


class SurrogateNet(nn.Module):
    """The network with a surrogate gradient.

    Parameters
    ----------
    inputs, hidden : int
        Sizes.
    slope : float, default 10
        Steepness of the pretended derivative, > 0.
    """

    def __init__(self, inputs: int, hidden: int, slope: float = 10.0) -> None:
        super().__init__()
        self.slope = slope
        self.hidden = nn.Linear(inputs, hidden)
        self.out = nn.Linear(hidden, CLASSES)
        with torch.no_grad():
            self.out.bias += LIFT

    def forward(self, images: Tensor) -> Tensor:
        """Spike counts, shape (n, classes)."""
        current = self.hidden(images)
        v, u = torch.zeros_like(current), images.new_zeros(len(images), CLASSES)
        counts = torch.zeros_like(u)
        for _ in range(STEPS):
            spikes, v = self._fire(BETA * v + current)
            out, u = self._fire(BETA * u + self.out(spikes))
            counts = counts + out
        return counts

    def _fire(self, v: Tensor) -> tuple[Tensor, Tensor]:
        spikes: Tensor = _Spike.apply(v, self.slope)  # type: ignore[no-untyped-call]
        return spikes, v * (1 - spikes)


def as_arrays(weights: dict[str, Tensor]) -> Network:
    """The network of such weights, for evaluation and search without gradients."""
    spiking = {"beta": BETA, "threshold": THRESHOLD, "steps": STEPS}
    parts = [
        (weights[f"{name}.weight"].numpy(), weights[f"{name}.bias"].numpy())
        for name in ("hidden", "out")
    ]
    return Network([Dense(w, b, "lif", **spiking) for w, b in parts])  # type: ignore[arg-type]
