"""Nash-MTL: the Nash bargaining solution among the losses."""

from __future__ import annotations

from thalweg import _core
from thalweg.aggregate._base import Weighted, integer, number, same_losses
from thalweg.aggregate._rows import Vector


class NashMTL(Weighted):
    """The Nash bargaining solution: each loss gains in proportion to what it asks.

    Parameters
    ----------
    max_norm : float, default 1.0
        Longest update, >= 0; 0 leaves any length.
    update_weights_every : int, default 1
        Calls that share one solution.

    Raises
    ------
    ValueError
        If an argument is out of range; on a call, if the number of rows changed while a solution is
        being reused.

    Notes
    -----
    G w = 1 / w, w > 0, solved to rounding by damped Newton steps; zero where no direction improves
    every loss, and for a loss whose gradient is zero. State: the weights being reused.

    References
    ----------
    Navon et al. 2022, "Multi-Task Learning as a Bargaining Game", ICML, arXiv:2202.01017.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import NashMTL
    >>> NashMTL(max_norm=0.0)(np.array([[2.0, 0.0], [0.0, 1.0]])).round(4).tolist()
    [1.0, 1.0]
    """

    _arguments = ("max_norm", "update_weights_every")
    _state = ("step", "held")

    def __init__(self, *, max_norm: float = 1.0, update_weights_every: int = 1) -> None:
        self.max_norm = number(max_norm, "max_norm", 0.0)
        self.update_weights_every = integer(update_weights_every, "update_weights_every", 1)
        self.reset()

    def reset(self) -> None:
        """Forget the weights being reused."""
        self._step = 0
        self._held: Vector | None = None

    def _weights(self, gramian: Vector) -> Vector:
        if self._held is None or self._step % self.update_weights_every == 0:
            self._held = _core.aggregate_nashmtl(gramian, self.max_norm)
        same_losses(len(self._held), len(gramian), "NashMTL")
        self._step += 1
        return self._held
