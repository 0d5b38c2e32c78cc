"""Fractional coordinate descent beside the same steps in numpy, and beside other methods.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benches/blocks_fractional.py [speed] [values]

`speed`: both sides make the same sweeps from the same start in one process, in turn; each line is
the median of numpy's time over ours, and its quartiles. Ours includes the certificate, which costs
about one sweep more. The values of F after the sweeps must agree.

`values`: F after convergence or two seconds, the median over starts, for FCD and PCD (with the
largest certificate) and for the parametric method (DPA), the proximal gradient-subgradient
algorithm (PGSA), the quadratic transform (QTA) and, for ICA, the power method.

Instances: sparse recovery ||Ax - y||^2 / 2 + lam ||x||_1 over lam topk(x) with k = 100 and
lam = 0.1 / m, x0 = 0.1 N(0, 1), A Gaussian or sparse; ICA ||x||^2 over ||Ax||_4^2, A whitened.
"""

from __future__ import annotations

import argparse
import functools
import os
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy import sparse

import thalweg
from thalweg.coordinate import fractional as fr

THETA = 1e-5


# ---- the same steps in numpy


def _least(x: float, b: float, a: float, base: float, l1: float, low: Any, known: Any) -> float:
    """The best coordinate among `known` by the value `low(u, N(u))`."""
    best, at = np.inf, x
    for u in known:
        eta = u - x
        value = low(u, base + eta * (b + a / 2 * eta) + l1 * abs(u))
        if value < best:
            best, at = value, u
    return at


def numpy_sparse(A: Any, y: Any, lam: float, k: int, x: Any, sweeps: int, method: str) -> Any:
    columns, x = np.ascontiguousarray(A.T), x.copy()
    n = len(x)
    curvature = (columns * columns).sum(axis=1)
    for _ in range(sweeps):
        r = columns.T @ x - y
        f, norm = float(r @ r) / 2, float(np.abs(x).sum())
        for i in range(n):
            a, xi, b = float(curvature[i]) + THETA, float(x[i]), float(columns[i] @ r)
            others = np.abs(x)
            others[i] = 0
            top = np.partition(others, n - k)[n - k :]
            tau = float(top[0])
            S1 = float(top.sum()) - tau
            base = f + lam * (norm - abs(xi))
            ratio = (base + lam * abs(xi)) / (lam * (S1 + max(abs(xi), tau)))
            known = [xi, 0.0, tau, -tau]
            for s in (1.0, -1.0):
                u = xi - (b + lam * s) / a
                if 0 <= s * u <= tau:
                    known.append(u)
                if method == "pcd":
                    u = xi - (b + (lam - ratio * lam) * s) / a
                    if s * u >= tau:
                        known.append(u)
                    continue
                # N = q0 + q1 u + a/2 u^2, g = lam (S1 + s u)
                q1, q0 = b - a * xi + lam * s, a * xi * xi / 2 - b * xi + base
                root = (a * S1) ** 2 - 2 * a * s * (q1 * S1 - s * q0)
                if root >= 0:
                    u = (-a * S1 + root**0.5) / (a * s)
                    if s * u >= tau:
                        known.append(u)

            def fractional(u: float, N: float, S1: float = S1, tau: float = tau) -> float:
                return N / (lam * (S1 + max(abs(u), tau)))

            def parametric(
                u: float, N: float, S1: float = S1, tau: float = tau, F: float = ratio
            ) -> float:
                return N - F * lam * (S1 + max(abs(u), tau))

            low = fractional if method == "fcd" else parametric
            u = _least(xi, b, a, base, lam, low, known)
            if u != xi:
                eta = u - xi
                r += eta * columns[i]
                f += eta * (b + float(curvature[i]) / 2 * eta)
                norm += abs(u) - abs(xi)
                x[i] = u
    return x


