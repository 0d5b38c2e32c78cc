"""Geometric mean of the losses."""

from __future__ import annotations

from typing import Any

from thalweg.aggregate.scalarize._losses import as_vector


class GeometricMean:
    """Geometric mean: every loss counts by its relative change (GLS).

    Notes
    -----
    exp(mean_i log L_i); the losses must be positive, else the result is NaN.

    References
    ----------
    Chennupati et al. 2019, "MultiNet++", CVPR workshops, arXiv:1904.08492.

    Examples
    --------
    >>> from thalweg.aggregate.scalarize import GeometricMean
    >>> import torch
    >>> round(float(GeometricMean()(torch.tensor([1.0, 4.0]))), 5)
    2.0
    """

    def __call__(self, losses: Any) -> Any:
        """The geometric mean."""
        return as_vector(losses).log().mean().exp()
