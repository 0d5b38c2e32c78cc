"""CR-MOGM: smooth the weights of another aggregator."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.aggregate._base import Weighted, number, same_losses, vector
from thalweg.aggregate._rows import Vector


class CRMOGM(Weighted):
    """The running mean of the weights of another aggregator.

    Use it with small batches, where weights jump from step to step and bias the direction.

    Parameters
    ----------
    aggregator : Aggregator with `weights`
        Whose weights are smoothed.
    alpha : float, default 0.9
        Share of the old weights, in [0, 1]; may be changed between calls. The paper lets it rise
        as the learning rate falls: 1 - lr / lr0.
    initial : array_like of shape (m,), optional
        Weights before the first call; those of the first call by default.

    Raises
    ------
    TypeError
        If `aggregator` has no `weights`.
    ValueError
        If an argument is out of range; on a call, if the number of rows changed since the last.

    Notes
    -----
    lam <- alpha lam + (1 - alpha) w(G). State: lam and that of `aggregator`.

    References
    ----------
    Zhou et al. 2022, "On the Convergence of Stochastic Multi-Objective Gradient Manipulation and
    Beyond", NeurIPS.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import CRMOGM, MGDA
    >>> aggregator = CRMOGM(MGDA(), alpha=0.5, initial=[1.0, 0.0])
    >>> aggregator(np.eye(2)).tolist()
    [0.75, 0.25]
    """

    _arguments = ("aggregator", "alpha")
    _state = ("smoothed", "inner")

    def __init__(self, aggregator: Weighted, alpha: float = 0.9, *, initial: Any = None) -> None:
        if not isinstance(aggregator, Weighted):
            raise TypeError(
                f"aggregator must be one with weights, got {type(aggregator).__name__}; "
                "smooth one that works on the Gramian"
            )
        self.aggregator = aggregator
        self.alpha = number(alpha, "alpha", 0.0, 1.0)
        self.initial = vector(initial, "initial")
        self._smoothed: Vector | None = None

    @property
    def _inner(self) -> dict[str, Any]:
        return self.aggregator.state_dict()

    @_inner.setter
    def _inner(self, state: dict[str, Any]) -> None:
        self.aggregator.load_state_dict(state)

    def reset(self) -> None:
        """Forget the weights, and reset the aggregator."""
        self._smoothed = None
        self.aggregator.reset()

    def _weights(self, gramian: Vector) -> Vector:
        old = self.initial if self._smoothed is None else self._smoothed
        if old is not None:
            same_losses(len(old), len(gramian), "CRMOGM")
        alpha = number(self.alpha, "alpha", 0.0, 1.0)
        new = self.aggregator._weights(gramian)
        self._smoothed = new if old is None else alpha * old + (1 - alpha) * new
        return np.array(self._smoothed)