def numpy_ica(A: Any, x: Any, sweeps: int, method: str) -> Any:
    columns, x = np.ascontiguousarray(A.T), x.copy()
    for _ in range(sweeps):
        d = columns.T @ x
        square = float(x @ x)
        for i in range(len(x)):
            a, xi = columns[i], float(x[i])
            aa, ad, dd = a * a, a * d, d * d
            D = np.array([dd @ dd, 4 * (ad @ dd), 6 * (ad @ ad), 4 * (ad @ aa), aa @ aa])
            N = np.array([square, 2 * xi, 1 + THETA / 2])
            ratio = square / np.sqrt(D[0])
            dN, dD = np.array([N[1], 2 * N[2]]), D[1:] * [1, 2, 3, 4]
            # Without a minimum of N - F g, the fractional step.
            fractional = method == "fcd" or N[2] <= ratio * np.sqrt(D[4])
            if fractional:
                equation = 2 * np.convolve(dN, D) - np.convolve(N, dD)
                equation = equation[:5]
            else:
                equation = 4 * np.convolve(np.convolve(dN, dN), D)
                equation -= ratio**2 * np.convolve(dD, dD)
            roots = np.roots(equation[::-1])
            eta = np.append(roots.real[np.abs(roots.imag) < 1e-9], 0.0)
            top, bottom = np.polyval(N[::-1], eta), np.sqrt(np.polyval(D[::-1], eta))
            if fractional:
                step = float(eta[np.argmin(top / bottom)])
            else:
                step = float(eta[np.argmin(top - ratio * bottom)])
            if step:
                d += step * a
                square += step * (2 * xi + step)
                x[i] += step
    return x


def numpy_l1(A: Any, y: Any, D: Any, x: Any, sweeps: int) -> Any:
    """FCD for ||Ax - y||^2 / 2 over ||D x||_1: breakpoints sorted, prefix sums."""
    columns, rows, x = np.ascontiguousarray(A.T), np.ascontiguousarray(D.T), x.copy()
    curvature = (columns * columns).sum(axis=1)
    for _ in range(sweeps):
        r, d = columns.T @ x - y, rows.T @ x
        f = float(r @ r) / 2
        for i in range(len(x)):
            c, b, a = rows[i], float(columns[i] @ r), float(curvature[i]) + THETA
            kinks = -d / c
            order = np.argsort(kinks)
            ends = kinks[order]
            rise, lift = np.abs(c)[order], (d * np.sign(c))[order]
            slope = np.concatenate([[0.0], np.cumsum(2 * rise)]) - rise.sum()
            level = np.concatenate([[0.0], np.cumsum(2 * lift)]) - lift.sum()
            t = a * level
            root = np.sqrt(np.maximum(t * t - 2 * a * slope * (b * level - f * slope), 0.0))
            with np.errstate(divide="ignore", invalid="ignore"):
                eta = (root - t) / (a * slope)
            left = np.concatenate([[-np.inf], ends])
            right = np.concatenate([ends, [np.inf]])
            keep = (left <= eta) & (eta <= right)
            eta, g = eta[keep], slope[keep] * eta[keep] + level[keep]
            values = (f + eta * (b + a / 2 * eta)) / g
            best = int(np.argmin(values))
            if values[best] < f / np.abs(d).sum():
                step = float(eta[best])
                r += step * columns[i]
                d += step * c
                f += step * (b + float(curvature[i]) / 2 * step)
                x[i] += step
    return x


# ---- instances


def sparse_recovery(m: int, n: int, seed: int = 0, density: float | None = None) -> Any:
    rng = np.random.default_rng(seed)
    if density is None:
        A = np.asfortranarray(rng.standard_normal((m, n)))
    else:
        A = sparse.random_array((m, n), density=density, rng=rng, format="csc")
        A = A + sparse.eye_array(m, n, format="csc")
    truth = np.zeros(n)
    truth[rng.choice(n, 100, replace=False)] = rng.standard_normal(100)
    y = A @ truth
    y = y + 0.1 * np.linalg.norm(y) / np.sqrt(m) * rng.standard_normal(m)
    return A, y, 0.1 / m, 0.1 * rng.standard_normal(n)


