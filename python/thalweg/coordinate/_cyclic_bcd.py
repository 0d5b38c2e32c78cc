"""Cyclic block coordinate descent, with all samples or variance reduced, on arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg.coordinate._cycles import Cycles
from thalweg.coordinate._descent import Descent, blocks_of, each, functions, is_finite, like, square
from thalweg.coordinate._matrix import count, in_range, reporter

_PROGRESS = ("objective", "stationarity", "gradients", "cycle")


def cyclic_bcd(
    grad: Callable[..., Any],
    x0: Sequence[Any],
    lipschitz: Any,
    *,
    prox: Any = None,
    fun: Callable[[list[Any]], Any] | None = None,
    method: str = "vro",
    n_samples: int | None = None,
    batch_size: int | None = None,
    small_batch_size: int | None = None,
    probability: float | None = None,
    eta: float = 1.0,
    tol: float = 1e-6,
    max_iter: int = 1000,
    seed: int | np.random.Generator | None = 0,
    state: dict[str, Any] | None = None,
    verbose: int = 0,
    callback: Callable[[dict[str, float]], Any] | None = None,
) -> Descent:
    """Minimise a smooth, perhaps non-convex function plus separable terms, block after block.

    Use it for few blocks of different curvature: each gets its own step, and a fresh gradient.
    `CyclicBCD` is the same for parameter groups of torch.

    Parameters
    ----------
    grad : callable
        ``grad(blocks, j, samples)``, the gradient in block `j` of the mean over `samples`: sorted
        indices, or None for all.
    x0 : sequence of ndarray or Tensor
        Where to start; copied.
    lipschitz : array_like or sequence
        Lambda_j, how fast the gradient of block `j` changes with it: a number > 0, an array of the
        block's shape with entries > 0 (a diagonal), or a symmetric positive definite matrix of the
        block's size. One number for all, or one entry for each.
    prox : callable or sequence of callable, optional
        ``prox(v, step)``, the minimiser of r_j(x) + |x - v|^2 / 2 weighted by 1 / step, with step
        = eta / Lambda_j: a number, array or matrix as `lipschitz`. Those of `thalweg.project.prox`
        take a number: ``lambda v, step: prox.l1(v, 0.1 * step)``.
    fun : callable, optional
        ``fun(blocks)``, the objective, for the history alone.
    method : {"vro", "pccd"}, default "vro"
        VRO-CCD, variance reduced, or P-CCD, with all samples always.
    n_samples : int, optional
        Samples of the finite sum; needed for "vro".
    batch_size, small_batch_size : int, optional
        Samples of a full and of a small batch, default all and the root of `batch_size`, b and b'.
    probability : float, optional
        That a cycle starts anew from a full batch, default b' / (b + b'). In (0, 1].
    eta : float, default 1.0
        Step relative to 1 / Lambda_j, > 0. For "pccd" and exact constants values fall for
        eta <= 1; "vro" may need less.
    tol : float, default 1e-6
        Stop at sqrt(sum_j |change of block j|^2 weighted by Lambda_j) / eta <= tol, looked at in
        cycles with all samples.
    max_iter : int, default 1000
        Cycles.
    seed : None, int or numpy Generator, default 0
        Seed of coins and batches.
    state : dict, optional
        ``state`` of an earlier result with the same settings: goes on from there as if there had
        been no break, and `max_iter` counts from there. `x0` gives shapes alone.
    verbose, callback
        As in `solve`: a line, or a call, for each cycle.

    Returns
    -------
    Descent

    Raises
    ------
    ValueError
        If a block is empty, singular (`lipschitz` not positive definite) or not finite, a shape
        does not fit, or `state` is of another run.
    TypeError
        If a block holds no floats.

    Notes
    -----
    x^j <- prox(x^j - eta / Lambda_j g^j), with the blocks before j new already. In a cycle that
    starts anew, g^j is the gradient over b samples; otherwise g^j <- g^j + mean over b' samples of
    (grad_j at the present blocks - grad_j at those of the last cycle before its step j). One coin
    a cycle, a batch a block. Memory: one copy of the blocks besides them, which holds what the last
    cycle saw, and g.

    The algorithm is written from the statement of the paper; its code was not at hand.

    References
    ----------
    Cai, Song, Wright, Diakonikolas 2023, "Cyclic block coordinate descent with variance reduction
    for composite nonconvex optimization", ICML, arXiv:2212.05088.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.random.default_rng(0).standard_normal((50, 4))
    >>> y = A @ [1.0, -2.0, 0.0, 0.5]
    >>> def grad(blocks, j, samples):
    ...     rows = slice(None) if samples is None else samples
    ...     r = A[rows] @ np.concatenate(blocks) - y[rows]
    ...     return A[rows][:, 2 * j : 2 * j + 2].T @ r / len(r)
    >>> L = [np.linalg.norm(A[:, 2 * j : 2 * j + 2], 2) ** 2 / 50 for j in (0, 1)]
    >>> found = cyclic_bcd(grad, [np.zeros(2), np.zeros(2)], L, n_samples=50, eta=0.5, tol=1e-8)
    >>> found.success, np.concatenate(found.blocks).round(6).tolist()
    (True, [1.0, -2.0, 0.0, 0.5])
    """
    blocks = blocks_of(x0)
    m = len(blocks)
    for name, function in (("grad", grad), ("fun", fun)):
        if not callable(function) and (name == "grad" or function is not None):
            raise TypeError(f"{name} must be a function, got {type(function).__name__}; pass one")
    maps = functions("prox", prox, m)
    eta = in_range("eta", eta, 0.0, strict=True)
    metrics = [
        Metric(f"lipschitz[{j}]", value, blocks[j], eta)
        for j, value in enumerate(each("lipschitz", lipschitz, m))
    ]
    cycles = Cycles(method, n_samples, batch_size, small_batch_size, probability, seed)
    limit, last = in_range("tol", tol, 0.0), count("max_iter", max_iter)
    start, spent = 0, 0.0
    # What the last cycle saw before its step j: blocks before j new, j and after old.
    seen, estimates = list(blocks), [block * 0 for block in blocks]
    if state is not None:
        start, spent, blocks, seen, estimates = _resumed(state, cycles, blocks)
    report = reporter(verbose, callback, _PROGRESS)
    history: list[dict[str, float]] = []
    stationarity, objective, status, cycle = math.inf, math.nan, "limit", start
    for cycle in range(start, start + last):
        anew, total = cycles.anew(cycle), 0.0
        for j in range(m):
            samples = cycles.samples(cycle, j, anew)
            g = like(f"grad of block {j}", grad(list(blocks), j, samples), blocks[j])
            if not anew:
                then = like(f"grad of block {j}", grad(list(seen), j, samples), blocks[j])
                g = estimates[j] + (g - then)
            if not is_finite(g):
                raise ValueError(f"the gradient of block {j} holds NaN or infinity; lower eta")
            new = metrics[j].step(blocks[j], g)
            if maps[j] is not None:
                new = like(f"prox of block {j}", maps[j](new, metrics[j].length), blocks[j])
            if not is_finite(new):
                raise ValueError(f"block {j} after its step holds NaN or infinity; lower eta")
            total += metrics[j].square(new - blocks[j])
            seen[j], blocks[j], estimates[j] = blocks[j], new, g
        spent += cycles.cost(anew)
        exact = anew and cycles.batch == cycles.n
        stationarity = math.sqrt(total) / eta if exact else stationarity
        objective = math.nan if fun is None else float(fun(list(blocks)))
        row = [objective, stationarity, spent, float(cycle + 1)]
        history.append(dict(zip(_PROGRESS, row)))
        if report is not None:
            report(row)
        if exact and stationarity <= limit:
            status = "converged"
            break
    saved = {
        "cycles": cycle + 1,
        "gradients": spent,
        "blocks": list(blocks),
        "seen": seen,
        "estimates": estimates,
        "settings": cycles.settings(),
    }
    done = cycle + 1 - start
    return Descent(blocks, objective, stationarity, done, spent, status, limit, history, saved)


class Metric:
    """Lambda of a block: a number, a diagonal or a positive definite matrix."""

    def __init__(self, name: str, value: Any, block: Any, eta: float) -> None:
        given = np.asarray(value, dtype=np.float64)
        shape = tuple(block.shape)
        size = math.prod(shape)
        if not np.isfinite(given).all():
            raise ValueError(f"{name} holds NaN or infinity; pass finite values")
        self._matrix = given.ndim == 2 and given.shape == (size, size) and shape != given.shape
        if not self._matrix and given.ndim and given.shape != shape:
            raise ValueError(
                f"{name} of shape {given.shape} does not match its block of shape {shape}; pass a "
                f"number, an array of that shape, or a matrix of shape ({size}, {size})"
            )
        lowest = np.linalg.eigvalsh(given).min() if self._matrix else given.min()
        if self._matrix and not np.allclose(given, given.T, rtol=1e-8, atol=0):
            raise ValueError(f"{name} must be symmetric, got another; take (A + A.T) / 2")
        if not lowest > 1e-14 * np.abs(given).max():
            raise ValueError(
                f"{name} must be positive{' definite' if self._matrix else ''}, got a least value "
                f"of {lowest:g}: the block is singular; add a small ridge"
            )
        step = eta * np.linalg.inv(given) if self._matrix else eta / given
        self._lam: Any
        self.length: Any
        if given.ndim == 0:
            self._lam, self.length = float(given), float(step)
        elif isinstance(block, np.ndarray):
            self._lam, self.length = given.astype(block.dtype), step.astype(block.dtype)
        else:
            self._lam, self.length = block.new_tensor(given), block.new_tensor(step)

    def step(self, x: Any, g: Any) -> Any:
        """Return x - eta / Lambda g."""
        if self._matrix:
            return x - (self.length @ g.reshape(-1)).reshape(x.shape)
        return x - self.length * g

    def square(self, d: Any) -> float:
        """Square of the norm of `d` that Lambda gives."""
        if self._matrix:
            d = d.reshape(-1)
            return float(d @ (self._lam @ d))
        if isinstance(self._lam, float):
            return self._lam * square(d)
        return float((self._lam * d * d).sum())


def _resumed(
    state: Any, cycles: Cycles, blocks: list[Any]
) -> tuple[int, float, list[Any], list[Any], list[Any]]:
    names = ("cycles", "gradients", "blocks", "seen", "estimates", "settings")
    if not isinstance(state, dict) or any(name not in state for name in names):
        raise TypeError(
            "state must be the state of an earlier result, got another; pass found.state"
        )
    if state["settings"] != cycles.settings():
        raise ValueError(
            f"state must be of a run with the same settings, got {state['settings']} for "
            f"{cycles.settings()}; pass the same"
        )
    if len(state["blocks"]) != len(blocks):
        raise ValueError(
            f"state must hold {len(blocks)} blocks as x0, got {len(state['blocks'])}; pass that x0"
        )
    lists = []
    for name in ("blocks", "seen", "estimates"):
        pairs = zip(state[name], blocks)
        lists.append([like(f"state[{name!r}]", value, block) for value, block in pairs])
    return int(state["cycles"]), float(state["gradients"]), lists[0], lists[1], lists[2]
