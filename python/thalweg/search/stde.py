"""Derivatives of high order in high dimensions, from a few random directions.

Shi, Hu, Lin, Kawaguchi 2024, "Stochastic Taylor Derivative Estimator: Efficient amortization for
arbitrary differential operators", NeurIPS, arXiv:2412.00088.

=================  ====================================================================
`directional`      D^k f along a direction
`trace`            the trace of ``sigma sigma^T`` times the Hessian; `laplacian` without sigma
`operator`         a weighted sum of partial derivatives of any order
=================  ====================================================================

An operator is a sum over directions or index tuples; the estimate evaluates some of them, drawn at
random, and scales. Its mean is the operator. Results carry gradients with regard to parameters
that `f` uses, so they can stand in a loss.

torch.func has no Taylor mode: a derivative of order k here is k nested forward derivatives, whose
time and memory grow as 2^k, where jets of jax grow as k^2. Operators that torch has no forward
derivative for (some fused attention kernels) raise NotImplementedError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg._extras import require
from thalweg.search._arguments import as_choice, as_count, as_seed

require("torch")

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.func import vmap  # noqa: E402

from thalweg.search._forward import jvp  # noqa: E402

__all__ = ["directional", "laplacian", "operator", "trace"]

Function = Callable[[Tensor], Tensor]
Seed = int | np.random.Generator | None


def directional(f: Function, x: Tensor, v: Tensor, order: int = 2) -> Tensor:
    """The derivative of `order` of ``t -> f(x + t v)`` at 0.

    Parameters
    ----------
    f : callable
        From a point (d,) to a number, or to a tensor of any shape.
    x, v : Tensor, shape (d,)
        Point and direction.
    order : int, default 2
        Number of derivatives, >= 1.

    Returns
    -------
    Tensor
        Of the shape of ``f(x)``.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    >>> directional(lambda x: x[0] ** 3 * x[1], x, torch.ones_like(x), order=3).item()
    30.0
    """
    return _along(f, x, [v] * as_count("order", order))


def _along(f: Function, x: Tensor, tangents: Sequence[Tensor]) -> Tensor:
    """The derivative along each of `tangents`, one after the other."""
    for v in tangents:
        f = _derivative(f, v)
    return f(x)


def _derivative(f: Function, v: Tensor) -> Function:
    return lambda x: jvp(f, (x,), (v,))[1]


def laplacian(
    f: Function,
    x: Tensor,
    *,
    samples: int | None = None,
    kind: str = "basis",
    chunk_size: int | None = None,
    seed: Seed = None,
) -> Tensor:
    """The Laplacian of `f` at each row of `x`; `trace` with sigma the identity.

    Parameters
    ----------
    f, x, samples, kind, chunk_size, seed
        As of `trace`.

    Examples
    --------
    >>> import torch
    >>> x = torch.ones(2, 100)
    >>> laplacian(lambda x: (x**3).sum(), x, samples=10, seed=0).tolist()
    [600.0, 600.0]
    """
    return trace(f, x, samples=samples, kind=kind, chunk_size=chunk_size, seed=seed)


def trace(
    f: Function,
    x: Tensor,
    sigma: Tensor | None = None,
    *,
    samples: int | None = None,
    kind: str = "basis",
    chunk_size: int | None = None,
    seed: Seed = None,
) -> Tensor:
    """The trace of ``sigma sigma^T`` times the Hessian of `f`, at each row of `x`.

    Use it for second-order terms of differential equations in hundreds of dimensions and more.

    Parameters
    ----------
    f : callable
        From a point (d,) to a number, of torch operations.
    x : Tensor, shape (n, d)
        Points.
    sigma : Tensor, shape (d, m), optional
        Default the identity: the Laplacian.
    samples : int, optional
        Directions a call, shared by all points: of "basis" 1 to m columns of sigma, drawn without
        replacement; default all of them, which is exact. Needed for the other kinds.
    kind : {"basis", "gaussian", "rademacher"}, default "basis"
        Directions: columns of sigma, or sigma times random vectors. "basis" is exact where
        diagonal terms are equal, "rademacher" where the Hessian is diagonal.
    chunk_size : int, optional
        Directions evaluated at once, to bound memory; default all of the samples.
    seed : None, int or numpy Generator
        Seed of the directions; give another one each step, such as a Generator.

    Returns
    -------
    Tensor, shape (n,)
        Unbiased estimates; with gradients with regard to parameters in `f`.

    Raises
    ------
    ValueError
        For shapes or numbers of samples that do not fit, or an `f` that returns no number.

    Notes
    -----
    ``sum_k D^2 f[s_k, s_k]`` over columns s_k of sigma. Time O(samples) evaluations of f, four
    times each; memory O(n samples) times that of f, never d^2.

    Examples
    --------
    >>> import torch
    >>> x = torch.zeros(3, 50)
    >>> sigma = 2 * torch.eye(50)
    >>> trace(lambda x: (x**2).sum(), x, sigma).tolist()
    [400.0, 400.0, 400.0]
    """
    _check_points(x)
    as_choice("kind", kind, ("basis", "gaussian", "rademacher"))
    d = x.shape[1]
    if sigma is not None and (sigma.ndim != 2 or len(sigma) != d):
        raise ValueError(f"sigma must be of shape ({d}, m), got {tuple(sigma.shape)}; transpose it")
    columns = d if sigma is None else sigma.shape[1]
    rng = np.random.default_rng(as_seed(seed))
    if kind == "basis":
        picked = _pick(rng, columns, samples)
        if sigma is None:
            rows = torch.zeros(len(picked), d, dtype=x.dtype, device=x.device)
            rows[torch.arange(len(picked)), torch.from_numpy(picked)] = 1.0
        else:
            rows = sigma.t()[torch.from_numpy(picked).to(sigma.device)].to(x)
        scale = columns / len(picked)
    else:
        size = (as_count("samples", samples), columns)
        drawn = rng.normal(size=size) if kind == "gaussian" else 2.0 * rng.integers(0, 2, size) - 1
        rows = torch.from_numpy(drawn).to(x)
        rows = rows if sigma is None else rows @ sigma.t().to(x)
        scale = 1.0 / len(rows)

    def second(v: Tensor) -> Tensor:
        return vmap(lambda point: _number(_along(f, point, [v, v])))(x)

    return scale * vmap(second, chunk_size=chunk_size)(rows).sum(dim=0)


def operator(
    f: Function,
    x: Tensor,
    indices: Any,
    weights: Any = None,
    *,
    samples: int | None = None,
    chunk_size: int | None = None,
    seed: Seed = None,
) -> Tensor:
    """A sum of partial derivatives of `f` of one order, each with a weight, at each row of `x`.

    Use it for mixed and higher terms, such as ``sum_ij f_iijj`` or ``f_xxy``.

    Parameters
    ----------
    f : callable
        From a point (d,) to a number, of torch operations.
    x : Tensor, shape (n, d)
        Points.
    indices : array_like of int, shape (terms, k)
        A row for each term: the coordinates that are derived by, with repetition.
    weights : array_like, shape (terms,), optional
        Factors of the terms; default 1.
    samples : int, optional
        Terms a call, 1 to `terms`, drawn without replacement; default all, which is exact.
    chunk_size : int, optional
        Terms evaluated at once; default all of the samples.
    seed : None, int or numpy Generator
        Seed of the draw; give another one each step, such as a Generator.

    Returns
    -------
    Tensor, shape (n,)
        Unbiased estimates; with gradients with regard to parameters in `f`.

    Raises
    ------
    ValueError
        For indices, weights or numbers of samples that do not fit.

    Notes
    -----
    A term is k nested forward derivatives along basis vectors: time 2^k evaluations of f.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0, 2.0]])
    >>> operator(lambda x: x[0] ** 2 * x[1] ** 2, x, [(0, 0, 1), (0, 1, 1)], [1.0, 10.0]).tolist()
    [48.0]
    """
    _check_points(x)
    d = x.shape[1]
    table = np.asarray(indices)
    if table.ndim != 2 or table.dtype.kind not in "iu" or table.size == 0:
        raise ValueError(
            f"indices must be integers of shape (terms, k), got {table.dtype} of shape "
            f"{table.shape}; one row a term"
        )
    if table.min() < 0 or table.max() >= d:
        raise ValueError(f"indices must be in [0, {d}), got {table.min()} to {table.max()}")
    factors = np.ones(len(table)) if weights is None else np.asarray(weights, dtype=float)
    if factors.shape != (len(table),):
        raise ValueError(
            f"weights must be of shape ({len(table)},), got {factors.shape}; one a row of indices"
        )
    picked = _pick(np.random.default_rng(as_seed(seed)), len(table), samples)
    basis = torch.zeros(*table[picked].shape, d, dtype=x.dtype, device=x.device)
    basis.scatter_(2, torch.from_numpy(table[picked].astype(np.int64)).to(x.device)[..., None], 1.0)
    scaled = torch.from_numpy(factors[picked]).to(x) * (len(table) / len(picked))

    def term(tangents: Tensor, factor: Tensor) -> Tensor:
        return vmap(lambda point: factor * _number(_along(f, point, tangents.unbind())))(x)

    return vmap(term, chunk_size=chunk_size)(basis, scaled).sum(dim=0)


def _pick(rng: np.random.Generator, count: int, samples: int | None) -> np.ndarray[Any, Any]:
    if samples is None:
        return np.arange(count)
    return np.sort(rng.choice(count, as_count("samples", samples, count), replace=False))


def _check_points(x: Any) -> None:
    if not isinstance(x, Tensor) or x.ndim != 2 or not x.is_floating_point():
        raise ValueError(
            f"x must be a floating-point tensor of shape (n, d), got {getattr(x, 'shape', x)}; "
            "stack the points"
        )


def _number(value: Tensor) -> Tensor:
    if value.numel() != 1:
        raise ValueError(
            f"f must return one number, got shape {tuple(value.shape)}; f takes one point (d,)"
        )
    return value.reshape(())
