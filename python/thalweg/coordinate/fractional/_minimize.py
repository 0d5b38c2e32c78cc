"""Fractional and parametric coordinate descent."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg import _core
from thalweg.coordinate._matrix import Array, choice, count, in_range, vector
from thalweg.coordinate.fractional._denominators import Lowest, TopK, _Norm
from thalweg.coordinate.fractional._numerators import LeastSquares, Quadratic, SquaredNorm
from thalweg.coordinate.fractional._solution import RatioSolution

Numerator = LeastSquares | Quadratic | SquaredNorm
Denominator = TopK | _Norm | Lowest

PROGRESS = ("sweep", "objective", "moves", "certificate")


def minimize(
    numerator: Numerator,
    denominator: Denominator,
    x0: ArrayLike,
    *,
    method: str = "fcd",
    l1: float = 0.0,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    theta: float = 1e-5,
    selection: str = "cyclic",
    seed: int = 0,
    tol: float = 1e-8,
    max_iter: int = 1000,
    first_sweep: int = 0,
    time_limit: float | None = None,
    verbose: int = 0,
    callback: Callable[[dict[str, float]], Any] | None = None,
) -> RatioSolution:
    """Minimise F(x) = (f(x) + l1 ||x||_1) / g(x) over a box, one coordinate at a time.

    Use it for scale-invariant sparsity, independent components and other ratios, where the exact
    one-dimensional solutions escape points at which gradient methods stop.

    Parameters
    ----------
    numerator : LeastSquares, Quadratic or SquaredNorm
        f, convex, f >= 0.
    denominator : TopK, L1, L2, SquaredL4, LInf or Lowest
        g, positive at `x0`.
    x0 : array_like, shape (n,)
        Start; not modified.
    method : {"fcd", "pcd"}
        Minimise the ratio along the coordinate (faster), or f + h - F(x) g.
    l1 : float, default 0.0
        Strength of the l1 norm, >= 0.
    bounds : pair of array_like, optional
        Least and largest values, scalars or one a coordinate; ``(0, np.inf)`` keeps x >= 0.
    theta : float, default 1e-5
        Weight of a proximal term theta / 2 eta^2 on a step eta, >= 0.
    selection : {"cyclic", "shuffled", "random"}
        Order of the coordinates: natural, a new permutation a sweep, independent draws.
    seed : int, default 0
        Seed of the order.
    tol : float, default 1e-8
        Certificate to reach: the relative gain of the best move of one coordinate.
    max_iter : int, default 1000
        Sweeps.
    first_sweep : int, default 0
        Sweeps made before, where `x0` is the `x` of an earlier solution: with it a run in parts,
        each ended by `max_iter` or the callback, equals one run bit for bit.
    time_limit : float, optional
        Seconds for the sweeps; the certificate takes about one sweep more.
    verbose, callback
        A line, or a call with a dict, for each sweep; a true return value ends the run.

    Returns
    -------
    RatioSolution
        Ctrl-C returns what there is.

    Raises
    ------
    ValueError
        If shapes do not fit, something is not finite or out of range, g is not positive or f + h
        negative at `x0`, or the ratio has no minimiser because f is flat along a coordinate.

    Notes
    -----
    A step costs one pass over a column of A and, except for `TopK` (O(log n)), one over a column
    of D; `L1` and `LInf` sort it. A sweep that gains less than `tol` is followed by the one move
    that gains most, and by the certificate.

    References
    ----------
    Yuan 2023, "Coordinate descent methods for fractional minimization", ICML, arXiv:2201.12691.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[1.0, 0.2, 0.0], [0.0, 1.0, 0.3]])
    >>> found = minimize(LeastSquares(A, [1.0, 0.0]), TopK(1, 0.1), [0.5, 0.5, 0.5], l1=0.1)
    >>> found.x.round(2).tolist(), found.success
    ([1.0, 0.0, 0.0], True)
    """
    if not isinstance(numerator, Numerator):
        raise TypeError(
            "numerator must be LeastSquares, Quadratic or SquaredNorm, got "
            f"{type(numerator).__name__}; wrap the data in one of them"
        )
    if not isinstance(denominator, Denominator):
        raise TypeError(
            "denominator must be TopK, L1, L2, SquaredL4, LInf or Lowest, got "
            f"{type(denominator).__name__}; wrap the data in one of them"
        )
    x = vector(x0, name="x0")
    low, high = _box(bounds, len(x))
    target = in_range("tol", tol, 0.0)
    settings = {
        "method": choice("method", method, ("fcd", "pcd")),
        "theta": _finite("theta", theta),
        "selection": choice("selection", selection, ("cyclic", "shuffled", "random")),
        "seed": int(seed) % 2**64,
        "tol": target,
        "max_iter": count("max_iter", max_iter),
        "first": count("first_sweep", first_sweep, 0),
        "time_limit": None if time_limit is None else in_range("time_limit", time_limit, 0.0),
    }
    found = _core.coordinate_fractional(
        numerator._part(len(x)),
        denominator._part(len(x)),
        x,
        _finite("l1", l1),
        low,
        high,
        settings,
        _reporter(verbose, callback),
    )
    return RatioSolution(
        x=found["x"],
        fun=found["objective"],
        certificate=found["certificate"],
        nit=found["sweeps"],
        moves=found["moves"],
        status=found["status"],
        tol=target,
        history=found["history"],
    )


def _finite(name: str, value: float) -> float:
    return in_range(name, value, 0.0, sys.float_info.max)


def _box(bounds: tuple[ArrayLike, ArrayLike] | None, n: int) -> tuple[Array, Array]:
    low, high = (-np.inf, np.inf) if bounds is None else bounds
    ends = [np.asarray(end, dtype=np.float64) for end in (low, high)]
    for name, end in zip(("bounds[0]", "bounds[1]"), ends):
        if end.shape not in ((), (1,), (n,)):
            raise ValueError(
                f"{name} of shape {end.shape} does not match x0 of shape ({n},); "
                "pass a number, or one a coordinate"
            )
    return np.full(n, ends[0]), np.full(n, ends[1])


def _reporter(
    verbose: int, callback: Callable[[dict[str, float]], Any] | None
) -> Callable[[list[float]], bool] | None:
    if not verbose and callback is None:
        return None

    def report(row: list[float]) -> bool:
        progress = dict(zip(PROGRESS, row))
        if verbose:
            sys.stdout.write("  ".join(f"{name} {x:.8g}" for name, x in progress.items()) + "\n")
            sys.stdout.flush()
        return callback is not None and bool(callback(progress))

    return report
