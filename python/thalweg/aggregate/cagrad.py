"""CAGrad: near the mean, the direction that helps the worst-off loss."""

from __future__ import annotations

from thalweg import _core
from thalweg.aggregate._base import Weighted, choice, number
from thalweg.aggregate._rows import Vector


class CAGrad(Weighted):
    """In a ball around the mean gradient, the direction that improves the worst loss most.

    Use it to keep the convergence of the mean loss while sparing the loss that suffers most.

    Parameters
    ----------
    c : float, default 0.5
        Radius of the ball relative to the mean gradient, >= 0. 0 gives the mean; from 1 on the
        update approaches that of MGDA.
    rescale : {"none", "1+c^2", "1+c"}, default "none"
        Division of the update in the authors' code; torchjd does none.
    count_zero_rows : bool, default False
        Whether losses with a zero gradient count in the mean.
    compat : {None, "torchjd"}
        "torchjd" reproduces its cut-offs: a zero update where the squared Frobenius norm of the
        Jacobian, or the length of the worst combination relative to its root, is below `norm_eps`;
        zero gradients count in the mean, and bring the update to zero.
    norm_eps : float, default 1e-4
        Constant of those cut-offs; used with `compat` only.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    argmax over |x - g0| <= c |g0| of min_i g_i . x, g0 the mean; zero where no direction improves
    every loss. Found exactly by a few projections onto {x : g_i . x >= t}. O(m^2 d).

    References
    ----------
    Liu et al. 2021, "Conflict-Averse Gradient Descent for Multi-task Learning", NeurIPS,
    arXiv:2110.14048.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import CAGrad
    >>> CAGrad(c=0.0)(np.array([[1.0, 0.0], [0.0, 3.0]])).tolist()
    [0.5, 1.5]
    """

    _arguments = ("c", "rescale", "count_zero_rows", "compat")

    def __init__(
        self,
        c: float = 0.5,
        *,
        rescale: str = "none",
        count_zero_rows: bool = False,
        compat: str | None = None,
        norm_eps: float = 1e-4,
    ) -> None:
        self.c = number(c, "c", 0.0)
        self.rescale = choice(rescale, "rescale", ["none", "1+c^2", "1+c"])
        self.compat = None if compat is None else choice(compat, "compat", ["torchjd"])
        self.count_zero_rows = count_zero_rows or compat is not None
        self.norm_eps = number(norm_eps, "norm_eps", 0.0)

    def _weights(self, gramian: Vector) -> Vector:
        weights: Vector = _core.aggregate_cagrad(
            gramian,
            self.c,
            self.rescale,
            self.count_zero_rows,
            None if self.compat is None else self.norm_eps,
        )
        return weights
