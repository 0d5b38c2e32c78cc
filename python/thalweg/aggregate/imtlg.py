"""IMTL-G: equal projections on every gradient's direction."""

from __future__ import annotations

from thalweg import _core
from thalweg.aggregate._base import Weighted, choice
from thalweg.aggregate._rows import Vector


class IMTLG(Weighted):
    """The combination whose projection on every gradient's direction is the same.

    Use it where the lengths of the gradients differ but no loss should count more.

    Parameters
    ----------
    compat : {None, "torchjd"}
        "torchjd" inverts the Gramian itself instead of its row-normalised form: the two differ
        only for linearly dependent gradients.

    Notes
    -----
    v = pinv(G) s with s_i = |g_i|, w = v / sum v; zero if the sum vanishes. Weights may be
    negative. O(m^2 d + m^3).

    References
    ----------
    Liu et al. 2021, "Towards Impartial Multi-task Learning", ICLR; generalised in arXiv:2406.16232.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import IMTLG
    >>> IMTLG()(np.array([[2.0, 0.0], [0.0, 1.0]])).round(4).tolist()
    [0.6667, 0.6667]
    """

    _arguments = ("compat",)

    def __init__(self, *, compat: str | None = None) -> None:
        self.compat = None if compat is None else choice(compat, "compat", ["torchjd"])

    def _weights(self, gramian: Vector) -> Vector:
        weights: Vector = _core.aggregate_imtlg(gramian, self.compat is not None)
        return weights
