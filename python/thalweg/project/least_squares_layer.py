"""Nonlinear least squares inside a network, for torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from thalweg._extras import require
from thalweg.project._engine import ConvergenceWarning, integer, number, once


def least_squares_layer(
    residual: Callable[..., Any],
    w0: Any,
    *parameters: Any,
    tol: float = 1e-10,
    max_iter: int = 100,
    gauss_newton: bool = False,
    ridge: float = 0.0,
) -> Any:
    """Minimise |residual(w, *parameters)|^2 over w inside a network, with an implicit gradient.

    Use it to impose equations on the output of a network: `w` are coefficients of basis functions
    that it made, the residual those of a differential equation and its boundary conditions. Give
    subdomains (the experts of a mixture) as a batch; they are solved side by side.

    Parameters
    ----------
    residual : callable
        (w, *parameters) -> (batch, r) for w of shape (batch, k); row i depends on row i of `w`.
        Twice differentiable by torch.
    w0 : Tensor, shape (batch, k)
        Where to start.
    *parameters : Tensor
        What the gradient flows to.
    tol : float, default 1e-10
        Length of J^T r at which a row is solved, relative to its first value.
    max_iter : int, default 100
        Most Levenberg-Marquardt steps.
    gauss_newton : bool, default False
        Drop second derivatives of the residual from the adjoint: cheaper, and exact where it
        vanishes.
    ridge : float, default 0.0
        Added to the diagonal of the adjoint system, for singular ones.

    Returns
    -------
    Tensor, shape (batch, k)
        The minimiser w*; differentiable once in every parameter.

    Raises
    ------
    ValueError
        If w0 or the residual is not a matrix of one row for each problem.

    Notes
    -----
    Backward, by the implicit function theorem on J^T r = 0: lam = H^-1 v with
    H = J^T J + sum r_i d2r_i, and the gradient of -lam.(J^T r) in the parameters. Memory does not
    grow with the steps. Warns where a row does not converge.

    References
    ----------
    Negiar, Mahoney, Krishnapriyan 2023, "Learning differentiable solvers for systems with hard
    constraints", ICLR; Chalapathi, Du, Krishnapriyan 2024, "Scaling physics-informed hard
    constraints with mixture-of-experts", ICLR, arXiv:2402.13412.

    Examples
    --------
    >>> import torch
    >>> target = torch.tensor([[4.0, 9.0]], dtype=torch.float64, requires_grad=True)
    >>> w = least_squares_layer(lambda w, t: w**2 - t, torch.ones_like(target), target)
    >>> w.sum().backward()
    >>> [round(v, 9) for v in (*w[0].tolist(), *target.grad[0].tolist())]
    [2.0, 3.0, 0.25, 0.166666667]
    """
    torch = require("torch")
    if not isinstance(w0, torch.Tensor) or w0.ndim != 2:
        raise ValueError("w0 must be a tensor of shape (batch, k), got another; a row a problem")
    steps = integer(max_iter, "max_iter", 1)
    options = (number(tol, "tol"), steps, bool(gauss_newton), number(ridge, "ridge"))
    return _layer().apply(residual, options, w0, *parameters)


def _rows(residual: Callable[..., Any], w: Any, parameters: Sequence[Any], graph: bool) -> Any:
    """Residuals and their Jacobians (batch, r, k) in w, which requires grad."""
    torch = require("torch")
    r = residual(w, *parameters)
    if r.ndim != 2 or len(r) != len(w):
        raise ValueError(
            f"residual must return shape ({len(w)}, r), got {tuple(r.shape)}; a row a problem"
        )
    columns = [
        torch.autograd.grad(
            r[:, i].sum(), w, retain_graph=True, create_graph=graph, materialize_grads=True
        )[0]
        for i in range(r.shape[1])
    ]
    return r, torch.stack(columns, 1)


@cache
def _layer() -> Any:
    torch = require("torch")

    class Layer(torch.autograd.Function):  # type: ignore[misc, name-defined, unused-ignore]
        """Levenberg-Marquardt forward, the implicit function theorem backward."""

        @staticmethod
        def forward(ctx: Any, residual: Any, options: Any, w0: Any, *parameters: Any) -> Any:
            fixed = [p.detach() if isinstance(p, torch.Tensor) else p for p in parameters]
            with torch.enable_grad():
                w = _levenberg_marquardt(residual, w0.detach(), fixed, options[0], options[1])
            ctx.residual, ctx.options = residual, options
            ctx.tensors = [isinstance(p, torch.Tensor) for p in parameters]
            ctx.others = [p for p in parameters if not isinstance(p, torch.Tensor)]
            ctx.save_for_backward(w, *(p for p in parameters if isinstance(p, torch.Tensor)))
            return w

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            w, *saved = ctx.saved_tensors
            tensors, others = iter(saved), iter(ctx.others)
            parameters = [
                next(tensors).detach().requires_grad_(next_grad) if is_tensor else next(others)
                for is_tensor, next_grad in zip(ctx.tensors, ctx.needs_input_grad[3:])
            ]
            lam, stationary = _adjoint(ctx.residual, w, parameters, v.detach(), ctx.options)
            wanted = [p for p in parameters if isinstance(p, torch.Tensor) and p.requires_grad]
            with torch.enable_grad():
                product = -(lam * stationary).sum()
            grads = iter(torch.autograd.grad(product, wanted, allow_unused=True) if wanted else ())
            out = [
                once(next(grads), v, *saved)
                if isinstance(p, torch.Tensor) and p.requires_grad
                else None
                for p in parameters
            ]
            return None, None, None, *out

    return Layer


def _levenberg_marquardt(
    residual: Callable[..., Any], w: Any, parameters: Sequence[Any], tol: float, max_iter: int
) -> Any:
    torch = require("torch")
    damping = w.new_full((len(w), 1), 1e-3)
    first: Any = None
    eye = torch.eye(w.shape[1], dtype=w.dtype, device=w.device)
    for _ in range(max_iter):
        r, J = _rows(residual, w.detach().requires_grad_(), parameters, False)
        r, J = r.detach(), J.detach()
        slope = (J.mT @ r.unsqueeze(-1)).squeeze(-1)
        size = slope.norm(dim=1, keepdim=True)
        first = size.clamp(min=torch.finfo(w.dtype).tiny) if first is None else first
        left = float((size / first).max()) if len(w) else 0.0
        if left <= tol:
            return w
        H = J.mT @ J
        scale = H.diagonal(dim1=1, dim2=2).clamp(min=1e-12)
        step = torch.linalg.solve(H + eye * (damping * scale).unsqueeze(-1), slope)
        trial = w - step
        better = residual(trial, *parameters).square().sum(1, keepdim=True).detach()
        accept = better <= r.square().sum(1, keepdim=True)
        w = torch.where(accept, trial, w).detach()
        damping = torch.where(accept, damping / 5, damping * 4).clamp(1e-14, 1e12)
        # A step this short is accepted unless rounding hides its gain: nothing is left to gain.
        if float(step.abs().amax()) <= 4 * torch.finfo(w.dtype).eps * float(w.abs().amax()):
            return w
    warnings.warn(
        f"least_squares_layer: gradient {left:.1e} > tol {tol:.1e} after {max_iter} steps; "
        "raise max_iter, or start closer",
        ConvergenceWarning,
        stacklevel=4,
    )
    return w


def _adjoint(
    residual: Callable[..., Any], w: Any, parameters: Sequence[Any], v: Any, options: Any
) -> tuple[Any, Any]:
    """Return lam = H^-1 v, and J^T r with a graph to the parameters."""
    torch = require("torch")
    _, _, gauss_newton, ridge = options
    with torch.enable_grad():
        w = w.detach().requires_grad_()
        r, J = _rows(residual, w, parameters, True)
        stationary = (J.mT @ r.unsqueeze(-1)).squeeze(-1)
        if gauss_newton:
            H = (J.mT @ J).detach()
        else:
            rows = [
                torch.autograd.grad(
                    stationary[:, i].sum(), w, retain_graph=True, materialize_grads=True
                )[0]
                for i in range(w.shape[1])
            ]
            H = torch.stack(rows, 1)
        H = H + ridge * torch.eye(w.shape[1], dtype=w.dtype, device=w.device)
        return torch.linalg.solve(H.mT, v), stationary
