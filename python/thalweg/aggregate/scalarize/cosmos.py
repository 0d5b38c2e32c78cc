"""COSMOS: a weighted sum that rewards a direction."""

from __future__ import annotations

from typing import Any

from thalweg.aggregate._base import number, vector
from thalweg.aggregate.scalarize._losses import as_vector


class COSMOS:
    """The preferred weighted sum, less a reward for losses in its direction.

    Use it to spread the points of one model that is conditioned on the preference.

    Parameters
    ----------
    preference : array_like of shape (m,)
        Weights r; may be replaced between calls.
    lam : float, default 1.0
        Reward of the cosine, >= 0.

    Notes
    -----
    sum_i r_i L_i - lam cos(r, L).

    References
    ----------
    Ruchte and Grabocka 2021, "Scalable Pareto Front Approximation for Deep Multi-Objective
    Learning", ICDM, arXiv:2103.13392.

    Examples
    --------
    >>> from thalweg.aggregate.scalarize import COSMOS
    >>> import torch
    >>> round(float(COSMOS([0.5, 0.5])(torch.tensor([2.0, 2.0]))), 5)
    1.0
    """

    def __init__(self, preference: Any, lam: float = 1.0) -> None:
        self.preference = preference
        self.lam = number(lam, "lam", 0.0)
        vector(preference, "preference")

    def __call__(self, losses: Any) -> Any:
        """The scalar to differentiate."""
        given = vector(self.preference, "preference")
        assert given is not None
        values = as_vector(losses, len(given))
        r = values.new_tensor(given)
        total = (r * values).sum()
        # Losses that all vanish have no direction.
        size = (r.norm() * values.norm()).clamp_min(1e-30)
        return total - self.lam * total / size
