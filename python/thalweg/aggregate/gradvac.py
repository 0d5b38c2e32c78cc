"""GradVac: PCGrad with a learned target for every cosine."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg import _core
from thalweg.aggregate._base import number, same_losses
from thalweg.aggregate._rows import Vector
from thalweg.aggregate.pcgrad import PCGrad


class GradVac(PCGrad):
    """Sum of the gradients, each turned towards the others' usual angle.

    Use it where related tasks should agree more than "not conflict" (multilingual models).

    Parameters
    ----------
    beta : float, default 0.5
        Share of a new cosine in its running target, in [0, 1]; the paper uses 0.01.
    eps : float, default 1e-8
        Against division by zero, >= 0.
    seed, orders
        As in `PCGrad`.

    Raises
    ------
    ValueError
        If an argument is out of range; on a call, if the number of rows changed since the last.

    Notes
    -----
    As PCGrad, but x turns towards g_j whenever its cosine c is below the target t_ij, to the angle
    of the target; then t_ij <- (1 - beta) t_ij + beta c. State: the targets, m x m, 0 at first.

    References
    ----------
    Wang et al. 2021, "Gradient Vaccine", ICLR, arXiv:2010.05874.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import GradVac
    >>> GradVac(seed=0)(np.array([[1.0, 0.0], [-1.0, 1.0]])).round(4).tolist()
    [0.5, 1.5]
    """

    _arguments = ("beta", "eps")
    _state: tuple[str, ...] = ("seed", "step", "targets")

    def __init__(
        self,
        beta: float = 0.5,
        *,
        eps: float = 1e-8,
        seed: int | np.random.Generator | None = None,
        orders: Any = None,
    ) -> None:
        super().__init__(seed=seed, orders=orders)
        self.beta = number(beta, "beta", 0.0, 1.0)
        self.eps = number(eps, "eps", 0.0)
        self._targets: Vector | None = None

    def reset(self) -> None:
        """Forget the targets and start the sequence of orders again."""
        super().reset()
        self._targets = None

    def _weights(self, gramian: Vector) -> Vector:
        m = len(gramian)
        if self._targets is not None:
            same_losses(len(self._targets), m, "GradVac")
        targets = np.zeros((m, m)) if self._targets is None else self._targets.copy()
        out: Vector = _core.aggregate_gradvac(gramian, targets, self._draw(m), self.beta, self.eps)
        self._targets = targets
        return out
