"""Gradient regularization: steps on the loss plus the square of its gradient, by differences."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from thalweg.optim.closures import Closure, gradients, norm
from thalweg.optim.uphill import Uphill


class GradientRegularization(Uphill):
    """Steps on `L + gamma / 2 * ||grad L||**2`, with two gradients instead of a second derivative.

    Use it for flat minima, where SAM is; it tells strength and distance apart.

    Parameters
    ----------
    base : torch.optim.Optimizer
        What steps with that gradient; of this package or of torch's. Groups and state are its own.
    gamma : float, optional
        Strength, >= 0; `eps` by default, with which one gradient is the direction.
    eps : float, default 0.05
        Of the difference, > 0: the second gradient is that at `x + eps * g`. Larger ones than
        accuracy asks for generalize better, the authors find.
    difference : {"forward", "backward"}, default "forward"
        Take the second gradient uphill, at `x + eps * g`, or downhill, at `x - eps * g`.
    model : Module, optional
        Leave running statistics of its normalization layers alone at that point.

    Raises
    ------
    ValueError
        If a hyperparameter is outside its range.
    TypeError
        If `base` is no optimizer, or one that needs a closure itself.

    Notes
    -----
    `d = g + gamma / eps * (grad L(x + eps * g) - g)`, and a step of `base` with `d`; exact where
    `L` is quadratic. The step that is taken is in `.grad` afterwards. The parameters come back bit
    for bit; one buffer of the size of the parameters is kept for that. Gradients that are zero, NaN
    or infinite go to `base` as they are.

    References
    ----------
    Karakida, Takase, Hayase, Osawa 2023, "Understanding gradient regularization in deep learning:
    efficient finite-difference computation and implicit bias", ICML, arXiv:2210.02720.

    Examples
    --------
    >>> import torch
    >>> from thalweg.optim import SGD
    >>> w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> optimizer = GradientRegularization(SGD([w], lr=1.0), gamma=0.5, eps=0.25)
    >>> loss = optimizer.step(lambda: (w * w * torch.tensor([0.5, 1.0])).sum())
    >>> w.grad  # H w + gamma * H H w with H = diag(1, 2)
    tensor([1.5000, 8.0000])
    """

    def __init__(
        self,
        base: torch.optim.Optimizer,
        gamma: float | None = None,
        eps: float = 0.05,
        difference: Literal["forward", "backward"] = "forward",
        model: torch.nn.Module | None = None,
    ) -> None:
        # Optimizers have an `eps` of their own in their groups.
        hyper = {
            "gamma": eps if gamma is None else gamma,
            "distance": eps,
            "difference": difference,
        }
        super().__init__(base, hyper, model)

    @override
    def _check(self, group: dict[str, Any]) -> None:
        if not group["gamma"] >= 0.0:
            raise ValueError(f"gamma must be >= 0, got {group['gamma']}; try 0.05")
        if not group["distance"] > 0.0:
            raise ValueError(f"eps must be > 0, got {group['distance']}; try 0.05")
        if group["difference"] not in ("forward", "backward"):
            raise ValueError(
                f"difference must be 'forward' or 'backward', got {group['difference']!r}; "
                "try 'forward'"
            )

    @override
    def step(  # type: ignore[override]
        self, closure: Closure, scaler: torch.amp.GradScaler | None = None
    ) -> Tensor:
        """Step every parameter that has a gradient.

        Parameters
        ----------
        closure : callable
            Returns the loss of the same minibatch each time; see `thalweg.optim`.
        scaler : GradScaler, optional
            That scaled the loss before the closure called backward; it then steps `base`. Call its
            `update` afterwards, as usual.

        Returns
        -------
        Tensor, shape ()
            The loss before the step.

        Raises
        ------
        TypeError, ValueError
            If the closure returns no finite loss of one element that depends on the parameters;
            parameters and state are then as before, as they are when it raises itself.
        """
        scale = 1.0 if scaler is None else scaler.get_scale()
        loss = gradients(closure, self.params())
        moving = self._moving()
        if 0.0 < norm([g for part in moving for g in part.gradients]) < float("inf"):
            sign = {"forward": 1.0, "backward": -1.0}
            steps = [sign[g["difference"]] * g["distance"] for g, _, _ in moving]
            self._gradients_away(closure, moving, [step / scale for step in steps])
            with torch.no_grad():
                for (group, params, first), step in zip(moving, steps, strict=True):
                    for p, g in zip(params, first, strict=True):
                        _mix(p, g, group["gamma"] / step)
        self._finish(loss, scaler)
        return loss


def _mix(p: Tensor, first: Tensor, weight: float) -> None:
    """Make the gradient of `p` the mean of the first and itself; a missing one counts as zero."""
    if p.grad is None:
        p.grad = first * (1.0 - weight)
    elif weight != 1.0:
        torch.lerp(first, p.grad, weight, out=p.grad)


__all__ = ["GradientRegularization"]
