"""Equilibrium propagation: the gradient is how a settled network shifts when its output is nudged.

Scellier, Bengio 2017, arXiv:1602.05179; centred and holomorphic: Laborieux, Zenke 2022,
arXiv:2209.00530; any vector field: Laborieux, Zenke 2024, arXiv:2309.02214.

  G(a)     what potentials settle at (settling_network.py); symmetric: G = dPhi/da
  beta_k   beta exp(2 pi i k / N), N points on a circle; N = 1 subtracts the state at beta = 0
  symmetric    dL/dw = -(1/N) sum_k Re[(dPhi/dw at beta_k) / beta_k]
  asymmetric   dL/dw = da^T (dG/dw at beta = 0),  da = -(1/N) sum_k Re[a(beta_k) / beta_k]
  homeostasis  ||J - J^T||_F^2 / (2 n), J = dG/da: n units, blocks of J are W and V

A beta > 0 lowers the loss. Deviations: the homeostatic penalty is exact, which costs less here
than the published estimate by random draws, since the blocks of J are the weights.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.search._arguments import as_choice
from thalweg.search.learning._rule import (
    Rule,
    accumulate,
    check_classes,
    check_count,
    check_inputs,
    check_positive,
)
from thalweg.search.learning.settling_network import ACTIVATIONS, SettlingNetwork

__all__ = ["EquilibriumPropagation"]


class EquilibriumPropagation(Rule):
    """A layered network that settles, trained by nudging its output.

    Use it to study learning in physical or recurrent systems: gradients come from states alone.

    Parameters
    ----------
    sizes : sequence of int
        Features of a sample, units of each hidden layer (at least one), classes.
    activation : {"sigmoid", "tanh", "hard_sigmoid"}, default "sigmoid"
        States as functions of potentials; the last one for at most two points.
    loss : {"cross_entropy", "squared"}, default "cross_entropy"
        A softmax readout of the last hidden layer, outside of the dynamics, or half the squared
        distance of a last layer of units from the one-hot class.
    symmetric : bool, default True
        Whether connections back are those forward, transposed (an energy), or have weights of
        their own.
    beta : float, default 0.5
        Radius of the circle of nudges, != 0; the first nudge of a negative one raises the loss.
    points : int, default 2
        N >= 1 nudges on the circle: 1 one-sided, 2 centred, more with complex states. The error
        of the gradient is O(beta^N).
    homeostasis : float, optional
        Weight >= 0 of the penalty that makes an asymmetric network symmetric, default 0.5 (as
        published), and 0 if it is symmetric.
    free_steps, nudge_steps : int, default 150 and 20
        Most updates of the potentials towards the free and the nudged fixed points.
    tol : float, default 1e-5
        Settled when no potential changes by more.
    rate : float, default 1.0
        Part of the way that potentials go in an update, in (0, 1]. Lower it where they do not
        settle.
    gain : float, default 1.0
        Initial weights are Gaussian with deviation gain / sqrt(inputs); about 0.3 for "tanh".
    seed : None, int or numpy Generator
        Seed of the initial weights.

    Attributes
    ----------
    network : SettlingNetwork
        Weights and dynamics.
    residual : float
        Largest change of a potential in the last free update: at most `tol` if it settled.

    Raises
    ------
    ValueError
        For settings out of range, and where nudged states are not finite.

    Notes
    -----
    In a symmetric network the result tends to the gradient of the loss at the free fixed point as
    beta goes to 0. In an asymmetric one it does so as V tends to W^T, which homeostasis brings
    about. Time: at most `free_steps + N * nudge_steps` products with every weight matrix; of
    complex points only half are computed.

    References
    ----------
    Scellier, Bengio 2017, "Equilibrium propagation", arXiv:1602.05179. Laborieux, Zenke 2022,
    "Holomorphic equilibrium propagation computes exact gradients through finite size
    oscillations", arXiv:2209.00530. Laborieux, Zenke 2024, "Improving equilibrium propagation
    without weight symmetry through Jacobian homeostasis", arXiv:2309.02214.

    Examples
    --------
    >>> import torch
    >>> from thalweg.search.learning import EquilibriumPropagation
    >>> x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    >>> y = (x[:, 0] > x[:, 1]).long()
    >>> rule = EquilibriumPropagation([2, 16, 2], seed=0)
    >>> optimizer = torch.optim.Adam(rule.parameters(), lr=0.1)
    >>> for _ in range(40):
    ...     optimizer.zero_grad()
    ...     loss = rule.backward(x, y)
    ...     optimizer.step()
    >>> bool((rule.predict(x).argmax(1) == y).float().mean() > 0.9)
    True
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: str = "sigmoid",
        loss: str = "cross_entropy",
        symmetric: bool = True,
        beta: float = 0.5,
        points: int = 2,
        homeostasis: float | None = None,
        free_steps: int = 150,
        nudge_steps: int = 20,
        tol: float = 1e-5,
        rate: float = 1.0,
        gain: float = 1.0,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        super().__init__(seed)
        as_choice("activation", activation, tuple(ACTIVATIONS))
        as_choice("loss", loss, ("cross_entropy", "squared"))
        self.sizes = [check_count("sizes", size, 1, 256) for size in sizes]
        if len(self.sizes) < 3:
            raise ValueError(
                f"sizes must be features, hidden units, classes, got {self.sizes}; add a layer"
            )
        self.points = check_count("points", points, 1, 2)
        if activation == "hard_sigmoid" and points > 2:
            raise ValueError(
                f"points must be 1 or 2 with activation='hard_sigmoid', got {points}; complex "
                "states need an analytic activation"
            )
        if homeostasis is None:
            homeostasis = 0.0 if symmetric else 0.5
        elif symmetric and homeostasis:
            raise ValueError(
                f"homeostasis must be 0 with symmetric=True, got {homeostasis}; leave it out"
            )
        _check_range("beta", beta, beta != 0, "finite and != 0", "0.5")
        _check_range("homeostasis", homeostasis, homeostasis >= 0, ">= 0", "0.5")
        _check_range("tol", tol, tol >= 0, ">= 0", "1e-5")
        _check_range("rate", rate, 0 < rate <= 1, "in (0, 1]", "1.0")
        check_positive("gain", gain, 1.0)
        self.beta, self.homeostasis, self.tol, self.rate = beta, homeostasis, tol, rate
        self.free_steps = check_count("free_steps", free_steps, 1, 150)
        self.nudge_steps = check_count("nudge_steps", nudge_steps, 1, 20)
        self.residual = math.nan

        def draw(rows: int, columns: int) -> Tensor:
            drawn: Tensor = self.normal(rows, columns, like=torch.empty(0)) * gain / columns**0.5
            return drawn

        self.network = SettlingNetwork(self.sizes, activation, loss, bool(symmetric), draw)

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores of the settled network."""
        x = self._flat(inputs)
        return self.network.output(self.network.states(self._free(x))[-1])

    @torch.no_grad()
    def backward(self, inputs: Tensor, targets: Tensor) -> float:
        """Add the gradients of one batch to `.grad`.

        Parameters
        ----------
        inputs : Tensor, shape (n, ...)
            Samples, finite; flattened to (n, features).
        targets : Tensor of int64, shape (n,)
            Class indices.

        Returns
        -------
        float
            The mean loss of the batch at the free fixed point, without homeostasis.
        """
        check_inputs(inputs)
        check_classes(inputs, targets, self.sizes[-1])
        net, x = self.network, self._flat(inputs)
        y = nn.functional.one_hot(targets.long(), self.sizes[-1]).to(x)
        potentials = self._free(x)
        free = net.states(potentials)
        if net.symmetric:
            found = self._contour(potentials, x, y, lambda a: _products([x, *a], a))
        else:
            shift = self._contour(potentials, x, y, lambda a: a)
            found = _products([x, *free], shift)
            found += [s.T @ a for s, a in zip(shift, free[1:], strict=False)]
        gradients = self._pulled([g / len(x) for g in found])
        output = net.output(free[-1])
        if net.readout is not None:
            slope = net.slope(output, y)
            gradients += [slope.T @ free[-1] / len(x), slope.mean(0)]
        accumulate(list(net.parameters()), gradients)
        return net.mean_loss(output, y)

    @torch.no_grad()
    def asymmetry(self) -> float:
        """The homeostatic penalty ||J - J^T||_F^2 / (2 n), 0 for a symmetric network."""
        return sum(float(gap.square().sum()) for gap in self._gaps()) / self._units()

    def _contour(
        self,
        potentials: list[Tensor],
        x: Tensor,
        y: Tensor,
        measure: Callable[[list[Tensor]], list[Tensor]],
    ) -> list[Tensor]:
        """Minus the derivative of `measure` of the states by beta, from points on the circle."""
        net, count = self.network, self.points
        total = [torch.zeros_like(m) for m in measure(net.states(potentials))]
        if count == 1:
            total = [m / self.beta for m in measure(net.states(potentials))]
        for k in range(count // 2 + 1):
            # Points k and N - k are conjugate; those on the real axis stay real.
            turn = (
                1.0 if k == 0 else -1.0 if 2 * k == count else cmath.exp(2j * cmath.pi * k / count)
            )
            beta, weight = self.beta * turn, 2 if isinstance(turn, complex) else 1
            nudged, _ = net.settle(
                potentials, x, self.nudge_steps, rate=self.rate, tol=self.tol, beta=beta, y=y
            )
            for t, m in zip(total, measure(net.states(nudged)), strict=True):
                t -= weight * torch.real(m / beta)
        if not all(bool(torch.isfinite(t).all()) for t in total):
            raise ValueError(
                f"beta must be so small that nudged states stay finite, got {self.beta}; lower it "
                "or rate"
            )
        return [t / count for t in total]

    def _flat(self, inputs: Tensor) -> Tensor:
        dtype, x = self.network.weights[0].dtype, inputs.flatten(1)
        if x.shape[1] != self.sizes[0] or x.dtype != dtype:
            raise ValueError(
                f"inputs must be {dtype} with {self.sizes[0]} features, got {x.dtype} with "
                f"{x.shape[1]}; convert them"
            )
        return x

    def _free(self, x: Tensor) -> list[Tensor]:
        potentials, self.residual = self.network.settle(
            self.network.rest(x), x, self.free_steps, rate=self.rate, tol=self.tol
        )
        return potentials

    def _gaps(self) -> list[Tensor]:
        inner = list(self.network.weights)[1:]
        return [w - m for w, m in zip(inner, self.network.back(), strict=True)]

    def _units(self) -> int:
        return sum(len(b) for b in self.network.biases)

    def _pulled(self, gradients: list[Tensor]) -> list[Tensor]:
        """Gradients with the homeostatic pull of W and V towards each other."""
        if self.homeostasis:
            layers, scale = len(self.network.weights), 2 * self.homeostasis / self._units()
            for k, gap in enumerate(self._gaps()):
                gradients[1 + k] = gradients[1 + k] + scale * gap
                gradients[2 * layers + k] = gradients[2 * layers + k] - scale * gap.T
        return gradients


def _products(below: Sequence[Tensor], states: Sequence[Tensor]) -> list[Tensor]:
    """Sums over the batch of products of neighbouring states, then of states."""
    pairs = zip(states, below, strict=False)
    return [a.T @ h.to(a.dtype) for a, h in pairs] + [a.sum(0) for a in states]


def _check_range(name: str, value: float, inside: bool, allowed: str, usual: str) -> None:
    if not (inside and math.isfinite(value)):
        raise ValueError(f"{name} must be {allowed}, got {value}; a usual value is {usual}")
