"""SDMGrad: weights near a preferred direction, on two independent batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.aggregate._base import integer, number, same_losses, vector
from thalweg.aggregate._rows import Vector
from thalweg.aggregate._two_batch import TwoBatch, simplex


class SDMGrad(TwoBatch):
    """Direction-oriented multi-objective descent: a common direction near the preferred one.

    Use it for stochastic gradients when the update should stay near the mean gradient.

    Parameters
    ----------
    lr : float, default 10.0
        Step of the inner iteration, >= 0.
    momentum : float, default 0.5
        Its momentum, in [0, 1).
    n_iter : int, default 20
        Inner iterations a call, >= 1.
    lam : float, default 0.3
        Pull towards the preferred direction, >= 0.
    preference : array_like of shape (m,), optional
        Weights of the preferred direction; 1/m each by default.

    Raises
    ------
    ValueError
        If an argument is out of range; on a call, if `preference` has another length.

    Notes
    -----
    a = J1 J2^T / (mean_i sqrt(max(a_ii, 0))^2 + 1e-8); v <- momentum v + a (w + lam p),
    w <- simplex(w - lr v), n_iter times; weights (w + lam p) / (1 + lam). State: w, uniform at
    first.

    References
    ----------
    Xiao, Ban, Ji 2023, "Direction-oriented Multi-objective Learning", NeurIPS, arXiv:2305.18409.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import SDMGrad
    >>> SDMGrad()(np.eye(2), np.eye(2)).tolist()
    [0.5, 0.5]
    """

    _arguments = ("lr", "momentum", "n_iter", "lam")

    def __init__(
        self,
        lr: float = 10.0,
        momentum: float = 0.5,
        n_iter: int = 20,
        lam: float = 0.3,
        *,
        preference: Any = None,
    ) -> None:
        self.lr = number(lr, "lr", 0.0)
        self.momentum = number(momentum, "momentum", 0.0, 1.0, right_open=True)
        self.n_iter = integer(n_iter, "n_iter", 1)
        self.lam = number(lam, "lam", 0.0)
        self.preference = vector(preference, "preference")
        self._current: Vector | None = None

    def _step(self, product: Vector, old: Vector) -> tuple[Vector, Vector]:
        m = len(old)
        p = np.full(m, 1 / m) if self.preference is None else self.preference
        same_losses(len(p), m, "SDMGrad")
        scale = np.sqrt(np.maximum(np.diag(product), 0.0)).mean()
        a = product / (scale**2 + 1e-8)
        w, velocity = old, np.zeros(m)
        for _ in range(self.n_iter):
            velocity = self.momentum * velocity + a @ (w + self.lam * p)
            w = simplex(w - self.lr * velocity)
        return w, (w + self.lam * p) / (1 + self.lam)
