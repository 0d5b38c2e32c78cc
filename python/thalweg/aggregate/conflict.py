"""How much the gradients conflict, at a glance and over training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg._extras import require
from thalweg.aggregate._rows import Rows, Vector


@dataclass(frozen=True)
class Conflict:
    """Angles and lengths of the gradients of m losses.

    Attributes
    ----------
    cosines : ndarray of shape (m, m)
        Pairwise cosines; 0 with a zero gradient, except 1 on the diagonal.
    norms : ndarray of shape (m,)
        Lengths.
    rate : float
        Share of pairs with a negative cosine.
    worst : (int, int) or None
        The pair with the smallest cosine; None for one loss.
    """

    cosines: Vector
    norms: Vector
    rate: float
    worst: tuple[int, int] | None

    def __str__(self) -> str:
        head = (
            f"{self.rate:.0%} of pairs conflict; norms {np.array2string(self.norms, precision=3)}"
        )
        if self.worst is None:
            return head
        i, j = self.worst
        return f"{head}; worst pair ({i}, {j}) at cosine {self.cosines[i, j]:.3f}"


def conflict(jacobian: Any) -> Conflict:
    """Pairwise cosines, lengths and conflict rate of the rows of a Jacobian.

    Look at it before choosing an aggregator: without conflict and with like lengths the mean
    will do.

    Parameters
    ----------
    jacobian : ndarray or Tensor of shape (m, d), or list of them of shape (m, ...)
        A row for each loss.

    Returns
    -------
    Conflict
        Cosines, norms, rate and the worst pair.

    Raises
    ------
    ValueError
        If it has no row, or holds NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import conflict
    >>> print(conflict(np.array([[1.0, 0.0], [-3.0, 4.0]])))
    100% of pairs conflict; norms [1. 5.]; worst pair (0, 1) at cosine -0.600
    """
    gramian = Rows(jacobian).gramian()
    if not np.isfinite(gramian).all():
        raise ValueError("jacobian holds NaN or infinity; look at the losses first")
    norms = np.sqrt(np.diag(gramian))
    safe = np.where(norms > 0, norms, 1.0)
    cosines = np.clip(gramian / safe[:, None] / safe, -1.0, 1.0)
    np.fill_diagonal(cosines, 1.0)
    i, j = np.triu_indices(len(norms), 1)
    if not len(i):
        return Conflict(cosines, norms, 0.0, None)
    pairs = cosines[i, j]
    lowest = int(pairs.argmin())
    return Conflict(cosines, norms, float((pairs < 0).mean()), (int(i[lowest]), int(j[lowest])))


class ConflictHistory:
    """Conflict over training, for a heat map.

    Parameters
    ----------
    names : sequence of str, optional
        Names of the losses.

    Examples
    --------
    >>> import numpy as np
    >>> from thalweg.aggregate import ConflictHistory
    >>> history = ConflictHistory(["class", "shape"])
    >>> history.update(np.array([[1.0, 0.0], [-1.0, 1.0]])).rate
    1.0
    >>> history.cosines.shape
    (1, 1)
    """

    def __init__(self, names: Sequence[str] | None = None) -> None:
        self.names = None if names is None else list(names)
        self.records: list[Conflict] = []

    def update(self, jacobian: Any) -> Conflict:
        """Record the conflict of one step and return it; raises ValueError if m changes."""
        record = conflict(jacobian)
        m = len(self.records[0].norms) if self.records else len(self.names or record.norms)
        if len(record.norms) != m:
            raise ValueError(
                f"the number of rows of the Jacobian must be {m}, got {len(record.norms)}; "
                "start a new history"
            )
        self.records.append(record)
        return record

    @property
    def cosines(self) -> Vector:
        """Cosines of the pairs over the steps, shape (m (m - 1) / 2, steps)."""
        m = len(self.records[0].norms) if self.records else 0
        i, j = np.triu_indices(m, 1)
        return np.array([record.cosines[i, j] for record in self.records]).T.reshape(len(i), -1)

    def plot(self, ax: Any = None) -> Any:
        """Draw the heat map, a row for each pair of losses, and return its axes (matplotlib)."""
        if ax is None:
            ax = require("matplotlib.pyplot").subplots(layout="constrained")[1]
        cosines = self.cosines
        image = ax.imshow(
            cosines, aspect="auto", vmin=-1, vmax=1, cmap="RdBu", interpolation="none"
        )
        m = len(self.records[0].norms) if self.records else 0
        names = self.names or [str(k) for k in range(m)]
        i, j = np.triu_indices(m, 1)
        labels = [f"{names[a]} / {names[b]}" for a, b in zip(i, j)]
        if len(labels) <= 40:
            ax.set_yticks(range(len(labels)), labels)
        ax.set_xlabel("step")
        ax.figure.colorbar(image, ax=ax, label="cosine")
        return ax
