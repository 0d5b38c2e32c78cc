"""GCond: accumulate, arbitrate the worst conflicts, smooth."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg import _core
from thalweg.aggregate._base import Aggregator, choice, integer, number, same_losses, vector
from thalweg.aggregate._rows import Rows, Vector
from thalweg.aggregate._state import column, kept, sharing, zeros


class GCond(Aggregator):
    """Gradient Conductor: accumulate over micro-batches, resolve conflicts once, then momentum.

    Use it for large models with gradient accumulation. Called with a Jacobian it resolves at once;
    `accumulate` and `accumulate_loss` collect micro-batches first.

    Parameters
    ----------
    accumulation : int, default 1
        Micro-batches K in an update, >= 1.
    stochastic : bool, default False
        False: every micro-batch contributes to every loss (`accumulate`), m K backward passes.
        True: each loss has its own K / m micro-batches (`accumulate_loss`), K backward passes.
    n_losses : int, optional
        Losses m; needed by the stochastic mode, where it must divide K.
    lambdas : array_like of shape (m,), optional
        Factors of the losses; 1 each by default.
    thresholds : (float, float, float), default (-0.8, -0.5, 0.0)
        Cosines (crit, main, weak), rising, in [-1, 1].
    power : float, default 2.0
        Exponent of the angle between `main` and `crit`, > 0.
    window : int, default 3
        Wins in a row after which the other gradient wins; 0 for never.
    norm_beta : float, default 0.95
        Decay of the running lengths, in [0, 1).
    tie : (float, float), default (0.8, 0.2)
        Weights of stability and of strength in the arbitration.
    momentum : float, default 0.85
        Decay of the momentum, in [0, 1); 0 returns the resolved sum.
    max_iters : int, optional
        Pairs to resolve at most; 2 m by default.
    norm_cap : float, optional
        Longest accumulated gradient.
    resolution : {"smooth", "staged"}, default "smooth"
        By an angle that grows with the conflict, or in three stages (the code's legacy mode).
    absolute_eps : float, optional
        The authors' absolute threshold (1e-8) for negligible gradients; relative by default.

    Raises
    ------
    ValueError
        If an argument is out of range; on a call, if shapes or dtype changed since the last.

    Notes
    -----
    While some pair has a cosine below `weak`, the worst pair is arbitrated: the gradient that
    agrees more with its own last resolved form, and is stronger than usual, keeps more of itself.
    State: the accumulated and the last resolved gradients (m x d each), momentum (d), running
    lengths, last winners.

    References
    ----------
    Alves Limarenko et al. 2025, "Gradient Conductor", arXiv:2509.07252.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import GCond
    >>> GCond(momentum=0.0)(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [1.0, 1.0]
    """

    _arguments = ("accumulation", "stochastic", "n_losses", "thresholds", "momentum", "resolution")
    _state = ("step", "micro", "sums", "resolved", "velocity", "norms", "winners", "key")

    def __init__(
        self,
        accumulation: int = 1,
        *,
        stochastic: bool = False,
        n_losses: int | None = None,
        lambdas: Any = None,
        thresholds: tuple[float, float, float] = (-0.8, -0.5, 0.0),
        power: float = 2.0,
        window: int = 3,
        norm_beta: float = 0.95,
        tie: tuple[float, float] = (0.8, 0.2),
        momentum: float = 0.85,
        max_iters: int | None = None,
        norm_cap: float | None = None,
        resolution: str = "smooth",
        absolute_eps: float | None = None,
    ) -> None:
        self.accumulation = integer(accumulation, "accumulation", 1)
        self.stochastic = stochastic
        self.n_losses = None if n_losses is None else integer(n_losses, "n_losses", 1)
        if stochastic and (self.n_losses is None or self.accumulation % self.n_losses):
            raise ValueError(
                "accumulation must be a multiple of n_losses in the stochastic mode, got "
                f"{accumulation} and {n_losses}; each loss gets accumulation / n_losses batches"
            )
        self.lambdas = vector(lambdas, "lambdas")
        crit, main, weak = (number(t, "thresholds", -1.0, 1.0) for t in thresholds)
        if not crit < main < weak:
            raise ValueError(
                f"thresholds must be rising, got {thresholds!r}; usual: (-0.8, -0.5, 0.0)"
            )
        self.thresholds = (crit, main, weak)
        self.power = number(power, "power", 0.0)
        self.window = integer(window, "window", 0)
        self.norm_beta = number(norm_beta, "norm_beta", 0.0, 1.0, right_open=True)
        self.tie = (number(tie[0], "tie[0]", 0.0), number(tie[1], "tie[1]", 0.0))
        self.momentum = number(momentum, "momentum", 0.0, 1.0, right_open=True)
        self.max_iters = None if max_iters is None else integer(max_iters, "max_iters", 0)
        self.norm_cap = None if norm_cap is None else number(norm_cap, "norm_cap", 0.0)
        self.resolution = choice(resolution, "resolution", ["smooth", "staged"])
        self.absolute_eps = None if absolute_eps is None else number(absolute_eps, "eps", 0.0)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._step = 0
        self._micro = 0
        self._sums: list[Any] | None = None
        self._resolved: list[Any] | None = None
        self._velocity: list[Any] | None = None
        self._norms: list[float] | None = None
        self._winners: list[int] = []
        self._key: Any = None

    @property
    def next_loss(self) -> int:
        """The loss whose micro-batch the stochastic mode expects next."""
        return self._micro % (self.n_losses or 1)

    def accumulate(self, jacobian: Any) -> Any:
        """Add the Jacobian of one micro-batch; the update after the K-th, None before.

        Parameters
        ----------
        jacobian : as for a call
            Gradients of all losses on this micro-batch.

        Returns
        -------
        ndarray, Tensor, list or None
            The update, in the form of `jacobian`.
        """
        if self.stochastic:
            raise ValueError(
                "stochastic must be False for accumulate, got True; use accumulate_loss"
            )
        return self._add(Rows(jacobian), None, 1 / self.accumulation)

    def accumulate_loss(self, gradient: Any) -> Any:
        """Add the gradient of loss `next_loss` on its own micro-batch; see `accumulate`.

        Parameters
        ----------
        gradient : ndarray or Tensor of shape (d,), or list of them of any shape
            Gradient of that one loss.
        """
        if not self.stochastic:
            raise ValueError("stochastic must be True for accumulate_loss, got False; pass it")
        listed = isinstance(gradient, (list, tuple))
        rows = Rows([part[None] for part in gradient] if listed else gradient[None])
        assert self.n_losses is not None
        return self._add(rows, self.next_loss, self.n_losses / self.accumulation)

    def _add(self, rows: Rows, loss: int | None, share: float) -> Any:
        key = [[shape[1:], dtype] for shape, dtype in rows.key]
        kept(self._key, key, "GCond")
        if not rows.is_finite():
            return rows.nan()
        m = rows.m if loss is None else int(self.n_losses or 1)
        self._check_losses(m)
        if self._sums is None:
            self._sums, self._key = zeros(rows, m), key
        for total, block in zip(self._sums, rows.blocks):
            if loss is None:
                total += share * block.data
            else:
                total[loss] += share * block.data[0]
        self._micro += 1
        if self._micro % self.accumulation:
            return None
        sums, self._sums = self._sums, None
        vectors = self._resolve(sums)
        return rows.wrap([sharing(block.data, v) for block, v in zip(rows.blocks, vectors)])

    def _aggregate(self, rows: Rows) -> Any:
        key = [[shape[1:], dtype] for shape, dtype in rows.key]
        kept(self._key, key, "GCond")
        self._check_losses(rows.m)
        if not rows.is_finite():
            return rows.nan()
        self._key = key
        sums = zeros(rows, rows.m)
        for total, block in zip(sums, rows.blocks):
            total += block.data
        vectors = self._resolve(sums)
        return rows.wrap([sharing(block.data, v) for block, v in zip(rows.blocks, vectors)])

    def _check_losses(self, m: int) -> None:
        if self._norms is not None:
            same_losses(len(self._norms), m, "GCond")
        elif self._sums is not None:
            same_losses(len(self._sums[0]), m, "GCond")
        if self.lambdas is not None and len(self.lambdas) != m:
            raise ValueError(
                f"lambdas must be of length {m}, the number of rows of the Jacobian, "
                f"got {len(self.lambdas)}; give one for each loss"
            )

    def _resolve(self, sums: list[Any]) -> list[Any]:
        m = len(sums[0])
        if self.lambdas is not None:
            for total in sums:
                total *= column(total, self.lambdas)
        gramian, cross, previous = self._products(sums, m)
        coefficients, self._norms, self._winners = _core.aggregate_gcond(
            gramian,
            cross,
            previous,
            [1.0] * m if self._norms is None else self._norms,
            self._winners,
            thresholds=self.thresholds,
            power=self.power,
            window=self.window,
            tie=self.tie,
            norm_beta=self.norm_beta,
            norm_cap=self.norm_cap,
            max_iters=self.max_iters,
            absolute=self.absolute_eps,
            staged=self.resolution == "staged",
        )
        self._resolved = [sharing_matrix(total, coefficients) @ total for total in sums]
        vectors = Rows(sums).combine(coefficients.sum(0))
        self._step += 1
        if self.momentum == 0.0:
            return list(vectors)
        if self._velocity is None:
            self._velocity = [new * 0 for new in vectors]
        correction = 1 - self.momentum**self._step
        for velocity, new in zip(self._velocity, vectors):
            velocity *= self.momentum
            velocity += (1 - self.momentum) * new
        return [velocity / correction for velocity in self._velocity]

    def _products(self, sums: list[Any], m: int) -> tuple[Vector, Vector, list[float]]:
        """<A_i, A_j>, <A_i, B_j> and |B_j|."""
        if self._resolved is None:
            return Rows(sums).gramian(), np.zeros((m, m)), [0.0] * m
        gramian = Rows(sums).joint(self._resolved)
        previous = np.sqrt(np.diag(gramian)[m:])
        top, side = gramian[:m, :m], gramian[:m, m:]
        return np.ascontiguousarray(top), np.ascontiguousarray(side), list(map(float, previous))


def sharing_matrix(like: Any, values: Vector) -> Any:
    """A small matrix in the kind, dtype and place of `like`."""
    if isinstance(like, np.ndarray):
        return values.astype(like.dtype)
    return like.new_tensor(values)
