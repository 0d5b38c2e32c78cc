"""SAM: the gradient where the loss nearby is worst."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from thalweg.optim.closures import Closure, gradients, norm
from thalweg.optim.uphill import Moving, Uphill


class SAM(Uphill):
    """Steps with the gradient where the loss nearby is worst, and so towards flat minima.

    Use it where generalization counts more than the second gradient that it costs.

    Parameters
    ----------
    base : torch.optim.Optimizer
        What steps with that gradient; of this package or of torch's. Groups and state are its own.
    rho : float, default 0.05
        Distance to that point, >= 0; in every group its own, if the groups say so.
    adaptive : bool, default False
        Measure distances relative to each parameter (ASAM): `x * x * g` instead of `g`.
    model : Module, optional
        Leave running statistics of its normalization layers alone at that point, as the authors do.

    Raises
    ------
    ValueError
        If rho is negative.
    TypeError
        If `base` is no optimizer, or one that needs a closure itself.

    Notes
    -----
    `g = grad L(x)`, `x' = x + rho * g / ||g||` with the norm over all parameters, and a step of
    `base` from `x` with `grad L(x')`. The parameters look at a second buffer during the second
    call of the closure and come back bit for bit; one buffer of the size of the parameters is kept
    for that. Gradients that are zero, NaN or infinite go to `base` as they are, without a second
    call. In data-parallel training all processes look at the same point.

    References
    ----------
    Foret, Kleiner, Mobahi, Neyshabur 2021, "Sharpness-aware minimization for efficiently improving
    generalization", ICLR, arXiv:2010.01412.
    Kwon, Kim, Park, Choi 2021, "ASAM: adaptive sharpness-aware minimization for scale-invariant
    learning of deep neural networks", ICML, arXiv:2102.11600.

    Examples
    --------
    >>> import torch
    >>> from thalweg.optim import SGD
    >>> w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> optimizer = SAM(SGD([w], lr=0.1), rho=0.5)
    >>> loss = optimizer.step(lambda: w.square().sum() / 2)
    >>> w.detach()
    tensor([2.6700, 3.5600])
    """

    def __init__(
        self,
        base: torch.optim.Optimizer,
        rho: float = 0.05,
        adaptive: bool = False,
        model: torch.nn.Module | None = None,
    ) -> None:
        super().__init__(base, {"rho": rho, "adaptive": adaptive}, model)

    @override
    def _check(self, group: dict[str, Any]) -> None:
        if not group["rho"] >= 0.0:
            raise ValueError(f"rho must be >= 0, got {group['rho']}; try 0.05")

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
        loss = gradients(closure, self.params())
        moving = self._moving()
        length = norm([t for part in moving for t in _relative(part)])
        if 0.0 < length < float("inf"):
            factors = [part.group["rho"] / length for part in moving]
            self._gradients_away(closure, moving, factors)
        self._finish(loss, scaler)
        return loss


def _relative(moving: Moving) -> list[Tensor]:
    """The gradients, as the norm sees them."""
    if not moving.group["adaptive"]:
        return moving.gradients
    pairs = zip(moving.params, moving.gradients, strict=True)
    return [p.detach() * g for p, g in pairs]


__all__ = ["SAM"]
