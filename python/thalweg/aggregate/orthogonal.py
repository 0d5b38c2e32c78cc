"""The orthogonal-gradient update of O-DICE."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from thalweg.aggregate._base import number
from thalweg.aggregate._rows import Rows, is_tensor


def orthogonal(forward: Any, backward: Any, eta: float = 1.0, *, floor: float = 0.0) -> Any:
    """Add the part of the backward gradient that is orthogonal to the forward one.

    Use it for value functions trained by a loss on s and s': the backward gradient no longer undoes
    the forward one.

    Parameters
    ----------
    forward, backward : ndarray or Tensor of shape (d,), or lists of them of any shape
        Gradients through the value of the state and of the next state.
    eta : float, default 1.0
        Weight of the orthogonal part, >= 0.
    floor : float, default 0.0
        Least squared length of `forward` to divide by; the authors' code uses 1e-10.

    Returns
    -------
    ndarray, Tensor or list
        forward + eta (backward - <forward, backward> / |forward|^2 forward), in the form of
        `forward`; NaN if an input is not finite. Where `forward` vanishes nothing is projected.

    Raises
    ------
    ValueError
        If the shapes differ or `eta` is negative.

    Notes
    -----
    The projection is made whatever the sign of the product, unlike PCGrad's. O(d).

    References
    ----------
    Mao et al. 2024, "ODICE: Revealing the Mystery of Distribution Correction Estimation via
    Orthogonal-gradient Update", ICLR, arXiv:2402.00348.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import orthogonal
    >>> orthogonal(np.array([1.0, 0.0]), np.array([3.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    eta = number(eta, "eta", 0.0)
    floor = number(floor, "floor", 0.0)
    listed = isinstance(forward, (list, tuple))
    first = list(forward) if listed else [forward]
    second = list(backward) if isinstance(backward, (list, tuple)) else [backward]
    if [tuple(a.shape) for a in first] != [tuple(b.shape) for b in second]:
        raise ValueError(
            f"backward of shape {[tuple(b.shape) for b in second]} does not match forward of shape "
            f"{[tuple(a.shape) for a in first]}; take both over the same parameters"
        )
    rows = Rows([_pair(a, b) for a, b in zip(first, second)])
    gramian = rows.gramian()
    if not np.isfinite(gramian).all():
        vectors = rows.nan()
    else:
        square = max(gramian[0, 0], floor)
        along = gramian[0, 1] / square if square > 0 else 0.0
        vectors = rows.combine(np.array([1 - eta * along, eta]))
    return vectors if listed else vectors[0]


def _pair(a: Any, b: Any) -> Any:
    if is_tensor(a):
        return sys.modules["torch"].stack([a.detach(), b.detach()])
    return np.stack([a, b])
