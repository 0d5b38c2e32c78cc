"""Block coordinate descent with proximal regularisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg._extras import require
from thalweg.coordinate._descent import (
    Descent,
    blocks_of,
    dot,
    each,
    functions,
    is_finite,
    is_tensor,
    like,
    square,
)
from thalweg.coordinate._matrix import count, in_range, reporter

_PROGRESS = ("objective", "stationarity", "inner", "sweep")
# Gaps of the inner solves, at most: a share of the first step's decrease over sweep^2, and of the
# proximal term of the last sweep, whose sum over sweeps is finite too.
_SHARE, _OF_CHANGE = 0.1, 0.05
# Steps of the power iteration that measures a block's curvature, and its relative difference.
_POWER, _DIFFERENCE = 8, 1e-4


def bcd_pr(
    fun: Callable[[list[Any]], Any],
    x0: Sequence[Any],
    *,
    grad: Callable[[list[Any], int], Any] | None = None,
    project: Any = None,
    solve: Any = None,
    tau: float | Sequence[float] | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    inner_max_iter: int = 200,
    verbose: int = 0,
    callback: Callable[[dict[str, float]], Any] | None = None,
) -> Descent:
    """Minimise a smooth function of several blocks, each in a convex set, one block at a time.

    Use it when the function is well behaved in every block but not in all together: factorizations,
    dictionaries, mixtures, hyperparameters beside weights.

    Parameters
    ----------
    fun : callable
        ``fun(blocks)``, the value for a list of blocks.
    x0 : sequence of ndarray or Tensor
        Where to start, float32 or float64; copied, and projected.
    grad : callable, optional
        ``grad(blocks, i)``, the gradient in block `i`. Tensors need none: autograd gives it.
    project : callable or sequence of callable, optional
        ``project(x)``, the nearest point of the convex set of a block, such as those of
        `thalweg.project`: one for all, or one (or None) for each.
    solve : callable or sequence of callable, optional
        ``solve(blocks, i, tau)``, the exact minimiser of ``fun + tau / 2 |x - blocks[i]|^2`` over
        the set of block `i`, where it is known; None for projected gradient steps.
    tau : float or sequence of float, optional
        Weights of the proximal term, > 0. Default half the curvature of each block at the start.
        Where `fun` is not convex in a block, take more than the curvature.
    tol : float, default 1e-6
        Stop at sqrt(sum_i tau_i^2 |change of block i|^2) <= tol.
    max_iter : int, default 1000
        Sweeps over all blocks.
    inner_max_iter : int, default 200
        Gradient steps of one inner solve.
    verbose, callback
        As in `solve`: a line, or a call, for each sweep.

    Returns
    -------
    Descent

    Raises
    ------
    ValueError
        If there is no block, one is empty or not finite, shapes do not fit, `tau` is not positive,
        or the value or a gradient at the start is NaN or infinite.
    TypeError
        If a block holds no floats, or arrays have no `grad`.

    Notes
    -----
    For i = 1..m: x_i <- argmin fun(..., x, ...) + tau_i / 2 |x - x_i|^2 over its set, up to a gap
    of at most 1 / sweep^2 of the first, so that the gaps are summable; with g the gradient mapping
    of a step eta, the gap is at most |g|^2 (1 / tau - eta) / 2 if `fun` is convex in the block.
    Inner solves are accelerated projected gradients with restarts and backtracking, and never leave
    a block worse than they found it: values fall. An eps-stationary point takes O(1 / eps) sweeps.

    References
    ----------
    Kwon and Lyu 2023, "Complexity of block coordinate descent with proximal regularization and
    applications to Wasserstein CP-dictionary learning", ICML, arXiv:2306.02420.

    Examples
    --------
    >>> import numpy as np
    >>> V = np.outer([1.0, 2.0, 3.0], [1.0, 0.5])
    >>> def fun(b):
    ...     return 0.5 * np.sum((V - np.outer(b[0], b[1])) ** 2)
    >>> def grad(b, i):
    ...     r = np.outer(b[0], b[1]) - V
    ...     return r @ b[1] if i == 0 else r.T @ b[0]
    >>> found = bcd_pr(fun, [np.ones(3), np.ones(2)], grad=grad, project=lambda x: np.maximum(x, 0))
    >>> found.success, found.objective < 1e-9
    (True, True)
    """
    blocks = blocks_of(x0)
    m = len(blocks)
    for name, function in (("fun", fun), ("grad", grad)):
        if not callable(function) and (name == "fun" or function is not None):
            raise TypeError(f"{name} must be a function, got {type(function).__name__}; pass one")
    sets, exact = functions("project", project, m), functions("solve", solve, m)
    if grad is None and not is_tensor(blocks[0]) and not all(exact):
        raise TypeError("grad must be given for numpy arrays, got None; or pass torch tensors")
    for i, nearest in enumerate(sets):
        if nearest is not None:
            blocks[i] = like(f"project of block {i}", nearest(blocks[i]), blocks[i])
    problem = _Problem(fun, grad, sets)
    value = problem.value(blocks)
    if not math.isfinite(value):
        raise ValueError(f"fun must be finite at x0, got {value}; start elsewhere")
    weights = _weights(problem, blocks, tau, exact)
    limit, sweeps = in_range("tol", tol, 0.0), count("max_iter", max_iter)
    steps = count("inner_max_iter", inner_max_iter)
    report = reporter(verbose, callback, _PROGRESS)
    lengths = [1.0 / (2.0 * weight) for weight in weights]
    gaps, changes = [0.0] * m, [math.inf] * m
    history: list[dict[str, float]] = []
    stationarity, status, sweep = math.inf, "limit", 0
    for sweep in range(1, sweeps + 1):
        total, inner = 0.0, 0
        for i in range(m):
            old, tau_i = blocks[i], weights[i]
            if exact[i] is not None:
                new = like(f"solve of block {i}", exact[i](list(blocks), i, tau_i), old)
                if not is_finite(new):
                    raise ValueError(f"solve of block {i} gave NaN or infinity; is it singular?")
            else:
                # A gap below the square of tol would not show in the stationarity.
                gap = min(gaps[i] / sweep**2, _OF_CHANGE * tau_i * changes[i])
                gap = max(gap, 0.01 * limit**2 / (tau_i * m))
                new, first, used = problem.inner(blocks, i, tau_i, lengths, gap, steps)
                inner += used
                gaps[i] = gaps[i] or _SHARE * first
            changes[i] = square(new - old)
            total += tau_i**2 * changes[i]
            blocks[i] = new
        value = problem.value(blocks)
        stationarity = math.sqrt(total)
        row = [value, stationarity, float(inner), float(sweep)]
        history.append(dict(zip(_PROGRESS, row)))
        if report is not None:
            report(row)
        if not math.isfinite(value):
            raise ValueError(f"fun must be finite, got {value} after sweep {sweep}; raise tau")
        if stationarity <= limit:
            status = "precision" if problem.stuck and total == 0.0 else "converged"
            break
    return Descent(
        blocks, value, stationarity, sweep, float(problem.gradients), status, limit, history
    )


class _Problem:
    """The function, its gradients and the sets."""

    def __init__(self, fun: Any, grad: Any, sets: list[Any]) -> None:
        self._fun, self._grad, self._sets = fun, grad, sets
        self.gradients = 0
        # Whether no step of some block, however small, lowered the value as its gradient says.
        self.stuck = False

    def value(self, blocks: list[Any]) -> float:
        return float(self._fun(list(blocks)))

    def gradient(self, blocks: list[Any], i: int) -> Any:
        self.gradients += 1
        if self._grad is not None:
            return like(f"grad of block {i}", self._grad(list(blocks), i), blocks[i])
        torch = require("torch")
        leaf = blocks[i].detach().requires_grad_()
        with torch.enable_grad():
            value = self._fun([*blocks[:i], leaf, *blocks[i + 1 :]])
        if not is_tensor(value) or not value.requires_grad:
            return torch.zeros_like(blocks[i])
        (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True)
        return torch.zeros_like(blocks[i]) if gradient is None else gradient

    def nearest(self, i: int, x: Any) -> Any:
        nearest = self._sets[i]
        return x if nearest is None else like(f"project of block {i}", nearest(x), x)

    def inner(
        self, blocks: list[Any], i: int, tau: float, lengths: list[float], gap: float, steps: int
    ) -> tuple[Any, float, int]:
        """Solve for block `i` up to `gap`; returns it, the first step's decrease and the steps."""
        old = blocks[i]

        def at(x: Any) -> list[Any]:
            return [*blocks[:i], x, *blocks[i + 1 :]]

        def model(x: Any) -> float:
            return self.value(at(x)) + 0.5 * tau * square(x - old)

        x, y, momentum = old, old, 1.0
        value = at_y = model(old)
        first = 0.0
        eta = 2.0 * lengths[i]
        for step in range(steps):
            slope = self.gradient(at(y), i) + tau * (y - old)
            if not is_finite(slope):
                raise ValueError(
                    f"the gradient of block {i} holds NaN or infinity; start elsewhere"
                )
            for _ in range(60):
                trial = self.nearest(i, y - eta * slope)
                move = trial - y
                there = model(trial)
                noise = 1e-14 * (1.0 + abs(at_y))
                bound = at_y + dot(slope, move) + 0.5 * square(move) / eta
                if there <= bound + noise:
                    break
                eta *= 0.5
            else:
                self.stuck = True
                return x, first, step
            lengths[i] = eta
            mapping = square(move) / eta**2
            if there > value + noise:
                if momentum == 1.0:
                    return x, first, step
                # Momentum overshot: again from the best point, without it.
                y, at_y, momentum = x, value, 1.0
                continue
            first = first or value - there
            next_momentum = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * momentum**2))
            y = trial + (momentum - 1.0) / next_momentum * (trial - x)
            x, value, momentum = trial, there, next_momentum
            # If `fun` is convex in the block, the model is strongly convex with modulus tau.
            if 0.5 * mapping * max(1.0 / tau - eta, 0.0) <= gap:
                return x, first, step + 1
            at_y = model(y)
        return x, first, steps


