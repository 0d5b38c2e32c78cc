"""Wasserstein CP dictionary learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from thalweg import _core
from thalweg.coordinate._matrix import Array, choice, count, in_range, reporter
from thalweg.search._arguments import as_seed

_PROGRESS = ("objective", "stationarity", "residual", "evaluations", "sweep")


@dataclass
class Dictionary:
    """Samples as mixtures of rank-one distributions.

    Attributes
    ----------
    factors : list of ndarray, shape (I_k, n_components)
        A factor for each mode; columns lie on the simplex.
    codes : ndarray, shape (n_samples, n_components)
        Weights of the components; rows lie on the simplex.
    potentials : ndarray, shape (n_samples, I_1, ..., I_n)
        Dual variables, to start from again.
    objective : float
        Value of the objective: a lower bound, exact up to the gap of the last inner solve.
    stationarity : float
        What `tol` bounds.
    residual : float
        Largest share of a sample's mass that the inner solves of the last sweep left misplaced.
    n_iter : int
        Sweeps.
    status : str
        "converged", "limit", "precision" (the inner solves stay above their tolerance).
    history : list of dict
        One entry for each sweep.
    """

    factors: list[Array]
    codes: Array
    potentials: Array
    objective: float
    stationarity: float
    residual: float
    n_iter: int
    status: str
    tol: float
    history: list[dict[str, float]] = field(repr=False)

    @property
    def success(self) -> bool:
        """Whether the criterion is met."""
        return self.status == "converged"

    @property
    def message(self) -> str:
        """What happened, in words, with the numbers."""
        if self.success:
            return f"stationarity {self.stationarity:.1e} <= {self.tol:.1e}"
        if self.status == "precision":
            return f"misplaced mass {self.residual:.1e}; raise inner_max_iter or gamma"
        return (
            f"stationarity {self.stationarity:.1e} > {self.tol:.1e} after {self.n_iter} sweeps; "
            "raise max_iter or loosen tol"
        )

    def atoms(self) -> Array:
        """Return the components, shape (n_components, I_1, ..., I_n)."""
        atoms = np.ones((self.codes.shape[1], 1), self.codes.dtype)
        for factor in self.factors:
            atoms = (atoms[:, :, None] * factor.T[:, None, :]).reshape(len(atoms), -1)
        return atoms.reshape(-1, *(len(factor) for factor in self.factors))


def wasserstein_cp(
    X: ArrayLike,
    n_components: int,
    *,
    costs: Sequence[ArrayLike] | None = None,
    gamma: float = 0.005,
    rho: float | tuple[float, float] = 0.001,
    tau: float | tuple[float, float] = 0.1,
    init: str = "samples",
    factors: Sequence[ArrayLike] | None = None,
    codes: ArrayLike | None = None,
    potentials: ArrayLike | None = None,
    update_factors: bool = True,
    tol: float = 1e-4,
    max_iter: int = 200,
    inner_tol: float = 1e-4,
    inner_max_iter: int = 500,
    seed: int | np.random.Generator | None = 0,
    verbose: int = 0,
    callback: Callable[[dict[str, float]], Any] | None = None,
) -> Dictionary:
    """Learn rank-one distributions whose mixtures are close to the samples in transport cost.

    Use it for joint distributions, images or spectra whose parts move: transport sees that a part
    has moved a little where a pointwise loss sees another part. One mode of flattened entries and
    its full cost matrix is Wasserstein dictionary learning without the tensor structure.

    Parameters
    ----------
    X : array_like, shape (n_samples, I_1, ..., I_n)
        Distributions: entries >= 0, each sample of sum 1.
    n_components : int
        Number of components, >= 1.
    costs : sequence of array_like, shape (I_k, I_k), optional
        Costs of transport along each mode; their sum is the cost. Default the squared distance of
        the indices, scaled to at most 1.
    gamma : float, default 0.005
        Weight of the plan's entropy, > 0, in the unit of the costs. Small values blur less and
        take longer.
    rho : float or (float, float), default 0.001
        Weight of the entropy of codes and of factors, >= 0: it spreads them out.
    tau : float or (float, float), default 0.1
        Weight of the squared distance to the previous codes and factors, >= 0; rho + tau > 0.
    init : {"samples", "random"}, default "samples"
        Where factors start: marginals of samples drawn at random, or columns drawn uniformly.
    factors, codes, potentials : array_like, optional
        Where to start, as in the result; copied.
    update_factors : bool, default True
        False keeps `factors` and finds the codes of new samples.
    tol : float, default 1e-4
        Stop at sqrt(sum over blocks of (rho + tau)^2 |change|^2) <= tol.
    max_iter : int, default 200
        Sweeps over codes and factors.
    inner_tol : float, default 1e-4
        Share of a sample's mass that an inner solve may leave misplaced; the first sweeps are
        looser, 0.1 / sweep^2.
    inner_max_iter : int, default 500
        Steps of an inner solve.
    seed : None, int or numpy Generator, default 0
        Seed of the start.
    verbose, callback
        As in `solve`: a line, or a call, for each sweep.

    Returns
    -------
    Dictionary

    Raises
    ------
    ValueError
        If a sample or a start is not on the simplex, a shape does not fit, a weight is negative,
        or rho + tau is 0.
    TypeError
        If `X` holds no numbers.

    Notes
    -----
    Minimises sum_s W(x_s, D l_s) + rho (sum of l log l), where W is transport with entropy
    gamma sum T log T and D_r the outer product of the columns U^(k)_r, one block at a time with
    tau / 2 |change|^2 added. Every block is solved in its dual, where the problem is smooth and
    without constraints; no plan is ever stored. Time for each evaluation of a sample
    O(M (sum I_k + n_components)), M = I_1 ... I_n; memory O(n_samples M). The mix of weights and
    the schedule of the paper are not followed.

    References
    ----------
    Kwon and Lyu 2023, "Complexity of block coordinate descent with proximal regularization and
    applications to Wasserstein CP-dictionary learning", ICML, arXiv:2306.02420.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.exp(-0.5 * (np.arange(12)[:, None] - [3.0, 8.0]) ** 2)
    >>> parts = (x / x.sum(0)).T
    >>> X = np.array([0.9 * parts[0] + 0.1 * parts[1], 0.2 * parts[0] + 0.8 * parts[1]])
    >>> found = wasserstein_cp(X, 2)
    >>> bool(np.abs(found.codes.sum(axis=1) - 1).max() < 1e-12)
    True
    """
    x, sizes, dtype = _samples(X)
    k = count("n_components", n_components)
    choice("init", init, ("samples", "random"))
    matrices = _costs(costs, sizes)
    rng = np.random.default_rng(as_seed(seed))
    start = _initial(x, sizes, k, init, rng) if factors is None else _rows(factors, sizes, k)
    weights = (
        np.full((len(x), k), 1.0 / k) if codes is None else np.array(codes, np.float64, order="C")
    )
    if weights.shape != (len(x), k):
        raise ValueError(
            f"codes of shape {weights.shape} does not match X of {len(x)} samples; "
            f"pass ({len(x)}, {k})"
        )
    g = np.zeros_like(x) if potentials is None else np.array(potentials, np.float64)
    if g.size != x.size:
        raise ValueError(
            f"potentials of shape {g.shape} does not match X of shape {(len(x), *sizes)}; "
            "pass those of an earlier fit to the same samples"
        )
    g = np.ascontiguousarray(g.reshape(x.shape))
    if factors is None and not update_factors:
        raise ValueError("factors must be given with update_factors=False, got None; pass them")
    history: list[dict[str, float]] = []
    report = reporter(verbose, callback, _PROGRESS)

    def observe(row: list[float]) -> None:
        history.append(dict(zip(_PROGRESS, row)))
        if report is not None:
            report(row)

    limit = in_range("tol", tol, 0.0)
    row, status = _core.coordinate_wasserstein_cp(
        x,
        list(sizes),
        matrices,
        weights,
        start,
        g,
        [in_range("gamma", gamma, 0.0, strict=True), *_pair("rho", rho), *_pair("tau", tau)],
        [limit, in_range("inner_tol", inner_tol, 0.0)],
        count("max_iter", max_iter),
        count("inner_max_iter", inner_max_iter),
        not update_factors,
        observe,
    )
    found = [np.ascontiguousarray(factor.T.astype(dtype)) for factor in start]
    shaped = g.reshape(len(x), *sizes)
    objective, stationarity, residual, _, sweeps = row
    return Dictionary(
        found,
        weights.astype(dtype),
        shaped,
        objective,
        stationarity,
        residual,
        int(sweeps),
        status,
        limit,
        history,
    )


def _samples(X: ArrayLike) -> tuple[Array, tuple[int, ...], Any]:
    """Samples as float64 rows, the sizes of the modes and the dtype of the result."""
    given = np.asarray(X)
    if given.dtype.kind not in "fiub":
        raise TypeError(f"X must hold numbers, got {given.dtype}; convert it with X.astype(float)")
    if given.ndim < 2:
        raise ValueError(
            f"X must have an axis of samples and modes, got {given.ndim}-D; reshape it"
        )
    if given.size == 0:
        raise ValueError(f"X must not be empty, got shape {given.shape}; check its shape")
    rows = np.ascontiguousarray(given.reshape(len(given), -1), dtype=np.float64)
    dtype = given.dtype if given.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    return rows, given.shape[1:], dtype


def _costs(costs: Sequence[ArrayLike] | None, sizes: tuple[int, ...]) -> list[Array]:
    if costs is None:
        grids = [np.linspace(0.0, 1.0, n) for n in sizes]
        return [np.square(grid[:, None] - grid) for grid in grids]
    if len(costs) != len(sizes):
        raise ValueError(
            f"costs must be {len(sizes)} matrices, one for each mode of X, got {len(costs)}; "
            "pass None for squared distances"
        )
    matrices = [np.ascontiguousarray(cost, dtype=np.float64) for cost in costs]
    for mode, (cost, n) in enumerate(zip(matrices, sizes)):
        if cost.shape != (n, n):
            raise ValueError(
                f"costs[{mode}] of shape {cost.shape} does not match mode {mode} of X of size {n}; "
                f"pass ({n}, {n})"
            )
    return matrices


def _rows(factors: Sequence[ArrayLike], sizes: tuple[int, ...], k: int) -> list[Array]:
    """Given factors, a component a row."""
    if len(factors) != len(sizes):
        raise ValueError(
            f"factors must be {len(sizes)} matrices, one for each mode of X, got {len(factors)}"
            "; pass those of an earlier fit"
        )
    rows = [np.array(np.asarray(factor, np.float64).T, order="C") for factor in factors]
    for mode, (row, n) in enumerate(zip(rows, sizes)):
        if row.shape != (k, n):
            raise ValueError(
                f"factors[{mode}] of shape {row.shape[::-1]} does not match mode {mode} of X "
                f"of size {n}; pass ({n}, {k})"
            )
    return rows


def _initial(
    x: Array, sizes: tuple[int, ...], k: int, init: str, rng: np.random.Generator
) -> list[Array]:
    if init == "random":
        return [rng.dirichlet(np.ones(n), k) for n in sizes]
    chosen = (
        x[rng.permutation(np.arange(k) % len(x))]
        if k > len(x)
        else x[rng.choice(len(x), k, replace=False)]
    )
    tensors = chosen.reshape(k, *sizes)
    start = []
    for mode, n in enumerate(sizes):
        others = tuple(1 + other for other in range(len(sizes)) if other != mode)
        # A little of a random column, so that no two components are the same.
        rows = 0.9 * tensors.sum(axis=others) + 0.1 * rng.dirichlet(np.ones(n), k)
        start.append(np.ascontiguousarray(rows / rows.sum(axis=1, keepdims=True)))
    return start


def _pair(name: str, value: float | tuple[float, float]) -> tuple[float, float]:
    """A weight for the codes and one for the factors."""
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(
            f"{name} must be one number or two, got {len(pair)}; pass (codes, factors)"
        )
    return in_range(name, pair[0], 0.0), in_range(name, pair[1], 0.0)
