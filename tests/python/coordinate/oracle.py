"""Plain float64 references, written from the formulas; slow, no code shared with the package."""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy


def weights_of(s, n):
    s = np.ones(n) if s is None else np.asarray(s, float)
    return s / s.sum()


def loss(name, z, y, delta=1.35):
    """Value, derivative and dual term as functions of the raw dual variable."""
    if name == "quadratic":
        return (y - z) ** 2 / 2, z - y, lambda u: u * y - u**2 / 2
    if name == "logistic":

        def dual(u):
            t = np.clip(y * u, 0, 1)
            return -(xlogy(t, t) + xlogy(1 - t, 1 - t))

        return np.logaddexp(0, -y * z), -y / (1 + np.exp(y * z)), dual
    if name == "squared_hinge":
        slack = np.maximum(0, 1 - y * z)
        return slack**2, -2 * y * slack, lambda u: y * u - u**2 / 4
    if name == "huber":
        r = np.abs(y - z)
        value = np.where(r <= delta, r**2 / 2, delta * r - delta**2 / 2)
        return value, -np.clip(y - z, -delta, delta), lambda u: u * y - u**2 / 2
    if name == "poisson":
        return np.exp(z) - y * z, np.exp(z) - y, lambda u: (y - u) - xlogy(y - u, y - u)
    raise KeyError(name)


def objective(X, y, w, b, alpha, *, name="quadratic", rho=1.0, v=None, s=None, delta=1.35):
    X, W = np.asarray(X, float), weights_of(s, len(y))
    v = np.ones(X.shape[1]) if v is None else np.asarray(v, float)
    kept = np.isfinite(v)
    value = loss(name, X @ w + b, y, delta)[0]
    pen = rho * np.abs(w[kept]) + (1 - rho) / 2 * w[kept] ** 2
    return W @ value + alpha * (v[kept] @ pen)


def gap(X, y, w, b, alpha, *, name="quadratic", v=None, s=None, positive=False, delta=1.35):
    """Duality gap of an l1 problem whose intercept is optimal (steps 1 to 4 of the definition)."""
    X, W = np.asarray(X, float), weights_of(s, len(y))
    v = np.ones(X.shape[1]) if v is None else np.asarray(v, float)
    value, slope, dual = loss(name, X @ w + b, y, delta)
    u = -slope
    x = X.T @ (W * u)
    x = np.maximum(x, 0) if positive else np.abs(x)
    k = 1 / max(1.0, np.max(x / (alpha * v), initial=0.0))
    primal = W @ value + alpha * (v @ np.abs(w))
    return primal - W @ dual(k * u)


def soft(z, t):
    return np.sign(z) * max(abs(z) - t, 0)


def lasso(X, y, alpha, *, rho=1.0, v=None, s=None, positive=False, intercept=True, epochs=20_000):
    """Cyclic coordinate descent on explicitly centred data, no tricks."""
    X, W = np.array(X, float), weights_of(s, len(y))
    _n, p = X.shape
    v = np.ones(p) if v is None else np.asarray(v, float)
    mx, my = (W @ X, W @ y) if intercept else (np.zeros(p), 0.0)
    A, r, w = X - mx, np.array(y, float) - my, np.zeros(p)
    c = W @ A**2
    for _ in range(epochs):
        largest = 0.0
        for j in range(p):
            if c[j] < 1e-14 * max(c.max(), 1e-300) or np.isinf(v[j]):
                continue
            z = c[j] * w[j] + A[:, j] @ (W * r)
            t = alpha * rho * v[j]
            top = max(z - t, 0) if positive else soft(z, t)
            new = top / (c[j] + alpha * (1 - rho) * v[j])
            r -= (new - w[j]) * A[:, j]
            largest = max(largest, abs(new - w[j]))
            w[j] = new
        if largest < 1e-14:
            break
    return w, my - mx @ w


def concave(X, y, alpha, gamma, kind, epochs=5000):
    """MCP or SCAD, cyclic in natural order from zero, the scalar problem by search."""
    X, y = np.asarray(X, float), np.asarray(y, float)
    n, p = X.shape
    w, r = np.zeros(p), y.copy()
    c = (X**2).sum(0) / n

    def value(t):
        t = abs(t)
        if kind == "mcp":
            return alpha * t - t**2 / (2 * gamma) if t < gamma * alpha else gamma * alpha**2 / 2
        if t <= alpha:
            return alpha * t
        if t <= gamma * alpha:
            return (2 * gamma * alpha * t - t**2 - alpha**2) / (2 * (gamma - 1))
        return alpha**2 * (gamma + 1) / 2

    def prox(z, step):
        a = abs(z)
        if kind == "mcp":
            middle = (a - alpha * step) / (1 - step / gamma)
        else:
            middle = ((gamma - 1) * a - step * gamma * alpha) / (gamma - 1 - step)
        candidates = [0.0, a, max(a - alpha * step, 0), middle, alpha, gamma * alpha]
        candidates = [t for t in candidates if t >= 0]
        best = min(candidates, key=lambda t: (t - a) ** 2 / (2 * step) + value(t))
        return np.sign(z) * best

    for _ in range(epochs):
        largest = 0.0
        for j in range(p):
            new = prox(w[j] + X[:, j] @ r / (n * c[j]), 1 / c[j])
            r -= (new - w[j]) * X[:, j]
            largest = max(largest, abs(new - w[j]))
            w[j] = new
        if largest < 1e-13:
            break
    return w


