"""M-ConFIG: ConFIG on momenta, one loss a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg import _core
from thalweg.aggregate._base import Aggregator, integer, number
from thalweg.aggregate._rows import Block, Native, Rows, is_tensor
from thalweg.aggregate._state import column, finite, kept, sharing, zeros
from thalweg.aggregate.config import ConFIG


class MConFIG(Aggregator):
    """ConFIG on momenta: one backward pass a step, whatever the number of losses.

    Use it in place of ConFIG when a backward pass is what costs. Feed the update to plain SGD: it
    already holds Adam's scaling.

    Parameters
    ----------
    n_losses : int
        Losses m, >= 1.
    betas : (float, float), default (0.9, 0.999)
        Decays of the momenta and of the squares, in [0, 1).
    eps : float, default 1e-8
        Added to the denominator, > 0.
    aggregator : Aggregator, optional
        What resolves the momenta; `ConFIG()` by default.

    Raises
    ------
    ValueError
        If an argument is out of range; on a call, if shapes change.

    Notes
    -----
    m_i <- beta1 m_i + (1 - beta1) g_i for the losses at hand; g = ConFIG(m_1/(1 - beta1^t_1), ...);
    F = g (1 - beta1^t), f' = (F - beta1 f) / (1 - beta1), f <- F;
    s <- beta2 s + (1 - beta2) f'^2; update g / (sqrt(s / (1 - beta2^t)) + eps). It is zero until
    every loss was seen. State: m + 2 vectors.

    References
    ----------
    Liu, Chu, Thuerey 2025, "ConFIG", ICLR, arXiv:2408.11104, section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import MConFIG
    >>> aggregator = MConFIG(2)
    >>> aggregator.step(np.array([2.0, 0.0]), 0).tolist()
    [0.0, 0.0]
    >>> aggregator.step(np.array([0.0, 1.0]), 1).round(4).tolist()
    [1.0, 1.0]
    """

    _arguments = ("n_losses", "betas", "eps", "aggregator")
    _state = ("seen", "step_count", "moments", "squares", "previous", "key")

    def __init__(
        self,
        n_losses: int,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-8,
        aggregator: Aggregator | None = None,
    ) -> None:
        self.n_losses = integer(n_losses, "n_losses", 1)
        first = number(betas[0], "betas[0]", 0.0, 1.0, right_open=True)
        second = number(betas[1], "betas[1]", 0.0, 1.0, right_open=True)
        self.betas = (first, second)
        self.eps = number(eps, "eps", 0.0)
        self.aggregator = ConFIG() if aggregator is None else aggregator
        self.reset()

    def reset(self) -> None:
        """Forget the momenta."""
        self._seen = [0] * self.n_losses
        self._step_count = 0
        self._moments: list[Any] | None = None
        self._squares: list[Any] = []
        self._previous: list[Any] = []
        self._key: Any = None
        self.aggregator.reset()

    def step(self, gradient: Any, index: int) -> Any:
        """The update from a new gradient of one loss.

        Parameters
        ----------
        gradient : ndarray or Tensor of shape (d,), or list of them of any shape
            Gradient of that loss.
        index : int
            Which loss, in 0..n_losses - 1; usually the step modulo n_losses.

        Returns
        -------
        ndarray, Tensor or list
            The update, in the form of `gradient`.
        """
        if not 0 <= index < self.n_losses:
            raise ValueError(
                f"index must be in 0..{self.n_losses - 1}, got {index!r}; one for each loss"
            )
        listed = isinstance(gradient, (list, tuple))
        rows = Rows([part[None] for part in gradient] if listed else gradient[None])
        return self._advance(rows, [index])

    def _aggregate(self, rows: Rows) -> Any:
        if rows.m != self.n_losses:
            raise ValueError(
                f"the number of rows of the Jacobian must be n_losses = {self.n_losses}, "
                f"got {rows.m}; give one gradient for each loss, or pass them to step one by one"
            )
        return self._advance(rows, list(range(rows.m)))

    def _advance(self, rows: Rows, losses: list[int]) -> Any:
        key = [[shape[1:], dtype] for shape, dtype in rows.key]
        kept(self._key, key, "MConFIG")
        if not finite(rows):
            return rows.nan()
        if self._moments is None:
            self._key = key
            self._moments = zeros(rows, self.n_losses)
            self._squares = [moment[0] * 0 for moment in self._moments]
            self._previous = [moment[0] * 0 for moment in self._moments]
        for moment, block in zip(self._moments, rows.blocks):
            block.average(moment if rows.m > 1 else moment[losses[0] :][:1], self.betas[0])
        for loss in losses:
            self._seen[loss] += 1
        if not all(self._seen):
            return rows.each(lambda block: block.data[0] * 0)
        self._step_count += 1
        state = zip(rows.blocks, self._direction(self._moments), self._previous, self._squares)
        return rows.wrap([self._scaled(*parts) for parts in state])

    def _direction(self, moments: list[Any]) -> list[Any]:
        """The aggregate of the bias-corrected momenta."""
        scale = np.array([1 / (1 - self.betas[0] ** t) for t in self._seen])
        if isinstance(self.aggregator, ConFIG):
            rows = Rows(moments)
            weights = self.aggregator._weights(rows.gramian() * np.outer(scale, scale))
            return list(rows.combine(weights * scale))
        return list(self.aggregator([column(moment, scale) * moment for moment in moments]))

    def _scaled(self, block: Block, direction: Any, previous: Any, squares: Any) -> Any:
        """The update of one block; moves its state in place."""
        if isinstance(block, Native):
            u, f, s = (x.numpy() if is_tensor(x) else x for x in (direction, previous, squares))
            _core.aggregate_mconfig(u, f, s, self.betas, self.eps, self._step_count)
            return direction
        beta1, beta2 = self.betas
        full = direction * (1 - beta1**self._step_count)
        change = (full - beta1 * previous) / (1 - beta1)
        previous[...] = full
        squares[...] = beta2 * squares + (1 - beta2) * change**2
        root = (squares / (1 - beta2**self._step_count)) ** 0.5
        return sharing(block.data, direction / (root + self.eps))
