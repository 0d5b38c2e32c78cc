"""A layered network whose units settle between their neighbours, for equilibrium propagation.

a_0 = x, a_l = s(u_l)                        potentials u, states a
G_l = W_l a_{l-1} + b_l + V_l a_{l+1}        symmetric: V_l = W_{l+1}^T
u <- u + rate (G(s(u)) - beta dL/da_L - u)   the last term in the last layer alone
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["ACTIVATIONS", "SettlingNetwork"]

# Names are stored, not functions, so that networks can be pickled.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "hard_sigmoid": lambda u: u.clamp(0, 1),
}


class SettlingNetwork(nn.Module):
    """Weights, fixed points and losses; settings are those of `EquilibriumPropagation`.

    Attributes
    ----------
    weights, biases : ParameterList
        W_l of shape (units of l, units below) and b_l.
    feedback : ParameterList
        V_l of shape (units of l, units above); empty where the network is symmetric.
    readout : Linear or None
        Softmax readout of the last layer, None for the squared loss.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str,
        loss: str,
        symmetric: bool,
        draw: Callable[[int, int], Tensor],
    ) -> None:
        super().__init__()
        self.activation, self.symmetric = activation, symmetric
        units = list(sizes[1:] if loss == "squared" else sizes[1:-1])
        self.weights = nn.ParameterList(
            draw(o, i) for i, o in zip([sizes[0], *units], units, strict=False)
        )
        self.biases = nn.ParameterList(torch.zeros(o) for o in units)
        above = [] if symmetric else units[1:]
        self.feedback = nn.ParameterList(draw(i, o) for i, o in zip(units, above, strict=False))
        self.readout: nn.Linear | None = None
        if loss == "cross_entropy":
            # On "meta", torch draws nothing that would move the generator of the caller.
            self.readout = nn.Linear(units[-1], sizes[-1], device="meta")
            self.readout.weight = nn.Parameter(draw(sizes[-1], units[-1]))
            self.readout.bias = nn.Parameter(torch.zeros(sizes[-1]))

    def states(self, potentials: Sequence[Tensor]) -> list[Tensor]:
        """States of all layers."""
        act = ACTIVATIONS[self.activation]
        return [act(u) for u in potentials]

    def rest(self, x: Tensor) -> list[Tensor]:
        """Potentials zero for each sample."""
        return [x.new_zeros(len(x), len(b)) for b in self.biases]

    def back(self) -> list[Tensor]:
        """Weights on the way back, each in the shape of those forward that it runs beside."""
        inner = list(self.weights)[1:]
        return inner if self.symmetric else [v.T for v in self.feedback]

    def settle(
        self,
        potentials: Sequence[Tensor],
        x: Tensor,
        steps: int,
        *,
        rate: float,
        tol: float,
        beta: complex = 0.0,
        y: Tensor | None = None,
    ) -> tuple[list[Tensor], float]:
        """Potentials after relaxing, and the largest change in the last update."""
        dtype = torch.promote_types(x.dtype, torch.complex64) if _complex(beta) else x.dtype
        first, *others = (w.to(dtype).T for w in self.weights)
        back = [m.to(dtype) for m in self.back()]
        biases = list(self.biases)[1:]
        driven = x.to(dtype) @ first + self.biases[0]
        u, change = [p.to(dtype) for p in potentials], math.inf
        for _ in range(steps):
            a = self.states(u)
            goal = [driven, *(s @ w + b for s, w, b in zip(a, others, biases, strict=False))]
            for layer, m in enumerate(back):
                goal[layer] = goal[layer] + a[layer + 1] @ m
            if y is not None:
                goal[-1] = goal[-1] - beta * self.nudge(a[-1], y)
            step = [rate * (g - v) for g, v in zip(goal, u, strict=True)]
            u = [v + s for v, s in zip(u, step, strict=True)]
            change = max(float(s.detach().abs().max()) for s in step)
            if change <= tol:
                break
        return u, change

    def output(self, last: Tensor) -> Tensor:
        """Scores, from the states of the last layer."""
        if self.readout is None:
            return last
        weight, bias = self.readout.weight, self.readout.bias
        return last @ weight.T.to(last.dtype) + bias

    def slope(self, output: Tensor, y: Tensor) -> Tensor:
        """dL/doutput, sample by sample; analytic in complex scores too."""
        if self.readout is None:
            return output - y
        real = output.real if output.is_complex() else output
        powers = torch.exp(output - real.amax(1, keepdim=True))
        return powers / powers.sum(1, keepdim=True) - y

    def nudge(self, last: Tensor, y: Tensor) -> Tensor:
        """dL/da in the last layer."""
        slope = self.slope(self.output(last), y)
        return slope if self.readout is None else slope @ self.readout.weight.to(last.dtype)

    def mean_loss(self, output: Tensor, y: Tensor) -> float:
        """Loss of real scores."""
        if self.readout is None:
            return float((output - y).square().sum() / (2 * len(y)))
        return float(nn.functional.cross_entropy(output, y))


def _complex(beta: complex) -> bool:
    return isinstance(beta, complex)
