"""Ratios in plain numpy, and the minimum along a coordinate by dense search."""

import numpy as np


def denominator(kind, d, k=1, offset=0.0):
    """G for the columns of d, which are D x (or x itself)."""
    a = np.abs(d)
    return {
        "top_k": lambda: np.sort(a, axis=0)[::-1][:k].sum(axis=0),
        "l1": lambda: a.sum(axis=0),
        "l1_squared": lambda: a.sum(axis=0) ** 2,
        "l2": lambda: np.sqrt((d * d).sum(axis=0)),
        "l2_squared": lambda: (d * d).sum(axis=0),
        "squared_l4": lambda: np.sqrt((d**4).sum(axis=0)),
        "l_inf": lambda: a.max(axis=0),
        "lowest": lambda: (d + offset).min(axis=0),
    }[kind]()


class Ratio:
    """F(x) = (f(x) + l1 ||x||_1) / g(x); f is given by (Q, q, c): x' Q x / 2 + q' x + c."""

    def __init__(self, Q, q, c, kind, D=None, l1=0.0, bounds=(-np.inf, np.inf), k=1, offset=0.0):
        self.Q, self.q, self.c, self.l1, self.k = Q, q, c, l1, k
        self.kind, self.D = kind, np.eye(len(q)) if D is None else D
        self.offset = np.reshape(offset, (-1, 1)) if np.ndim(offset) else offset
        n = len(q)
        self.low, self.high = np.full(n, bounds[0]), np.full(n, bounds[1])

    def parts(self, x, i, u):
        """Numerator and denominator with coordinate i at each of u."""
        points = np.repeat(np.asarray(x, dtype=float)[:, None], len(u), axis=1)
        points[i] = u
        top = (points * (self.Q @ points / 2 + self.q[:, None])).sum(axis=0) + self.c
        top = top + self.l1 * np.abs(points).sum(axis=0)
        return top, denominator(self.kind, self.D @ points, self.k, self.offset)

    def __call__(self, x):
        top, bottom = self.parts(x, 0, np.array([x[0]]))
        return float(top[0] / bottom[0])

    def along(self, x, i, value):
        """The least of value(numerator, denominator) over coordinate i, by zooming in."""

        def at(u):
            u = np.clip(u, self.low[i], self.high[i])
            top, bottom = self.parts(x, i, u)
            with np.errstate(all="ignore"):
                v = np.where(bottom > 0, value(top, bottom), np.inf)
            return u, np.where(np.isfinite(v), v, np.inf)

        far = np.geomspace(1e-6, 1e5, 500)
        ends = [end for end in (self.low[i], self.high[i]) if np.isfinite(end)]
        grid = np.r_[np.linspace(-8, 8, 1601), far, -far, x[i] + far, x[i] - far, 0.0, x[i], ends]
        u, v = at(np.unique(grid))
        best = v.min()
        inner = np.flatnonzero((v[1:-1] <= v[:-2]) & (v[1:-1] <= v[2:])) + 1
        for j in inner[np.argsort(v[inner])[:6]]:
            left, right = u[j - 1], u[j + 1]
            for _ in range(10):
                w, z = at(np.linspace(left, right, 101))
                j = int(np.argmin(z))
                best = min(best, z[j])
                left, right = w[max(j - 1, 0)], w[min(j + 1, 100)]
        return float(best)

    def gain(self, x):
        """The largest relative decrease of F that one coordinate can give."""
        now = self(x)
        best = min(self.along(x, i, lambda n, g: n / g) for i in range(len(x)))
        return (now - best) / now
