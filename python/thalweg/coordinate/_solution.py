"""What a solve returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from thalweg.coordinate._matrix import Array


@dataclass
class Solution:
    """A solution and its certificate.

    Attributes
    ----------
    coef : ndarray, shape (n_features,)
        Coefficients, in the dtype of `X`.
    intercept : float
        Constant, 0 without one.
    objective : float
        Value of the objective.
    dual_gap : float
        Proven bound on objective minus optimum; infinite where there is no certificate.
    target : float
        Gap that `tol` asked for.
    violation : float
        Largest distance of the gradient to the subdifferential.
    dual : ndarray, shape (n_samples,)
        Dual point that proves the gap, weighted.
    n_iter, n_epochs : int
        Passes over all features, and over working sets.
    status : str
        "converged", "limit", "precision" (rounding stopped the progress) or "interrupted".
    history : list of dict
        One entry for each pass over all features.
    """

    coef: Array
    intercept: float
    objective: float
    dual_gap: float
    target: float
    violation: float
    dual: Array
    n_iter: int
    n_epochs: int
    status: str
    history: list[dict[str, float]] = field(repr=False)

    @property
    def success(self) -> bool:
        """Whether the criterion is met."""
        return self.status == "converged"

    @property
    def message(self) -> str:
        """What happened, in words, with the numbers."""
        if self.success and not np.isfinite(self.dual_gap):
            return f"violation {self.violation:.1e}; there is no certificate"
        if self.success:
            return f"dual gap {self.dual_gap:.1e} <= {self.target:.1e}"
        if self.status == "precision" and not np.isfinite(self.dual_gap):
            return f"violation {self.violation:.1e}, which no step lowers; loosen tol"
        if self.status == "precision":
            return f"dual gap {self.dual_gap:.1e} > {self.target:.1e}: rounding; loosen tol"
        reached = f"dual gap {self.dual_gap:.1e} > {self.target:.1e}"
        if not np.isfinite(self.dual_gap):
            reached = f"violation {self.violation:.1e}"
        return f"{reached} after {self.n_iter} iterations; raise max_iter or loosen tol"
