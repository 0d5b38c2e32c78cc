"""Projections and proximal maps in float64, from the specification, with no thought of speed.

Thresholds by bisection to the last bit, monotone vectors by the min-max formula, the rest by the
textbook formula. Nothing here is shared with the package.
"""

import numpy as np


def falling_root(phi, low, high):
    """Where the falling function phi crosses 0."""
    for _ in range(400):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if phi(middle) > 0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def section(x, w, lo, hi, s):
    w, lo, hi = (np.broadcast_to(np.asarray(v, float), x.shape) for v in (w, lo, hi))
    span = 2 * (np.abs(x).max() + abs(s) + np.abs(lo[np.isfinite(lo)]).sum() + 1) / w.min()
    span += 2 * np.abs(hi[np.isfinite(hi)]).sum() / w.min()
    span *= w.max() / w.min()
    tau = falling_root(lambda t: w @ np.clip(x - t * w, lo, hi) - s, -span, span)
    return np.clip(x - tau * w, lo, hi)


def simplex(x, s=1.0):
    u = np.sort(x)[::-1]
    taus = (np.cumsum(u - u[0]) - s) / np.arange(1, len(x) + 1)
    k = np.flatnonzero(u - u[0] > taus)[-1] if s > 0 else 0
    return np.maximum((x - u[0]) - taus[k], 0) if s > 0 else np.zeros_like(x)


def l1_ball(x, r=1.0, w=1.0):
    w = np.broadcast_to(np.asarray(w, float), x.shape)
    if w @ np.abs(x) <= r:
        return x.copy()
    if r == 0:
        return np.zeros_like(x)
    return np.sign(x) * section(np.abs(x), w, 0.0, np.inf, r)


def l2_ball(x, r=1.0, c=0.0):
    d = x - c
    n = np.linalg.norm(d)
    return x.copy() if n <= r else c + r * d / n


def slab(x, a, lo, hi):
    h = a @ x
    return x - (h - np.clip(h, lo, hi)) / (a @ a) * a


def affine(x, A, b):
    return x - np.linalg.pinv(A) @ (A @ x - b)


def soc(x):
    z, t = x[:-1], x[-1]
    n = np.linalg.norm(z)
    if n <= t:
        return x.copy()
    if n <= -t:
        return np.zeros_like(x)
    return (n + t) / 2 * np.append(z / n, 1.0)


def isotonic(x, w=1.0, increasing=True, lo=-np.inf, hi=np.inf):
    w = np.broadcast_to(np.asarray(w, float), x.shape)
    x = x if increasing else -x
    n = len(x)
    y = np.empty(n)
    for i in range(n):
        y[i] = max(
            min(np.average(x[j : k + 1], weights=w[j : k + 1]) for k in range(i, n))
            for j in range(i + 1)
        )
    return np.clip(y if increasing else -y, lo, hi)


def l0_ball(x, k):
    y = np.zeros_like(x)
    keep = np.argsort(-np.abs(x), kind="stable")[:k]
    y[keep] = x[keep]
    return y


def kl(x, s=1.0, u=np.inf):
    u = np.broadcast_to(np.asarray(u, float), x.shape)
    if s == 0:
        return np.zeros_like(x)
    top = x.max()
    total = lambda c: np.minimum(u, np.exp(np.minimum(x - top + c, 700))).sum()  # noqa: E731
    c = falling_root(lambda t: s - total(t), -1e6, 1e6)
    return np.minimum(u, np.exp(np.minimum(x - top + c, 700)))


def reflect_box(x, lo=0.0, hi=1.0):
    """The triangle wave; with one side open, the absolute value."""
    if not np.isfinite(hi):
        return lo + np.abs(x - lo)
    d = hi - lo
    return lo + np.abs(np.mod(x - lo + d, 2 * d) - d)


def reflect_ball(x, r=1.0, c=0.0):
    n = np.linalg.norm(x - c)
    if n <= r:
        return x.copy()
    u = (x - c) / n
    return c + reflect_box(np.array([n]), -r, r)[0] * u


def soft(x, t):
    return np.sign(x) * np.maximum(np.abs(x) - t, 0)


def tv1d(x, lam):
    """The dual, a box-constrained least squares problem, by its active sets (exhaustive steps)."""
    from scipy.optimize import lsq_linear

    n = len(x)
    lam = np.broadcast_to(np.asarray(lam, float), (max(n - 1, 0),))
    if n < 2 or not lam.any():
        return x.copy()
    D = np.diff(np.eye(n), axis=0)
    free = lam > 0
    z = np.zeros(n - 1)
    found = lsq_linear(
        D[free].T, x, bounds=(-lam[free], lam[free]), method="bvls", tol=1e-15, max_iter=1000
    )
    z[free] = found.x
    return x - D.T @ z


def group(x, labels, lam, w, l1=0.0):
    z = soft(x, l1)
    y = np.zeros_like(z)
    for g, weight in enumerate(w):
        part = z[labels == g]
        n = np.linalg.norm(part)
        if n > lam * weight:
            y[labels == g] = (1 - lam * weight / n) * part
    return y


def psd(x):
    values, u = np.linalg.eigh((x + x.T) / 2)
    return (u * np.maximum(values, 0)) @ u.T


def singular(x, h):
    u, s, wt = np.linalg.svd(x, full_matrices=False)
    return (u * h(s)) @ wt


def rotation(x):
    u, s, wt = np.linalg.svd(x)
    d = np.ones(len(s))
    d[-1] = np.sign(np.linalg.det(u @ wt))
    return (u * d) @ wt


def dykstra(x, maps, rounds=20000, tol=1e-15):
    """The nearest point of an intersection; the maps project onto its parts."""
    p = [np.zeros_like(x) for _ in maps]
    y = x.copy()
    for _ in range(rounds):
        moved = 0.0
        for k, project in enumerate(maps):
            new = project(y + p[k])
            step = y + p[k] - new
            moved = max(moved, np.abs(step - p[k]).max(), np.abs(new - y).max())
            p[k], y = step, new
        if moved < tol:
            break
    return y


def transport(x, a, b):
    def rows(p, masses):
        each = [section(r, 1.0, 0.0, np.inf, s) if s else 0 * r for r, s in zip(p, masses)]
        return np.array(each)

    return dykstra(x, [lambda p: rows(p, a), lambda p: rows(p.T, b).T])


def correlation(x):
    def unit(y):
        y = y.copy()
        np.fill_diagonal(y, 1.0)
        return y

    return dykstra((x + x.T) / 2, [psd, unit])


def toeplitz(x):
    p, q = x.shape
    y = np.zeros_like(x)
    for k in range(-p + 1, q):
        rows = np.arange(max(0, -k), min(p, q - k))
        y[rows, rows + k] = x[rows, rows + k].mean()
    return y
