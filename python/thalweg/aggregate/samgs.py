"""SAM-GS: gradient surgery by similarity of magnitude."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.aggregate._base import Aggregator, choice, number
from thalweg.aggregate._rows import Rows, Vector
from thalweg.aggregate._state import kept, zeros


class SAMGS(Aggregator):
    """Equalise gradients of unlike lengths; modulate those of like lengths by their momenta.

    Use it where the lengths of the gradients, not their angles, are the problem.

    Parameters
    ----------
    gamma : float, default 0.7
        Similarity below which gradients are equalised, in [0, 1].
    betas : (float, float), default (0.9, 0.99)
        Decays of the momenta and of the similarity's spread, in [0, 1).
    switch : {"mean", "any"}, default "mean"
        Compare the mean similarity with `gamma`, or equalise if any pair is below it.
    scale_by_m : bool, default True
        Multiply the update by the number of losses, for parity with the summed loss.

    Raises
    ------
    ValueError
        If an argument is out of range; on a call, if shapes or dtype changed since the last.

    Notes
    -----
    phi_ij = 2 s_i s_j / (s_i^2 + s_j^2), phi its mean over pairs (1 for one loss).
    M <- beta1 M + (1 - beta1) J; V <- beta2 V + (1 - beta2) (1 - phi)^2 + 1e-8.
    Below gamma: mean(s) sum_i g_i / s_i over non-zero rows; else sum_i g_i |M_i| / sqrt(V), both
    bias-corrected, |.| entry by entry. The second has the unit of a squared gradient: use an
    Adam-like optimizer. State: M (m x d), V.

    References
    ----------
    Borsani et al. 2025, "Gradient Similarity Surgery in Multi-Task Deep Learning",
    arXiv:2506.06130.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import SAMGS
    >>> SAMGS(gamma=0.9)(np.array([[3.0, 0.0], [0.0, 1.0]])).tolist()
    [4.0, 4.0]
    """

    _arguments = ("gamma", "betas", "switch", "scale_by_m")
    _state = ("step", "moments", "spread", "key")

    def __init__(
        self,
        gamma: float = 0.7,
        betas: tuple[float, float] = (0.9, 0.99),
        *,
        switch: str = "mean",
        scale_by_m: bool = True,
    ) -> None:
        self.gamma = number(gamma, "gamma", 0.0, 1.0)
        first = number(betas[0], "betas[0]", 0.0, 1.0, right_open=True)
        second = number(betas[1], "betas[1]", 0.0, 1.0, right_open=True)
        self.betas = (first, second)
        self.switch = choice(switch, "switch", ["mean", "any"])
        self.scale_by_m = scale_by_m
        self.reset()

    def reset(self) -> None:
        """Forget the momenta."""
        self._step = 0
        self._moments: list[Any] | None = None
        self._spread = 0.0
        self._key: Any = None

    def _aggregate(self, rows: Rows) -> Any:
        kept(self._key, rows.key, "SAMGS")
        norms = np.sqrt(np.diag(rows.gramian()))
        if not np.isfinite(norms).all():
            return rows.nan()
        if self._moments is None:
            self._moments, self._key = zeros(rows, rows.m), rows.key
        pairs = similarities(norms)
        phi = float(pairs.mean()) if pairs.size else 1.0
        beta1, beta2 = self.betas
        self._step += 1
        self._spread = beta2 * self._spread + (1 - beta2) * (1 - phi) ** 2 + 1e-8
        scale = rows.m if self.scale_by_m else 1
        lowest = phi if self.switch == "mean" else float(pairs.min(initial=1.0))
        if lowest < self.gamma:
            for moment, block in zip(self._moments, rows.blocks):
                block.average(moment, beta1)
            inverse = np.divide(1.0, norms, out=np.zeros(rows.m), where=norms > 0)
            return rows.combine(scale * norms.mean() * inverse)
        root = (self._spread / (1 - beta2**self._step)) ** 0.5
        factor = scale / (root * (1 - beta1**self._step))
        both = zip(self._moments, rows.blocks)
        return rows.wrap([block.modulate(moment, beta1, factor) for moment, block in both])


def similarities(norms: Vector) -> Vector:
    """2 s_i s_j / (s_i^2 + s_j^2) over pairs i < j; 1 for two zeros."""
    i, j = np.triu_indices(len(norms), 1)
    low, high = np.minimum(norms[i], norms[j]), np.maximum(norms[i], norms[j])
    ratio = np.divide(low, high, out=np.ones_like(low), where=high > 0)
    return np.asarray(2 * ratio / (1 + ratio**2))
