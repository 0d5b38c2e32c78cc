"""OpenAI-ES: the gradient of a Gaussian-smoothed cost, from antithetic samples."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from thalweg.search._around import Around
from thalweg.search.choices import _Choice

__all__ = ["OpenAIES"]


class OpenAIES(Around):
    """Evolution strategy with a fixed spread and an optimizer on top.

    Use it as a baseline, or where a few noisy evaluations in many dimensions are all there is.

    Parameters
    ----------
    x0 : array_like, shape (d,)
        Start.
    population : int, default 50
        Candidates of a step, even: every sample has its mirror image.
    sigma : float or schedule, default 0.02
        Standard deviation of the samples, > 0.
    lr : float or schedule, default 0.01
        Learning rate, > 0.
    optimizer : {"adam", "sgd"}, default "adam"
        What takes the step along the gradient.
    shaping : {"ranks", "zscore"}, default "ranks"
        Centred ranks of the costs, or costs to mean 0 and standard deviation 1.
    momentum, beta2 : float, default 0.9 and 0.999
        Decay of the first moment (factor of the velocity for "sgd") and of the second, in [0, 1).
    weight_decay : float, default 0.0
        Added to the gradient times x, >= 0.
    bounds : d pairs (low, high), or `Bounds`, optional
        No candidate lies outside of this box.
    boundary : {"reflect", "resample", "transform"}, default "reflect"
        What becomes of a candidate outside: folded back, its coordinates drawn again uniformly,
        or none gets there, because the search runs in unbounded coordinates mapped into the box.
    seed : None, int or numpy Generator
        Seed of the samples.

    Attributes
    ----------
    x : ndarray, shape (d,)
        Where the search stands.
    best : Best
        The cheapest candidate so far.
    population, step, evaluations, nonfinite : int
        Candidates of a step; steps, costs and bad costs so far.

    Raises
    ------
    ValueError, TypeError
        For settings out of range, before anything happens.

    Notes
    -----
    ``g = sum_k u_k e_k / (n sigma)`` with shaped costs u and standard normal e. Noise is drawn
    again where it is needed, so memory is O(d) besides the candidates; time O(n d) a step.

    References
    ----------
    Salimans et al. 2017, "Evolution Strategies as a Scalable Alternative to Reinforcement
    Learning", arXiv:1703.03864.

    Examples
    --------
    >>> import numpy as np
    >>> search = OpenAIES(np.full(10, 3.0), sigma=0.1, lr=0.1, seed=0)
    >>> for _ in range(200):
    ...     search.tell((search.ask() ** 2).sum(axis=1))
    >>> bool(search.best.cost < 0.1)
    True
    """

    method: ClassVar[str] = "openai_es"

    def __init__(
        self,
        x0: ArrayLike,
        *,
        population: int = 50,
        sigma: float | _Choice = 0.02,
        lr: float | _Choice = 0.01,
        optimizer: str = "adam",
        shaping: str = "ranks",
        momentum: float = 0.9,
        beta2: float = 0.999,
        weight_decay: float = 0.0,
        bounds: Any = None,
        boundary: str = "reflect",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        settings = {
            "population": population, "sigma": sigma, "lr": lr, "optimizer": optimizer,
            "shaping": shaping, "momentum": momentum, "beta2": beta2,
            "weight_decay": weight_decay,
        }  # fmt: skip
        super().__init__(x0, settings, bounds, boundary, seed)
