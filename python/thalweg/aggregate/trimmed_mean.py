"""Mean of each column without its extremes."""

from __future__ import annotations

from typing import Any

from thalweg.aggregate._base import Aggregator, integer
from thalweg.aggregate._rows import Rows


class TrimmedMean(Aggregator):
    """Mean of each coordinate without its smallest and largest values.

    Use it against a few corrupt gradients (Byzantine workers).

    Parameters
    ----------
    trim_number : int
        Values dropped at each end, >= 0; needs at least 2 trim_number + 1 gradients.

    Raises
    ------
    ValueError
        On a call, if there are too few rows.

    Notes
    -----
    Columns are sorted by a network, O(m log^2 m) vector operations for each; not a weighted sum of
    rows, so there is no `weights`.

    References
    ----------
    Yin et al. 2018, "Byzantine-Robust Distributed Learning", ICML, arXiv:1803.01498.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import TrimmedMean
    >>> TrimmedMean(1)(np.array([[1.0], [2.0], [300.0]])).tolist()
    [2.0]
    """

    _arguments = ("trim_number",)

    def __init__(self, trim_number: int) -> None:
        self.trim_number = integer(trim_number, "trim_number", 0)

    def _aggregate(self, rows: Rows) -> Any:
        least = 2 * self.trim_number + 1
        if rows.m < least:
            raise ValueError(
                f"the number of rows of the Jacobian must be at least {least}, got {rows.m}; "
                "lower trim_number, or give more gradients"
            )
        if not rows.is_finite():
            return rows.nan()
        return rows.each(lambda block: block.trimmed_mean(self.trim_number))
