"""Penalty-based boundary intersection."""

from __future__ import annotations

from typing import Any

from thalweg.aggregate._base import number, vector
from thalweg.aggregate.scalarize._losses import as_vector


class PBI:
    """Progress along a preferred direction, and a penalty for leaving it.

    Use it to reach the Pareto point on a given ray, on fronts of any shape.

    Parameters
    ----------
    preference : array_like of shape (m,)
        Direction w, not all zero; may be replaced between calls.
    theta : float, default 5.0
        Penalty, >= 0.
    reference : array_like of shape (m,), optional
        Ideal values z; 0 each by default.

    Notes
    -----
    d1 + theta d2, d1 = (L - z) . w / |w|, d2 = |L - z - d1 w / |w||. On the ray itself the slope of
    d2 is taken as 0.

    References
    ----------
    Zhang and Li 2007, "MOEA/D", IEEE Trans. Evol. Comput. 11.

    Examples
    --------
    >>> from thalweg.aggregate.scalarize import PBI
    >>> import torch
    >>> float(PBI([0.0, 1.0], theta=2.0)(torch.tensor([3.0, 1.0])))
    7.0
    """

    def __init__(self, preference: Any, theta: float = 5.0, *, reference: Any = None) -> None:
        self.preference = preference
        self.theta = number(theta, "theta", 0.0)
        self.reference = vector(reference, "reference")
        vector(preference, "preference")

    def __call__(self, losses: Any) -> Any:
        """The scalar to differentiate."""
        given = vector(self.preference, "preference")
        assert given is not None
        values = as_vector(losses, len(given))
        if self.reference is not None:
            values = values - values.new_tensor(self.reference)
        w = values.new_tensor(given)
        if not bool(w.any()):
            raise ValueError("preference must not be all zero, got zeros; give a direction")
        w = w / w.norm()
        along = values @ w
        # torch's norm has the slope 0 at 0.
        return along + self.theta * (values - along * w).norm()