def components(m: int, n: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    mixed = rng.laplace(size=(m, n)) @ rng.standard_normal((n, n))
    A = np.linalg.qr(mixed - mixed.mean(axis=0))[0] * np.sqrt(m)
    return np.asfortranarray(A), rng.standard_normal(n)


# ---- speed


def compare(name: str, ours: Any, theirs: Any, value: Any, rounds: int) -> None:
    ratios, mine, values = [], [], (0.0, 0.0)
    for _ in range(rounds):
        start = time.process_time()
        x = ours()
        middle = time.process_time()
        z = theirs()
        end = time.process_time()
        ratios.append((end - middle) / (middle - start))
        mine.append(middle - start)
        values = value(x), value(z)
    low, median, high = np.percentile(ratios, [25, 50, 75])
    gap = abs(values[0] - values[1]) / abs(values[1])
    print(
        f"{name:34s} numpy / ours {median:7.1f}  [{low:.1f}, {high:.1f}]  "
        f"ours {min(mine) * 1e3:8.2f} ms  F {values[0]:.6g}, apart {gap:.0e}"
    )


SWEEPS = 3
SETTINGS: dict[str, Any] = {"theta": THETA, "tol": 0.0, "max_iter": SWEEPS}


def speed_recovery(m: int, n: int, method: str, rounds: int) -> None:
    A, y, lam, x0 = sparse_recovery(m, n)
    f, g = fr.LeastSquares(A, y), fr.TopK(100, lam)
    compare(
        f"sparse recovery {m} x {n} {method}",
        lambda: fr.minimize(f, g, x0, l1=lam, method=method, **SETTINGS).x,
        lambda: numpy_sparse(A, y, lam, 100, x0, SWEEPS, method),
        lambda x: (f(x) + lam * np.abs(x).sum()) / g(x),
        rounds,
    )


def speed_components(m: int, n: int, method: str, rounds: int) -> None:
    A, x0 = components(m, n)
    f, g = fr.SquaredNorm(), fr.SquaredL4(A)
    compare(
        f"ICA {m} x {n} {method}",
        lambda: fr.minimize(f, g, x0, method=method, **SETTINGS).x,
        lambda: numpy_ica(A, x0, SWEEPS, method),
        lambda x: f(x) / g(x),
        rounds,
    )


def speed_l1(m: int, n: int, rounds: int) -> None:
    A, y, _, x0 = sparse_recovery(m, n)
    D = np.asfortranarray(np.random.default_rng(1).standard_normal((n, n)))
    f, g = fr.LeastSquares(A, y), fr.L1(D)
    compare(
        f"||Dx||_1, A {m} x {n} fcd",
        lambda: fr.minimize(f, g, x0, **SETTINGS).x,
        lambda: numpy_l1(A, y, D, x0, SWEEPS),
        lambda x: f(x) / g(x),
        rounds,
    )


def speed(rounds: int) -> None:
    for method in ("fcd", "pcd"):
        for m, n in ((256, 1024), (512, 2048)):
            speed_recovery(m, n, method, rounds)
        for m, n in ((1024, 64), (2048, 256)):
            speed_components(m, n, method, rounds)
    speed_l1(256, 512, rounds)


# ---- values


def _until(step: Any, x: Any, F: Any, seconds: float = 2.0) -> float:
    """Repeats a step until F has settled or the time is over; the lowest F."""
    end, best, calm = time.perf_counter() + seconds, F(x), 0
    while time.perf_counter() < end and calm < 20:
        x = step(x)
        value = F(x)
        calm = calm + 1 if best - value <= 1e-10 * best else 0
        best = min(best, value)
    return float(best)


def proximal(F: Any, gradient: Any, subgradient: Any, g: Any, L: float, lam: float) -> Any:
    """PGSA, DPA and QTA: proximal steps on N - F <v, x>, v a subgradient of g at x.

    DPA holds F for ten steps; QTA holds beta = sqrt(g) / N, and F = 1 / (beta sqrt(g(x))).
    """

    def inner(x: Any, ratio: float) -> Any:
        z = x - (gradient(x) - ratio * subgradient(x)) / L
        return np.sign(z) * np.maximum(np.abs(z) - lam / L, 0)

    def pgsa(x: Any) -> Any:
        return inner(x, F(x))

    def dpa(x: Any) -> Any:
        ratio = F(x)
        for _ in range(10):
            x = inner(x, ratio)
        return x

    def qta(x: Any) -> Any:
        scale = F(x) * np.sqrt(g(x))
        for _ in range(10):
            x = inner(x, scale / np.sqrt(g(x)))
        return x

    return {"DPA": dpa, "PGSA": pgsa, "QTA": qta}


def table(name: str, run: Any, starts: int) -> None:
    rows: dict[str, list[float]] = {}
    certificate = 0.0
    for seed in range(starts):
        values, worst = run(seed)
        certificate = max(certificate, worst)
        for method, value in values.items():
            rows.setdefault(method, []).append(value)
    text = "  ".join(f"{method} {np.median(values):.6g}" for method, values in rows.items())
    best = np.min(list(rows.values()), axis=0) * (1 + 1e-6)
    lower = np.mean(np.array(rows["FCD"]) <= best)
    print(f"{name:38s} {text}  | FCD lowest in {lower:.0%}, certificates <= {certificate:.0e}")


def solved(parts: Any, x0: Any, l1: float = 0.0) -> tuple[dict[str, float], float]:
    values, worst = {}, 0.0
    for method in ("fcd", "pcd"):
        kw: dict[str, Any] = {"max_iter": 10**6, "time_limit": 2.0}
        found = fr.minimize(*parts, x0, l1=l1, method=method, **kw)
        values[method.upper()] = found.fun
        worst = max(worst, found.certificate)
    return values, worst


def values_recovery(seed: int, m: int, n: int, density: float | None) -> Any:
    A, y, lam, x0 = sparse_recovery(m, n, seed, density)
    found, worst = solved((fr.LeastSquares(A, y), fr.TopK(100, lam)), x0, lam)
    L = float(np.linalg.norm(A if density is None else A.toarray(), 2) ** 2)

    def F(x: Any) -> float:
        r = A @ x - y
        return float((r @ r / 2 + lam * np.abs(x).sum()) / g(x))

    def g(x: Any) -> float:
        return lam * float(np.partition(np.abs(x), n - 100)[n - 100 :].sum())

    def subgradient(x: Any) -> Any:
        v = np.zeros(n)
        top = np.argpartition(np.abs(x), n - 100)[n - 100 :]
        v[top] = lam * np.sign(x[top])
        return v

    steps = proximal(F, lambda x: A.T @ (A @ x - y), subgradient, g, L, lam)
    return found | {name: _until(step, x0, F) for name, step in steps.items()}, worst


def values_components(seed: int, m: int, n: int) -> Any:
    A, x0 = components(m, n, seed)
    found, worst = solved((fr.SquaredNorm(), fr.SquaredL4(A)), x0)

    def F(x: Any) -> float:
        return float(x @ x) / g(x)

    def g(x: Any) -> float:
        return float(np.sqrt(((A @ x) ** 4).sum()))

    def subgradient(x: Any) -> Any:
        d = A @ x
        return 2 * (A.T @ d**3) / np.sqrt((d**4).sum())

    def power(x: Any) -> Any:
        z = A.T @ (A @ x) ** 3
        return z / np.linalg.norm(z)

    steps = proximal(F, lambda x: 2 * x, subgradient, g, 2.0, 0.0) | {"power": power}
    return found | {name: _until(step, x0, F) for name, step in steps.items()}, worst


def values(starts: int) -> None:
    for m, n, density in ((256, 1024, None), (512, 2048, None), (1024, 2048, 0.02)):
        kind = "Gaussian" if density is None else f"{density:.0%} filled"
        run = functools.partial(values_recovery, m=m, n=n, density=density)
        table(f"sparse recovery {m} x {n} {kind}", run, starts)
    for m, n in ((1024, 64), (2048, 256)):
        table(f"ICA {m} x {n}", functools.partial(values_components, m=m, n=n), starts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", nargs="*", default=["speed", "values"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=5)
    arguments = parser.parse_args()
    thalweg.set_num_threads(1)
    if "speed" in arguments.what:
        speed(arguments.rounds)
    if "values" in arguments.what:
        values(arguments.starts)
