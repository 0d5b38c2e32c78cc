"""Vector fields that keep invariants, for torch."""

from __future__ import annotations

from typing import Any

from thalweg._extras import require


def invariant_field(field: Any, gradients: Any, rcond: float = 1e-10) -> Any:
    """Remove from a vector field its part along the gradients of invariants.

    Use it as the last layer of a learned dynamical system, so that every invariant is constant
    along its flow (ConCerNet's projection layer).

    Parameters
    ----------
    field : Tensor, shape (..., n)
        The raw field f(x).
    gradients : Tensor, shape (..., k, n)
        Gradients of the k invariants at x, as rows D.
    rcond : float, default 1e-10
        Gradients shorter than this times the longest, or dependent on others to this, are dropped.

    Returns
    -------
    Tensor, shape (..., n)
        f - D^T (D D^T)^+ D f; f itself where all gradients vanish. Differentiable in both.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Notes
    -----
    Gram-Schmidt, twice, on the rows of D. Invariants are kept by the continuous flow; steps of an
    integrator still drift.

    References
    ----------
    Zhang et al. 2023, "ConCerNet: a contrastive learning based framework for automated conservation
    law discovery and trustworthy dynamical system prediction", ICML, arXiv:2302.05783.

    Examples
    --------
    >>> import torch
    >>> invariant_field(torch.tensor([1.0, 2.0]), torch.tensor([[0.0, 3.0]])).tolist()
    [1.0, 0.0]
    """
    torch = require("torch")
    if gradients.shape[-1] != field.shape[-1] or gradients.ndim < 2:
        raise ValueError(
            f"gradients must be of shape (..., k, {field.shape[-1]}), got "
            f"{tuple(gradients.shape)}; give a row for each invariant"
        )
    largest = gradients.detach().norm(dim=-1).amax(-1, keepdim=True)
    floor = torch.clamp(rcond * largest, min=torch.finfo(field.dtype).tiny)
    basis: list[Any] = []
    for row in gradients.unbind(-2):
        for _twice in range(2):
            for q in basis:
                row = row - (row * q).sum(-1, keepdim=True) * q
        square = (row * row).sum(-1, keepdim=True)
        kept = square > floor * floor
        # The inner choice keeps the root's infinite slope away from autograd.
        length = torch.where(kept, square, 1.0).sqrt()
        basis.append(torch.where(kept, row / length, 0.0))
    for q in basis:
        field = field - (field * q).sum(-1, keepdim=True) * q
    return field
