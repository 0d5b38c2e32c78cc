"""The nuclear norm."""

from __future__ import annotations

from typing import Any

from thalweg.project._engine import Set, number, run, shape


def nuclear(x: Any, lam: float = 1.0, axes: tuple[int, int] = (-2, -1), out: Any = None) -> Any:
    """Proximal map of lam times the sum of the singular values.

    Use it for matrices of low rank.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., p, q)
        Matrices, float32 or float64. Not modified.
    lam : float, default 1.0
        Strength, >= 0; inf gives the minimiser of the function.
    axes : pair of int, default (-2, -1)
        Axes of the rows and columns of one matrix.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., p, q)
        argmin over y of f(y) + |y - x|^2 / 2.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, or lam is negative.

    Notes
    -----
    Soft threshold of the singular values. Time O(p q min(p, q)).

    References
    ----------
    Cai, Candes, Shen 2010, "A singular value thresholding algorithm for matrix completion", SIAM J.
    Optim. 20.

    Examples
    --------
    >>> nuclear([[3.0, 0.0], [0.0, 0.5]]).round(12).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    what = Set("prox_nuclear", (*shape(x, axes), number(lam, "lam")), matrix=True)
    return run(what, x, axis=axes, out=out)
