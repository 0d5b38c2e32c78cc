"""PCD: the first loss leads, the others are promised progress."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg import _core
from thalweg.aggregate._base import Weighted, number, same_losses, vector
from thalweg.aggregate._rows import Vector


class PCD(Weighted):
    """Priority-Constrained Descent: follow the first gradient, let every other loss progress.

    Use it for one primary loss and side objectives.

    Parameters
    ----------
    tau : float or array_like of shape (m - 1,), default 0.02
        Progress promised to each secondary loss, as a share of that of its own gradient, in [0, 1].
    beta : float, default 0.999
        Decay of the running squared norms, in [0, 1).
    eps : float, default 1e-8
        Added to them, >= 0.

    Raises
    ------
    ValueError
        If an argument is out of range; on a call, if the number of rows does not suit `tau` or
        changed since the last.

    Notes
    -----
    With c_i = 1 / sqrt(v_i + eps), v_i the bias-corrected running mean of |g_i|^2:
    d = argmin |d - c_1 g_1|^2 subject to (c_j g_j) . d >= tau_j |c_j g_j|^2, j >= 2; the update is
    d with the length of g_1. Constraints that contradict one another are dropped. State: v and the
    number of calls.

    References
    ----------
    "Not All Objectives Are Born Equal", TMLR 2026, arXiv:2606.29521.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import PCD
    >>> PCD()(np.array([[1.0, 0.0], [-1.0, 1.0]])).round(4).tolist()
    [0.6868, 0.7268]
    """

    _arguments = ("tau", "beta", "eps")
    _state = ("step", "square_norms")

    def __init__(self, tau: Any = 0.02, *, beta: float = 0.999, eps: float = 1e-8) -> None:
        if np.ndim(tau) == 0:
            self.tau: Any = number(tau, "tau", 0.0, 1.0)
        else:
            self.tau = vector(tau, "tau")
            if not ((self.tau >= 0) & (self.tau <= 1)).all():
                raise ValueError(f"tau must be in [0, 1], got {tau!r}; a usual value is 0.02")
        self.beta = number(beta, "beta", 0.0, 1.0, right_open=True)
        self.eps = number(eps, "eps", 0.0)
        self.reset()

    def reset(self) -> None:
        """Forget the running norms."""
        self._step = 0
        self._square_norms: Vector | None = None

    def _weights(self, gramian: Vector) -> Vector:
        m = len(gramian)
        squares = np.diag(gramian)
        old = np.zeros(m) if self._square_norms is None else self._square_norms
        same_losses(len(old), m, "PCD")
        moved = self.beta * old + (1 - self.beta) * squares
        roots = np.sqrt(moved / (1 - self.beta ** (self._step + 1)) + self.eps)
        scales = np.divide(1.0, roots, out=np.zeros(m), where=roots > 0)
        tau = np.full(m - 1, self.tau) if np.ndim(self.tau) == 0 else self.tau
        weights: Vector = _core.aggregate_pcd(gramian, tau.tolist(), scales.tolist())
        self._step, self._square_norms = self._step + 1, moved
        return weights
