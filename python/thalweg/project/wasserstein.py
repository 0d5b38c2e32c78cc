"""Cost of transport."""

from __future__ import annotations

from typing import Any

from thalweg._extras import require
from thalweg.project._engine import checked, is_tensor
from thalweg.project.exact_transport import exact_transport
from thalweg.project.sinkhorn import sinkhorn


def wasserstein(
    C: Any, a: Any = None, b: Any = None, eps: float | None = None, **options: Any
) -> Any:
    """Cost of transport between two masses, <P, C>.

    With costs |x_i - y_j|^p this is the p-th power of the Wasserstein distance.

    Parameters
    ----------
    C : array_like or Tensor, shape (..., n, m)
        Costs.
    a, b : array_like or Tensor, optional
        Masses, as for `sinkhorn`.
    eps : float, optional
        Weight of the entropy; None solves exactly, for one small problem.
    **options
        As for `sinkhorn`.

    Returns
    -------
    ndarray or Tensor, shape (...)
        The cost without its entropy; differentiable for tensors.

    Raises
    ------
    ValueError, TypeError
        As `sinkhorn` and `exact_transport`.

    Notes
    -----
    The exact cost has the plan for its gradient in C, and the potentials in a and b (centred).

    References
    ----------
    Peyre and Cuturi 2019, "Computational optimal transport", arXiv:1803.00567.

    Examples
    --------
    >>> float(wasserstein([[0.0, 1.0], [1.0, 0.0]], [0.75, 0.25], [0.25, 0.75]))
    0.5
    """
    C = checked(C, "C")
    if eps is not None:
        return (sinkhorn(C, a, b, eps, **options).plan * C).sum((-2, -1))
    found = exact_transport(C, a, b)
    cost = (found.plan * C).sum((-2, -1))
    if not is_tensor(C):
        return cost
    torch = require("torch")
    for mass, potential in ((a, found.f), (b, found.g)):
        if is_tensor(mass) and mass.requires_grad:
            slope = torch.as_tensor(potential - potential.mean()).to(mass)
            cost = cost + (slope * (mass - mass.detach())).sum()
    return cost
