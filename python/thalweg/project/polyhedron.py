"""Polyhedra A x <= b, E x = f."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg import _core
from thalweg.project._engine import (
    ConvergenceWarning,
    Floats,
    Set,
    check_out,
    checked,
    integer,
    is_tensor,
    number,
    run,
    size,
    system,
    values,
)

_METHODS = {"active_set": 0.0, "dykstra": 1.0, "admm": 2.0}
_SMALL, _MEDIUM = 300, 3000  # rows up to which the active set and ADMM are the default


@dataclass(frozen=True)
class Certificate:
    """A projection with what proves it.

    Attributes
    ----------
    point : ndarray, shape (..., n)
        The nearest point.
    multipliers : ndarray, shape (..., k)
        Multipliers >= 0 of A x <= b: x - point = A^T multipliers + a combination of rows of E.
    residual : float
        Largest violation of the optimality conditions, relative to the size of the points.
    n_iter : int
        Most iterations of a point; 0 for the active set.
    success : bool
        Whether `residual` is at most `tol`.
    message : str
        How it ended, in words.
    """

    point: Any
    multipliers: Floats
    residual: float
    n_iter: int
    success: bool
    message: str


def polyhedron(
    x: Any,
    A: Any = None,
    b: Any = None,
    E: Any = None,
    f: Any = None,
    method: str = "auto",
    *,
    tol: float = 1e-10,
    max_iter: int = 20000,
    warm_start: Any = None,
    certificate: bool = False,
    axis: int = -1,
    out: Any = None,
) -> Any:
    """Project onto the polyhedron A x <= b, E x = f.

    Use it for any system of linear inequalities and equations.

    Parameters
    ----------
    x : array_like or Tensor, shape (..., n)
        Points, float32 or float64. Not modified.
    A : array_like of shape (k, n), optional
        Coefficients of the inequalities.
    b : float or array_like of shape (k,), optional
        Right-hand sides; infinite ones do not bind.
    E : array_like of shape (l, n), optional
        Coefficients of the equations; they may depend on one another.
    f : float or array_like of shape (l,), optional
        Right-hand sides.
    method : {"auto", "active_set", "dykstra", "admm"}, default "auto"
        How: the active set is exact; Dykstra's algorithm needs no matrix but A; ADMM factors once.
        "auto" takes the first up to 300 inequalities, ADMM up to 3000, Dykstra beyond.
    tol : float, default 1e-10
        Relative residual of the optimality conditions at which Dykstra and ADMM stop.
    max_iter : int, default 20000
        Most iterations of these.
    warm_start : ndarray of shape (..., k), optional
        Multipliers of an earlier call with points near these, for Dykstra and ADMM.
    certificate : bool, default False
        Return a `Certificate` in place of the points (arrays alone, without a gradient).
    axis : int, default -1
        Axis along which the entries of one point lie.
    out : ndarray or Tensor, optional
        Where to write the result, like x; may be x itself.

    Returns
    -------
    ndarray or Tensor of shape (..., n), or Certificate
        Nearest points. Where a method stops early, a warning says how far it is, and the
        certificate's `success` is False.

    Raises
    ------
    ValueError
        If x holds NaN or infinity, shapes do not fit, or the polyhedron is empty.

    Notes
    -----
    Equations are eliminated; rows are normalised. Every result is certified by its KKT residual,
    and those of Dykstra and ADMM are polished on the rows that bind. The gradient takes off the
    part of the cotangent in the span of these rows and of E.

    References
    ----------
    Goldfarb and Idnani 1983, Math. Program. 27; Boyle and Dykstra 1986; Stellato et al. 2020,
    "OSQP: an operator splitting solver for quadratic programs", Math. Program. Comput. 12.

    Examples
    --------
    >>> polyhedron([2.0, 1.0], [[1.0, 0.0], [0.0, 1.0]], [1.0, 2.0]).tolist()
    [1.0, 1.0]
    """
    n = size(x, axis)
    if (A is None) != (b is None) or (E is None) != (f is None):
        raise ValueError(
            "A and b, and E and f, must be given together, got one of a pair; give both or none"
        )
    rows, sides = (np.empty(0), np.empty(0)) if A is None else system(A, b, n, ("A", "b"))
    equations, right = (np.empty(0), np.empty(0)) if E is None else system(E, f, n, ("E", "f"))
    if method == "auto":
        k = len(sides)
        method = "active_set" if k <= _SMALL else "admm" if k <= _MEDIUM else "dykstra"
    if method not in _METHODS:
        raise ValueError(
            f"method must be one of 'auto', 'active_set', 'dykstra', 'admm', got {method!r}; "
            "choose one of these"
        )
    numbers = (_METHODS[method], number(tol, "tol"), float(integer(max_iter, "max_iter", 1)))
    what = Set("polyhedron", numbers, (rows, sides, equations, right))
    if is_tensor(x) and warm_start is None and not certificate and out is None:
        return run(what, x, axis=axis)
    plain = warm_start is None and not certificate
    if is_tensor(x) and is_tensor(out) and x.device.type != "cpu" and plain:
        return run(what, x, axis=axis, out=out)
    if is_tensor(x) and is_tensor(out) and not x.requires_grad and not certificate:
        _certified(what, x.detach().numpy(), warm_start, False, axis, out.detach().numpy())
        return out
    return _certified(what, x, warm_start, certificate, axis, out)


def _certified(what: Set, x: Any, warm: Any, certificate: bool, axis: int, out: Any) -> Any:
    x = checked(x)
    if is_tensor(x):
        raise TypeError(
            "x must be an array where warm_start, certificate or out is given, got a tensor; "
            "pass x.detach().numpy()"
        )
    if not np.isfinite(x).all():
        raise ValueError("x holds NaN or infinity; replace such entries before the call")
    if out is not None:
        check_out(x, out)
    moved = np.moveaxis(x, axis, -1)
    points = np.ascontiguousarray(moved, dtype=np.float64).reshape(-1, moved.shape[-1])
    k = len(what.vectors[1])
    if warm is not None:
        warm = np.ascontiguousarray(values(warm, "warm_start")).reshape(-1, k) if k else None
        if warm is not None and len(warm) != len(points):
            raise ValueError(
                f"warm_start must hold {len(points)} rows of {k} multipliers, got {len(warm)}; "
                "pass the multipliers of an earlier certificate"
            )
    result, multipliers = np.empty_like(points), np.zeros((len(points), k))
    residuals, counts = _core.project_polyhedron(
        what.scalars, what.vectors, points, warm, result, multipliers
    )
    residual, steps, tol = max(residuals, default=0.0), max(counts, default=0), what.scalars[1]
    success = residual <= tol
    message = f"residual {residual:.1e} after {steps} iterations"
    if not success:
        message = (
            f"polyhedron: residual {residual:.1e} > tol {tol:.1e} after {steps} iterations; "
            "raise max_iter or use method='active_set'"
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=3)
    back = np.ascontiguousarray(np.moveaxis(result.reshape(moved.shape), -1, axis), x.dtype)
    if out is not None:
        np.copyto(out, back)
        back = out
    if not certificate:
        return back
    shape = (*moved.shape[:-1], k)
    return Certificate(back, multipliers.reshape(shape), residual, steps, success, message)
