"""ExcessMTL: weight the losses by how far each is from its own optimum."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.aggregate._base import Aggregator, integer, number
from thalweg.aggregate._rows import Rows, Vector
from thalweg.aggregate._state import kept, zeros


class ExcessMTL(Aggregator):
    """Weights that grow with the estimated excess risk of each loss.

    Use it where some losses are noisy: what cannot be learnt does not draw weight.

    Parameters
    ----------
    step_size : float, default 1.0
        Step eta of the weights, >= 0.
    warmup : int, default 0
        Calls with uniform weights that only collect statistics, >= 0; the paper takes three
        epochs.

    Raises
    ------
    ValueError
        If an argument is out of range; on a call, if shapes or dtype changed since the last.

    Notes
    -----
    S <- S + J^2; e_i = sum_c J_ic^2 / sqrt(S_ic + 1e-7), relative to its first value, or its mean
    during the warm-up; w <- softmax(log w + eta e). Without warm-up the first call takes e as it
    is. State: S (m x d), w, the first e.

    References
    ----------
    He et al. 2024, "Robust Multi-Task Learning with Excess Risks", ICML, arXiv:2402.02009.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import ExcessMTL
    >>> ExcessMTL(warmup=1)(np.array([[1.0, 0.0], [0.0, 3.0]])).tolist()
    [0.5, 1.5]
    """

    _arguments = ("step_size", "warmup")
    _state = ("step", "squares", "shares", "baseline", "key")

    def __init__(self, step_size: float = 1.0, *, warmup: int = 0) -> None:
        self.step_size = number(step_size, "step_size", 0.0)
        self.warmup = integer(warmup, "warmup", 0)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._step = 0
        self._squares: list[Any] | None = None
        self._shares: Vector | None = None
        self._baseline: Vector | None = None
        self._key: Any = None

    def _aggregate(self, rows: Rows) -> Any:
        kept(self._key, rows.key, "ExcessMTL")
        if not rows.is_finite():
            return rows.nan()
        if self._squares is None:
            self._key, self._squares = rows.key, zeros(rows, rows.m)
        if self._shares is None:
            self._shares = np.full(rows.m, 1 / rows.m)
        excess = rows.excess(self._squares)
        self._step += 1
        if self._step <= self.warmup:
            old = 0.0 if self._baseline is None else self._baseline
            self._baseline = np.asarray(old + excess / self.warmup)
        else:
            if self._baseline is None:
                self._baseline = excess
            else:
                excess = excess / (self._baseline + 1e-7)
            self._shares = _softmax(self._shares, self.step_size * excess)
        return rows.combine(self._shares)


def _softmax(shares: Vector, step: Vector) -> Vector:
    """The shares times exp(step), summing to 1; a share that has vanished stays so."""
    logs = np.log(np.maximum(shares, np.finfo(float).tiny)) + step
    e = np.exp(logs - logs.max())
    return np.asarray(e / e.sum())
