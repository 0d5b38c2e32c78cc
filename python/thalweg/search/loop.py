"""Training loop around `PolyStepOptimizer` for data in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from thalweg.search._arguments import as_seed
from thalweg.search.optimizer import PolyStepOptimizer

__all__ = ["Training", "train"]


@dataclass
class Training:
    """What happened in `train`.

    Attributes
    ----------
    optimizer : PolyStepOptimizer
        Go on with it by passing it to `train` again.
    costs : list of float
        Loss of each step, as `PolyStepOptimizer.step` returns it.
    interrupted : bool
        Whether Ctrl-C ended it; the weights are those of the last whole step.
    """

    optimizer: PolyStepOptimizer
    costs: list[float] = field(default_factory=list)
    interrupted: bool = False

    @property
    def evaluations(self) -> int:
        """Evaluations of a batch so far."""
        return self.optimizer.search.evaluations

    @property
    def nonfinite(self) -> int:
        """How many of the losses were NaN or infinite."""
        return self.optimizer.search.nonfinite


def train(
    model: Any,
    X: Any,
    y: Any,
    loss: Callable[[Any, Any], Any],
    *,
    epochs: int = 1,
    batch_size: int = 512,
    cost_batch_size: int | None = None,
    callback: Callable[[Training], Any] | None = None,
    optimizer: PolyStepOptimizer | None = None,
    seed: int | np.random.Generator | None = None,
    **settings: Any,
) -> Training:
    """Train a torch module on tensors, without gradients.

    Parameters
    ----------
    model : torch.nn.Module
        Trained in place.
    X, y : Tensor, shapes (n, ...)
        Samples and targets.
    loss : callable
        ``loss(model(xb), yb) -> number``.
    epochs, batch_size : int
        Passes over the samples and samples of a step; the last batch may be smaller.
    cost_batch_size : int, optional
        Samples of a batch, drawn afresh each step, that its losses are taken on; default all.
    callback : callable, optional
        ``callback(training)`` after each epoch; a true result ends the training.
    optimizer : PolyStepOptimizer, optional
        One to go on with; default a new one with `settings`.
    seed : None, int or numpy Generator
        Seed of the order of the samples, and of a new optimizer.
    **settings
        Settings of `PolyStepOptimizer`.

    Returns
    -------
    Training
        The optimizer and the loss of each step. Ctrl-C ends the training with whole steps.

    Raises
    ------
    ValueError
        For sizes below 1, different lengths of X and y, or settings beside an `optimizer`.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> X = torch.randn(200, 2)
    >>> y = (X[:, 0] * X[:, 1] > 0).long()
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    >>> out = train(
    ...     model, X, y, torch.nn.functional.cross_entropy, epochs=20, batch_size=100,
    ...     subspace="full", seed=0,
    ... )
    >>> out.costs[-1] < out.costs[0]
    True
    """
    sizes = ("epochs", epochs), ("batch_size", batch_size), ("cost_batch_size", cost_batch_size)
    for name, value in sizes:
        if value is not None and value < 1:
            raise ValueError(f"{name} must be >= 1, got {value}; raise it")
    if len(X) != len(y) or len(X) == 0:
        raise ValueError(
            f"X and y must be of one length >= 1, got {len(X)} and {len(y)}; pair them"
        )
    if optimizer is not None and settings:
        raise ValueError(
            f"settings must be left out with an optimizer, got {sorted(settings)}; it has its own"
        )
    start = as_seed(seed)
    if optimizer is None:
        optimizer = PolyStepOptimizer(model, seed=start, **settings)
    elif optimizer.model is not model:
        raise ValueError("optimizer must be one of this model, got another's; pass its model")
    out, rng = Training(optimizer), np.random.default_rng(start)
    try:
        for _ in range(epochs):
            order = rng.permutation(len(X))
            for first in range(0, len(X), batch_size):
                rows = order[first : first + batch_size]
                if cost_batch_size is not None:
                    rows = rng.permutation(rows)[:cost_batch_size]
                index = torch.from_numpy(rows)
                out.costs.append(optimizer.step(_closure(model, loss, X[index], y[index])))
            if callback is not None and callback(out):
                break
    except KeyboardInterrupt:
        out.interrupted = True
    return out


def _closure(model: Any, loss: Callable[[Any, Any], Any], xb: Any, yb: Any) -> Callable[[], Any]:
    return lambda: loss(model(xb), yb)