def _weights(problem: _Problem, blocks: list[Any], tau: Any, exact: list[Any]) -> list[float]:
    """Weights of the proximal terms, given or half the curvature at the start."""
    if tau is not None:
        given = each("tau", tau, len(blocks))
        return [in_range("tau", weight, 0.0, strict=True) for weight in given]
    if any(exact):
        raise ValueError("tau must be given with solve, got None; try half the block's curvature")
    rng = np.random.default_rng(0)
    weights = []
    for i, block in enumerate(blocks):
        here = problem.gradient(blocks, i)
        if not is_finite(here):
            raise ValueError(
                f"the gradient of block {i} at x0 holds NaN or infinity; start elsewhere"
            )
        direction = like("direction", rng.standard_normal(tuple(block.shape)), block)
        size = _DIFFERENCE * (1.0 + math.sqrt(square(block)))
        curvature = 0.0
        for _ in range(_POWER):
            direction = direction / math.sqrt(square(direction))
            moved = [*blocks[:i], block + size * direction, *blocks[i + 1 :]]
            change = (problem.gradient(moved, i) - here) / size
            curvature = math.sqrt(square(change))
            if curvature == 0.0 or not math.isfinite(curvature):
                break
            direction = change
        if not 0.0 < curvature < math.inf:
            raise ValueError(
                f"tau must be given where block {i} has no curvature at x0, got {curvature:g}: the "
                "function is singular there; start elsewhere or pass tau"
            )
        weights.append(0.5 * curvature)
    return weights
