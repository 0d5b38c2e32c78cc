"""Conservation laws imposed on a Gaussian prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg._extras import require
from thalweg.project._engine import checked, is_tensor


def conservation(mean: Any, cov: Any, G: Any, b: Any, noise: Any = 0.0) -> tuple[Any, Any]:
    """Condition a Gaussian prediction on G u = b, up to noise.

    Use it to make the output of a probabilistic model conserve mass, energy or other linear
    quantities; uncertain entries move most.

    Parameters
    ----------
    mean : array_like or Tensor, shape (..., n)
        Predicted means.
    cov : array_like or Tensor, shape (..., n) or (..., n, n)
        Variances, or covariance matrices (positive semidefinite). Variances of one give the
        orthogonal projection.
    G : array_like or Tensor, shape (k, n)
        What is conserved; for an integral the weights of a quadrature rule.
    b : float or array_like or Tensor, shape (..., k)
        Its value.
    noise : float or array_like or Tensor, shape (k,) or (k, k), default 0.0
        Variance of G u - b: a number, variances, or a covariance matrix. 0 imposes the law exactly.

    Returns
    -------
    mean : ndarray or Tensor, shape (..., n)
        Conditional means; differentiable for tensors.
    cov : ndarray or Tensor, shape (..., n, n)
        Conditional covariances.

    Raises
    ------
    ValueError
        If shapes do not fit, something is not finite, or G cov G^T + noise is singular: a law is
        repeated, or touches no uncertain entry.

    Notes
    -----
    K = cov G^T (noise + G cov G^T)^-1;  mean - K (G mean - b);  cov - K G cov. Computed in float64
    whatever the input. Time O(n k^2 + k^3) beside the covariance itself.

    References
    ----------
    Hansen et al. 2023, "Learning physical models that can respect conservation laws", ICML,
    arXiv:2302.11002.

    Examples
    --------
    >>> mean, cov = conservation([1.0, 1.0], [1.0, 3.0], [[1.0, 1.0]], [4.0])
    >>> mean.tolist()
    [1.5, 2.5]
    """
    tensor = is_tensor(mean)
    mean = checked(mean, "mean")
    xp: Any = require("torch") if tensor else np
    m, c, g, rhs, r = (_wide(v, mean, xp) for v in (mean, cov, G, b, noise))
    n = m.shape[-1]
    if g.ndim != 2 or g.shape[1] != n:
        raise ValueError(
            f"G must be of shape (k, {n}), got {tuple(g.shape)}; give a row for each law"
        )
    k = g.shape[0]
    full = c.ndim >= 2 and tuple(c.shape[-2:]) == (n, n) and tuple(c.shape) != tuple(m.shape)
    if not full and c.shape[-1] != n:
        raise ValueError(
            f"cov must be of shape (..., {n}) or (..., {n}, {n}), got {tuple(c.shape)}; "
            "give variances, or matrices"
        )
    if rhs.ndim and rhs.shape[-1] not in (1, k):
        raise ValueError(f"b must be of shape (..., {k}), got {tuple(rhs.shape)}; one for each law")
    if r.ndim > 2 or any(side != k for side in r.shape):
        raise ValueError(
            f"noise must be a number or of shape ({k},) or ({k}, {k}), got {tuple(r.shape)}; "
            "give one variance for each law, or their covariance"
        )
    for name, value in (("mean", m), ("cov", c), ("G", g), ("b", rhs), ("noise", r)):
        if not bool(xp.isfinite(value).all()):
            raise ValueError(f"{name} holds NaN or infinity; replace such entries before the call")
    # cov G^T, without a matrix where variances are enough.
    cg = xp.matmul(c, g.T) if full else c[..., None] * g.T
    eye = xp.eye(k, dtype=m.dtype) if not tensor else xp.eye(k, dtype=m.dtype, device=m.device)
    spread = xp.matmul(g, cg) + (r if r.ndim == 2 else r * eye)
    _regular(spread, xp)
    off = xp.matmul(m, g.T) - rhs
    gain = xp.linalg.solve(spread, xp.swapaxes(cg, -1, -2))  # K^T
    new_mean = m - xp.matmul(off[..., None, :], gain)[..., 0, :]
    if not full:
        size = xp.eye(n, dtype=m.dtype) if not tensor else xp.eye(n, dtype=m.dtype, device=m.device)
        c = c[..., None] * size
    new_cov = c - xp.matmul(cg, gain)
    new_cov = 0.5 * (new_cov + xp.swapaxes(new_cov, -1, -2))
    if tensor:
        return new_mean.to(mean.dtype), new_cov.to(mean.dtype)
    return new_mean.astype(mean.dtype), new_cov.astype(mean.dtype)


def _wide(value: Any, like: Any, xp: Any) -> Any:
    if xp is np:
        return np.asarray(value, dtype=np.float64)
    wide = xp.float32 if like.device.type == "mps" else xp.float64
    if is_tensor(value):
        return value.to(device=like.device, dtype=wide)
    return xp.as_tensor(np.asarray(value, dtype=np.float64), dtype=wide, device=like.device)


def _regular(spread: Any, xp: Any) -> None:
    values = xp.linalg.eigvalsh(spread if xp is np else spread.detach())
    if values.shape[-1] and bool((values[..., 0] <= 1e-13 * abs(values[..., -1])).any()):
        raise ValueError(
            "G cov G^T + noise must be positive definite, got a singular matrix; "
            "drop repeated laws, or give noise"
        )
