"""Smooth Tchebycheff scalarisation."""

from __future__ import annotations

from typing import Any

from thalweg.aggregate._base import number, vector
from thalweg.aggregate.scalarize._losses import as_vector


class STCH:
    """A smooth maximum of the weighted losses.

    Use it to reach Pareto points that no weighted sum reaches.

    Parameters
    ----------
    mu : float, default 1.0
        Smoothing, > 0; towards 0 the maximum itself.
    preference : array_like of shape (m,), optional
        Weights lam >= 0; 1/m each by default.
    reference : array_like of shape (m,), optional
        Ideal values z; 0 each by default.

    Notes
    -----
    mu log sum_i exp(lam_i (L_i - z_i) / mu).

    References
    ----------
    Lin et al. 2024, "Smooth Tchebycheff Scalarization for Multi-Objective Optimization", ICML,
    arXiv:2402.19078.

    Examples
    --------
    >>> from thalweg.aggregate.scalarize import STCH
    >>> import torch
    >>> round(float(STCH(mu=1e-3)(torch.tensor([1.0, 4.0]))), 5)
    2.0
    """

    def __init__(self, mu: float = 1.0, *, preference: Any = None, reference: Any = None) -> None:
        self.mu = number(mu, "mu", 0.0)
        if self.mu == 0.0:
            raise ValueError("mu must be > 0, got 0.0; a small value is near the maximum")
        self.preference = vector(preference, "preference")
        self.reference = vector(reference, "reference")

    def __call__(self, losses: Any) -> Any:
        """The smooth maximum."""
        given = self.preference if self.preference is not None else self.reference
        values = as_vector(losses, None if given is None else len(given))
        lam: Any = 1.0 / len(values)
        if self.preference is not None:
            lam = values.new_tensor(self.preference)
        z: Any = 0.0 if self.reference is None else values.new_tensor(self.reference)
        return self.mu * (lam * (values - z) / self.mu).logsumexp(0)
