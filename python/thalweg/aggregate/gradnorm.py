"""GradNorm: weights that bring the gradients to like lengths and the losses to like rates."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.aggregate._base import Aggregator, choice, number, same_losses
from thalweg.aggregate._rows import Rows, Vector, is_tensor


class GradNorm(Aggregator):
    """Learned weights that balance the lengths of the weighted gradients.

    Use it where losses train at unlike rates. Call it with the losses:
    `aggregator(jacobian, losses)`; `aggregate.backward` does.

    Parameters
    ----------
    alpha : float, default 1.5
        Strength with which slow losses are favoured, >= 0; 0 equalises the lengths alone.
    lr : float, default 0.025
        Step of the weights, >= 0.
    parametrization : {"softmax", "direct"}, default "softmax"
        w = m softmax(theta), or theta itself, kept positive and renormalised to sum m (the paper).

    Raises
    ------
    ValueError
        If an argument is out of range; on a call, if losses are missing, not positive, or their
        number changed since the last.

    Notes
    -----
    G_i = w_i |g_i|; r_i = (L_i / L_i(0)) / mean; one gradient step on
    sum_i |G_i - mean(G) r_i^alpha| in theta, the target held constant: its derivative in w_i is
    sign(G_i - target_i) |g_i|, so only lengths are needed. The update uses the weights before that
    step. State: theta, the first losses.

    References
    ----------
    Chen et al. 2018, "GradNorm", ICML, arXiv:1711.02257.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import GradNorm
    >>> aggregator = GradNorm()
    >>> aggregator(np.array([[1.0, 0.0], [0.0, 3.0]]), [1.0, 1.0]).tolist()
    [1.0, 3.0]
    >>> bool(aggregator.current_weights[0] > 1.0)
    True
    """

    needs_losses = True
    _arguments = ("alpha", "lr", "parametrization")
    _state = ("theta", "first")

    def __init__(
        self, alpha: float = 1.5, lr: float = 0.025, *, parametrization: str = "softmax"
    ) -> None:
        self.alpha = number(alpha, "alpha", 0.0)
        self.lr = number(lr, "lr", 0.0)
        self.parametrization = choice(parametrization, "parametrization", ["softmax", "direct"])
        self.reset()

    def reset(self) -> None:
        """Forget the weights and the first losses."""
        self._theta: Vector | None = None
        self._first: Vector | None = None

    @property
    def current_weights(self) -> Vector:
        """Weights of the next call, summing to m."""
        if self._theta is None:
            raise ValueError("the weights must be initialised by a call, got none; call it first")
        if self.parametrization == "direct":
            return self._theta
        e = np.exp(self._theta - self._theta.max())
        return np.asarray(len(e) * e / e.sum())

    def __call__(self, jacobian: Any, losses: Any = None) -> Any:
        """Aggregate; `losses`, shape (m,), are the positive values of the losses."""
        rows = Rows(jacobian)
        if losses is None:
            raise ValueError(
                "losses must be the values of the losses, got None; call it with "
                "aggregator(jacobian, losses)"
            )
        values = np.array([float(v.detach() if is_tensor(v) else v) for v in losses])
        if not np.isfinite(values).all():
            return rows.nan()
        if len(values) != rows.m or not (values > 0).all():
            raise ValueError(
                f"losses must be {rows.m} positive numbers, got {values}; give one for each row"
            )
        if self._theta is not None:
            same_losses(len(self._theta), rows.m, "GradNorm")
        norms = np.sqrt(np.diag(rows.gramian()))
        if not np.isfinite(norms).all():
            return rows.nan()
        if self._theta is None:
            direct = self.parametrization == "direct"
            self._theta = np.ones(rows.m) if direct else np.zeros(rows.m)
            self._first = values
        weights = self.current_weights.copy()
        self._learn(weights, norms, values)
        return rows.combine(weights)

    def _aggregate(self, rows: Rows) -> Any:
        raise AssertionError("unreachable: GradNorm is called with losses")

    def _learn(self, weights: Vector, norms: Vector, values: Vector) -> None:
        assert self._theta is not None
        assert self._first is not None
        lengths = weights * norms
        rates = values / self._first
        target = lengths.mean() * (rates / rates.mean()) ** self.alpha
        slope = np.sign(lengths - target) * norms
        if self.parametrization == "softmax":
            share = weights / len(weights)
            self._theta = self._theta - self.lr * weights * (slope - share @ slope)
        else:
            moved = np.maximum(self._theta - self.lr * slope, 1e-12)
            self._theta = moved * (len(moved) / moved.sum())