def group(X, Y, alpha, groups, v, *, l1=0.0, positive=False, epochs=20_000):
    """Proximal gradient on all groups at once; Y is (n, tasks), no intercept."""
    X, Y = np.asarray(X, float), np.asarray(Y, float)
    n, p = X.shape
    W = np.zeros((p, Y.shape[1]))
    M, t = W.copy(), 1.0
    step = n / np.linalg.norm(X, 2) ** 2
    for _ in range(epochs):
        Z = M + step * X.T @ (Y - X @ M) / n
        Z = np.maximum(Z, 0) if positive else Z
        Z = np.sign(Z) * np.maximum(np.abs(Z) - step * alpha * l1, 0)
        for g, vg in zip(groups, v):
            size = np.linalg.norm(Z[g])
            Z[g] *= max(1 - step * alpha * (1 - l1) * vg / size, 0) if size > 0 else 0
        t_new = (1 + np.sqrt(1 + 4 * t * t)) / 2
        if np.sum((M - Z) * (Z - W)) > 0:
            t_new = 1.0
        M, W, t = Z + (t - 1) / t_new * (Z - W), Z, t_new
    return W


def svm(X, y, C, squared, scaling, passes=4000):
    """Dual coordinate descent in natural order."""
    A = np.column_stack([X, np.full(len(y), scaling)]) if scaling else np.asarray(X, float)
    D, U = (0.5 / C, np.inf) if squared else (0.0, C)
    a, w = np.zeros(len(y)), np.zeros(A.shape[1])
    q = (A**2).sum(1) + D
    for _ in range(passes):
        for i in range(len(y)):
            g = y[i] * (A[i] @ w) - 1 + D * a[i]
            new = min(max(a[i] - g / q[i], 0), U)
            w += (new - a[i]) * y[i] * A[i]
            a[i] = new
    return w, a


def svm_free(X, y, C, squared):
    """Primal with a free constant: smooth minimisation, or the linear program's cousin by SLSQP."""
    from scipy.optimize import minimize

    n, p = X.shape
    if squared:

        def value(u):
            slack = np.maximum(0, 1 - y * (X @ u[:p] + u[p]))
            g = -2 * C * slack * y
            return u[:p] @ u[:p] / 2 + C @ slack**2, np.r_[u[:p] + X.T @ g, g.sum()]

        options = {"maxiter": 10_000, "ftol": 0, "gtol": 1e-10}
        u = minimize(value, np.zeros(p + 1), jac=True, method="L-BFGS-B", options=options).x
        return u[:p], u[p]
    A = np.hstack([y[:, None] * X, y[:, None], np.eye(n)])
    start = np.r_[np.zeros(p + 1), np.ones(n)]
    result = minimize(
        lambda u: (u[:p] @ u[:p] / 2 + C @ u[p + 1 :], np.r_[u[:p], 0, C]),
        start,
        jac=True,
        method="SLSQP",
        bounds=[(None, None)] * (p + 1) + [(0, None)] * n,
        constraints={"type": "ineq", "fun": lambda u: A @ u - 1, "jac": lambda u: A},
        options={"maxiter": 1000, "ftol": 1e-14},
    )
    return result.x[:p], result.x[p]


def hard_margin(X):
    """First half of the samples against the second, the largest margin."""
    from scipy.optimize import minimize

    p, half = X.shape[1], len(X) // 2
    y = np.r_[-np.ones(half), np.ones(len(X) - half)]
    A = np.column_stack([y[:, None] * X, y])
    result = minimize(
        lambda u: u[:p] @ u[:p] / 2,
        np.zeros(p + 1),
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda u: A @ u - 1},
        options={"ftol": 1e-14},
    )
    return result.x


def hals(V, W, H, l1_w, l2_w, l1_h, l2_h, sweeps):
    W, H = W.copy(), H.copy()
    k = W.shape[1]
    for _ in range(sweeps):
        A, B = H @ H.T + l2_w * np.eye(k), V @ H.T - l1_w
        for t in range(k):
            for i in range(W.shape[0]):
                W[i, t] = max(W[i, t] - (A[t] @ W[i] - B[i, t]) / A[t, t], 0)
        A, B = W.T @ W + l2_h * np.eye(k), W.T @ V - l1_h
        for t in range(k):
            for j in range(H.shape[1]):
                H[t, j] = max(H[t, j] - (A[t] @ H[:, j] - B[t, j]) / A[t, t], 0)
    return W, H
