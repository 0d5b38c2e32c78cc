"""FAMO: weights that even out the relative decrease of the losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.aggregate._base import integer, number, vector
from thalweg.aggregate.scalarize._losses import as_vector


class FAMO:
    """Weights that even out the relative decrease of the losses, at the cost of one backward pass.

    Use it when m backward passes are too dear. Each iteration: call, differentiate, step the model,
    then `update` with the new losses of the same batch.

    Parameters
    ----------
    n_losses : int
        Losses m, >= 1.
    lr : float, default 0.025
        Adam rate of the weights, >= 0.
    weight_decay : float, default 1e-3
        Coupled decay of their logits, >= 0.
    minimum : array_like of shape (m,), optional
        Lower bounds b of the losses; 0 each by default.
    eps : float, default 1e-8
        Added to L - b, >= 0.

    Notes
    -----
    z = softmax(theta), loss = (z / c) . log(L - b + eps), c = sum z / (L - b + eps) held constant;
    afterwards one Adam step of theta along J_softmax^T (log L_before - log L_after).

    References
    ----------
    Liu et al. 2023, "FAMO: Fast Adaptive Multitask Optimization", NeurIPS, arXiv:2306.03792.

    Examples
    --------
    >>> from thalweg.aggregate.scalarize import FAMO
    >>> import torch
    >>> famo = FAMO(2)
    >>> loss = famo(torch.tensor([1.0, 2.0], requires_grad=True))
    >>> famo.update(torch.tensor([0.5, 1.9]))
    >>> bool(famo.weights[1] > famo.weights[0])
    True
    """

    def __init__(
        self,
        n_losses: int,
        *,
        lr: float = 0.025,
        weight_decay: float = 1e-3,
        minimum: Any = None,
        eps: float = 1e-8,
    ) -> None:
        self.n_losses = integer(n_losses, "n_losses", 1)
        self.lr = number(lr, "lr", 0.0)
        self.weight_decay = number(weight_decay, "weight_decay", 0.0)
        given = vector(minimum, "minimum")
        self.minimum = np.zeros(n_losses) if given is None else given
        if len(self.minimum) != self.n_losses:
            raise ValueError(
                f"minimum must be of length {self.n_losses}, the number of losses, "
                f"got {len(self.minimum)}; give one bound for each"
            )
        self.eps = number(eps, "eps", 0.0)
        self.reset()

    def reset(self) -> None:
        """Forget the weights."""
        self._theta = np.zeros(self.n_losses)
        self._first = np.zeros(self.n_losses)
        self._second = np.zeros(self.n_losses)
        self._step = 0
        self._before: Any = None

    @property
    def weights(self) -> Any:
        """Current weights z, summing to 1."""
        e = np.exp(self._theta - self._theta.max())
        return e / e.sum()

    def __call__(self, losses: Any) -> Any:
        """The loss to differentiate."""
        values = as_vector(losses, self.n_losses)
        gap = values - values.new_tensor(self.minimum) + self.eps
        self._before = gap.detach().log().cpu().double().numpy()
        z = values.new_tensor(self.weights)
        c = (z / gap.detach()).sum()
        return (z / c * gap.log()).sum()

    def update(self, losses: Any) -> None:
        """Learn from the losses of the same batch after the model's step; NaN is ignored."""
        if self._before is None:
            raise ValueError("update must follow a call, got none; call it with the losses first")
        values = as_vector(losses, self.n_losses).detach().cpu().double().numpy()
        after = np.log(np.maximum(values - self.minimum + self.eps, np.finfo(float).tiny))
        drop = self._before - after
        self._before = None
        if not np.isfinite(drop).all():
            return
        z = self.weights
        gradient = z * (drop - z @ drop) + self.weight_decay * self._theta
        self._step += 1
        self._first = 0.9 * self._first + 0.1 * gradient
        self._second = 0.999 * self._second + 0.001 * gradient**2
        mean = self._first / (1 - 0.9**self._step)
        square = self._second / (1 - 0.999**self._step)
        self._theta = self._theta - self.lr * mean / (np.sqrt(square) + 1e-8)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        names = ("theta", "first", "second", "step")
        return {name: np.copy(getattr(self, "_" + name)) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for name in ("theta", "first", "second"):
            setattr(self, "_" + name, np.array(state[name]))
        self._step = int(state["step"])
