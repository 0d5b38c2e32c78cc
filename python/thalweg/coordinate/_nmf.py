"""Non-negative matrix factorization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg import _core
from thalweg.coordinate._matrix import (
    Array,
    choice,
    count,
    in_range,
    is_sparse,
    matrix,
    reporter,
)


@dataclass
class Factors:
    """X ~ W H, with W (n_samples, n_components) and H (n_components, n_features)."""

    W: Array
    H: Array
    n_iter: int
    ratio: float
    status: str

    @property
    def success(self) -> bool:
        """Whether the projected gradient fell below `tol` times its first value."""
        return self.status == "converged"


def initial(X: Any, k: int, init: str, seed: int) -> tuple[Array, Array]:
    """Factors to start from: "random", or "nndsvda" (zeros of NNDSVD filled with the mean)."""
    rng = np.random.default_rng(seed)
    n, p = X.shape
    mean = float(X.mean())
    if init == "random":
        scale = np.sqrt(mean / k)
        return scale * np.abs(rng.standard_normal((n, k))), scale * np.abs(
            rng.standard_normal((k, p))
        )
    # Randomised range finder: a few power steps give the leading singular vectors.
    sketch = X @ rng.standard_normal((p, min(k + 10, min(n, p))))
    for _ in range(4):
        sketch = X @ (X.T @ np.linalg.qr(sketch)[0])
    basis = np.linalg.qr(sketch)[0]
    U, S, Vt = np.linalg.svd(np.asarray((X.T @ basis).T), full_matrices=False)
    U = basis @ U
    W, H = np.zeros((n, k)), np.zeros((k, p))
    for t in range(k):
        u, v = U[:, t], Vt[t]
        if t == 0:
            W[:, 0], H[0] = np.sqrt(S[0]) * np.abs(u), np.sqrt(S[0]) * np.abs(v)
            continue
        plus = np.maximum(u, 0), np.maximum(v, 0)
        minus = np.maximum(-u, 0), np.maximum(-v, 0)
        sizes = [np.linalg.norm(a) * np.linalg.norm(b) for a, b in (plus, minus)]
        a, b = plus if sizes[0] > sizes[1] else minus
        size = max(sizes)
        if size > 0:
            W[:, t] = np.sqrt(S[t] * size) * a / np.linalg.norm(a)
            H[t] = np.sqrt(S[t] * size) * b / np.linalg.norm(b)
    W[W < 1e-6] = mean
    H[H < 1e-6] = mean
    return W, H


def factorize(
    X: Any,
    n_components: int,
    *,
    init: str = "nndsvda",
    W: ArrayLike | None = None,
    H: ArrayLike | None = None,
    update_H: bool = True,
    alpha_W: float = 0.0,
    alpha_H: float | None = None,
    l1_ratio: float = 0.0,
    tol: float = 1e-4,
    max_iter: int = 200,
    seed: int = 0,
    verbose: int = 0,
    callback: Callable[[dict[str, float]], Any] | None = None,
) -> Factors:
    """Factorize a non-negative matrix into two non-negative ones.

    Use it for parts-based representations and topic models.

    Parameters
    ----------
    X : array or scipy.sparse matrix, shape (n_samples, n_features)
        float32 or float64, >= 0.
    n_components : int
        Number of components, >= 1.
    init : {"nndsvda", "random", "custom"}
        Where to start; "custom" takes `W` and `H`.
    W, H : array_like, optional
        Starting factors; copied.
    update_H : bool, default True
        False keeps `H` as given.
    alpha_W, alpha_H : float
        Strengths, multiplied by n_features and n_samples; `alpha_H` defaults to `alpha_W`.
    l1_ratio : float, default 0.0
        Share of the l1 norm, in [0, 1].
    tol : float, default 1e-4
        Projected gradient to reach, relative to its first value.
    max_iter : int, default 200
        Sweeps over both factors.
    seed : int, default 0
        Seed of the start.
    verbose, callback
        As in `solve`: a line, or a call, for each sweep.

    Returns
    -------
    Factors

    References
    ----------
    Cichocki and Phan 2009, IEICE Trans. E92-A; Boutsidis and Gallopoulos 2008, Pattern Recogn. 41.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.outer([1.0, 2.0], [3.0, 1.0, 2.0])
    >>> factors = factorize(X, 1)
    >>> np.allclose(factors.W @ factors.H, X)
    True
    """
    choice("init", init, ("nndsvda", "random", "custom"))
    k = count("n_components", n_components)
    buffers, n, p, dtype = matrix(X)
    flipped, _, _, _ = matrix(X, transposed=True)
    values = X.data if is_sparse(X) else np.asarray(X)
    if not np.isfinite(values).all():
        raise ValueError("X holds NaN or infinity; remove or impute these entries")
    if values.size and values.min() < 0:
        raise ValueError(f"X must be >= 0, got {values.min():g}; shift or clip the data")
    alpha_w = in_range("alpha_W", alpha_W, 0.0)
    alpha_h = alpha_w if alpha_H is None else in_range("alpha_H", alpha_H, 0.0)
    share = in_range("l1_ratio", l1_ratio, 0.0, 1.0)
    if init != "custom":
        start_w, start_h = initial(X, k, init if k <= min(n, p) else "random", seed)
    if init == "custom" and (W is None or H is None):
        raise ValueError("W and H must be given with init='custom', got None; pass both")
    if H is not None:
        start_h = np.array(H, dtype=np.float64)
    if W is not None:
        start_w = np.array(W, dtype=np.float64)
    w = np.ascontiguousarray(start_w, dtype=np.float64).copy()
    h = np.ascontiguousarray(start_h.T, dtype=np.float64).copy()
    if w.shape != (n, k) or h.shape != (p, k):
        raise ValueError(
            f"W and H of shapes {w.shape} and {h.T.shape} do not match X of shape ({n}, {p}); "
            f"pass ({n}, {k}) and ({k}, {p})"
        )
    strengths = [
        alpha_w * p * share,
        alpha_w * p * (1 - share),
        alpha_h * n * share,
        alpha_h * n * (1 - share),
    ]
    n_iter, ratio, status = _core.coordinate_nmf(
        buffers,
        flipped,
        w,
        h,
        strengths,
        not update_H,
        in_range("tol", tol, 0.0),
        count("max_iter", max_iter),
        reporter(verbose, callback, ("violation", "ratio", "sweep")),
    )
    return Factors(w.astype(dtype), np.ascontiguousarray(h.T.astype(dtype)), n_iter, ratio, status)
