"""Groups of entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.project._engine import Set, number, run, vector


def group(
    x: Any,
    groups: Any,
    lam: float = 1.0,
    weights: Any = "sqrt",
    l1: float = 0.0,
    axis: int = -1,
    out: Any = None,
) -> Any:
    """Proximal map of lam sum_g w_g |x_g|_2 + l1 |x|_1: the (sparse) group lasso.

    Use it to drop whole groups of features.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    groups : array_like of int, shape (n,)
        Label of the group of every entry, from 0.
    lam : float, default 1.0
        Strength, >= 0; inf gives the minimiser of the function.
    weights : "sqrt", "none" or array_like with one value a group, default "sqrt"
        Weights w: square roots of the sizes, ones, or those given.
    l1 : float, default 0.0
        Strength of the l1 part, >= 0: entries inside a group may go as well.
    axis : int, default -1
        Axis along which the entries of one point lie.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor, shape (..., n)
        argmin over y of f(y) + |y - x|^2 / 2.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, lam, l1 or a weight is negative or a label is not an integer >=
        0.

    Notes
    -----
    z = soft(x, l1), then max(1 - lam w_g / |z_g|, 0) z_g. Time O(n) for each point.

    References
    ----------
    Yuan and Lin 2006, "Model selection and estimation in regression with grouped variables", J. R.
    Stat. Soc. B 68; Simon et al. 2013, "A sparse-group lasso", J. Comput. Graph. Stat. 22.

    Examples
    --------
    >>> group([3.0, 4.0, 0.5], [0, 0, 1], 2.5, weights="none").tolist()
    [1.5, 2.0, 0.0]
    """
    labels = vector(groups, "groups")
    count = (
        0 if not len(labels) else max(0, int(labels.max()) + 1) if np.isfinite(labels).all() else 1
    )
    if isinstance(weights, str):
        if weights not in ("sqrt", "none"):
            raise ValueError(
                f"weights must be 'sqrt', 'none' or one value a group, got {weights!r}; "
                "choose one of these"
            )
        valid = labels[labels >= 0].astype(np.int64)
        sizes = np.bincount(valid, minlength=count)[:count].astype(np.float64)
        shares = np.sqrt(sizes) if weights == "sqrt" else np.ones(count)
    else:
        shares = np.atleast_1d(vector(weights, "weights"))
    what = Set("prox_group", (number(lam, "lam"), number(l1, "l1")), (labels, shares))
    return run(what, x, axis=axis, out=out)
