"""Dynamic weight averaging."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.aggregate._base import number
from thalweg.aggregate.scalarize._losses import as_vector


class DWA:
    """Weights from the rate at which each loss fell over the last two epochs.

    Parameters
    ----------
    temperature : float, default 2.0
        Softness T, > 0.

    Notes
    -----
    w = m softmax(r / T), r_i the ratio of the means of loss i over the last two epochs; 1 each in
    the first two. Call `next_epoch()` after each epoch.

    References
    ----------
    Liu, Johns, Davison 2019, "End-to-End Multi-Task Learning with Attention", CVPR,
    arXiv:1803.10704.

    Examples
    --------
    >>> from thalweg.aggregate.scalarize import DWA
    >>> import torch
    >>> float(DWA()(torch.tensor([1.0, 3.0])))
    4.0
    """

    def __init__(self, temperature: float = 2.0) -> None:
        self.temperature = number(temperature, "temperature", 0.0)
        if self.temperature == 0.0:
            raise ValueError("temperature must be > 0, got 0.0; a usual value is 2")
        self.reset()

    def reset(self) -> None:
        """Forget all epochs."""
        self._sum: Any = None
        self._count = 0
        self._means: list[Any] = []

    def __call__(self, losses: Any) -> Any:
        """The weighted loss; records the values."""
        vector = as_vector(losses, None if self._sum is None else len(self._sum))
        values = vector.detach().cpu().double().numpy()
        if np.isfinite(values).all():
            self._sum = values + (0.0 if self._sum is None else self._sum)
            self._count += 1
        return (vector * vector.new_tensor(self.weights(len(vector)))).sum()

    def weights(self, m: int) -> Any:
        """Weights of this epoch, summing to m."""
        if len(self._means) < 2:
            return np.ones(m)
        ratio = self._means[-1] / self._means[-2] / self.temperature
        e = np.exp(ratio - ratio.max())
        return m * e / e.sum()

    def next_epoch(self) -> None:
        """Close an epoch."""
        if self._count:
            self._means = [*self._means[-1:], self._sum / self._count]
            self._sum, self._count = self._sum * 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"sum": self._sum, "count": self._count, "means": list(self._means)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._sum, self._count = state["sum"], state["count"]
        self._means = list(state["means"])
