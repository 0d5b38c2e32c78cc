"""Cyclic block coordinate descent on parameter groups of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from thalweg._extras import require
from thalweg.coordinate._cycles import Cycles
from thalweg.coordinate._descent import functions
from thalweg.coordinate._matrix import in_range

require("torch")

import torch  # noqa: E402

__all__ = ["CyclicBCD"]


class CyclicBCD(torch.optim.Optimizer):
    """Cyclic block coordinate descent on parameter groups, plain or variance reduced.

    Use it for models of few blocks (layers, factors) whose gradients differ in scale; a cycle over
    m blocks costs about m / 2 full passes, for each block is differentiated anew.

    Parameters
    ----------
    params : iterable of Tensor or of dict
        A block for each parameter group, visited in order.
    lr : float, default 1e-2
        Step eta / Lambda_j of a group, > 0; ``lr`` of a group is its own.
    prox : callable or sequence of callable, optional
        ``prox(v, lr)`` for each parameter of a group: one for all groups, or one (or None) for
        each.
    method : {"vro", "pccd"}, default "vro"
        Variance reduced, or with all samples always.
    n_samples, batch_size, small_batch_size, probability, seed
        As in `cyclic_bcd`; `seed` makes coins and batches.

    Raises
    ------
    ValueError
        If `lr` is not positive, or a batch does not fit `n_samples`; in `step`, if a gradient is
        not finite: the groups before it have moved.

    Notes
    -----
    ``step(closure)`` is one cycle; ``closure(samples)`` returns the mean loss over `samples`, a
    tensor of indices, or None for all. It does not call backward. State for each parameter:
    `seen`, what the last cycle saw, and `estimate`, the gradient's; `state_dict` resumes exactly.
    Schedulers may change `lr`.

    References
    ----------
    Cai, Song, Wright, Diakonikolas 2023, ICML, arXiv:2212.05088.

    Examples
    --------
    >>> import torch
    >>> x, y = torch.randn(64, 3, generator=torch.manual_seed(0)), torch.zeros(64, 1)
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    >>> groups = [{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.1}]
    >>> optimizer = CyclicBCD(groups, lr=0.3, n_samples=64)
    >>> def closure(samples):
    ...     rows = slice(None) if samples is None else samples
    ...     return torch.nn.functional.mse_loss(model(x[rows]), y[rows])
    >>> losses = [float(optimizer.step(closure)) for _ in range(50)]
    >>> losses[-1] < 0.1 * losses[0]
    True
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        *,
        prox: Any = None,
        method: str = "vro",
        n_samples: int | None = None,
        batch_size: int | None = None,
        small_batch_size: int | None = None,
        probability: float | None = None,
        seed: int | np.random.Generator | None = 0,
    ) -> None:
        self._cycles = Cycles(method, n_samples, batch_size, small_batch_size, probability, seed)
        in_range("lr", lr, 0.0, strict=True)
        super().__init__(params, {"lr": lr, "cycles": 0})
        for group in self.param_groups:
            in_range("lr", group["lr"], 0.0, strict=True)
        functions("prox", prox, len(self.param_groups))
        self._prox = prox
        self.n_gradients = 0.0

    def __getstate__(self) -> dict[str, Any]:
        own = {"_cycles": self._cycles, "_prox": self._prox, "n_gradients": self.n_gradients}
        return {**super().__getstate__(), **own}

    def state_dict(self) -> dict[str, Any]:
        """State of the parameters, number of the cycle, and the settings of coins and batches."""
        saved: dict[str, Any] = super().state_dict()
        saved["cyclic"] = {**self._cycles.settings(), "n_gradients": self.n_gradients}
        return saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state; its seed and batches must be those of this optimizer."""
        settings = dict(state_dict.get("cyclic", {}))
        spent = settings.pop("n_gradients", 0.0)
        if settings != self._cycles.settings():
            raise ValueError(
                f"state_dict must have the settings {self._cycles.settings()}, got {settings}; "
                "construct the optimizer with the same"
            )
        plain = {key: value for key, value in state_dict.items() if key != "cyclic"}
        super().load_state_dict(plain)
        self.n_gradients = float(spent)

    def step(self, closure: Callable[..., Any] | None = None) -> Any:
        """Run one cycle over the groups; returns the loss that the first group saw."""
        if not callable(closure):
            raise TypeError(
                f"closure must be a function of samples, got {type(closure).__name__}; return the "
                "loss from it, without backward"
            )
        cycle = int(self.param_groups[0]["cycles"])
        anew = self._cycles.anew(cycle)
        loss: Any = None
        for j, group in enumerate(self.param_groups):
            leaves = [p for p in group["params"] if p.requires_grad]
            if not leaves:
                continue
            # What joined, or thawed, since the last cycle has no estimate to go on from.
            fresh = anew or any(p not in self.state for p in leaves)
            chosen = self._cycles.samples(cycle, j, fresh)
            samples = None if chosen is None else torch.from_numpy(chosen).to(leaves[0].device)
            here, gradients = self._gradients(closure, samples, leaves)
            loss = here if loss is None else loss
            if not fresh:
                then = self._then(closure, samples, leaves)
                estimates = [self.state[p]["estimate"] for p in leaves]
                gradients = [e + (g - t) for e, g, t in zip(estimates, gradients, then)]
            if not all(bool(g.isfinite().all()) for g in gradients):
                raise ValueError(f"the gradient of group {j} holds NaN or infinity; lower lr")
            self._move(j, group, leaves, gradients)
        for group in self.param_groups:
            group["cycles"] = cycle + 1
        self.n_gradients += self._cycles.cost(anew)
        return loss

    def _gradients(
        self, closure: Callable[[Any], Any], samples: Any, leaves: list[Any]
    ) -> tuple[Any, list[Any]]:
        with torch.enable_grad():
            loss = closure(samples)
        found = torch.autograd.grad(loss, leaves, allow_unused=True)
        # None where the loss does not depend on a parameter, which torch's types leave out.
        pairs: list[tuple[Any, Any]] = list(zip(leaves, found))
        gradients = [torch.zeros_like(p) if g is None else g for p, g in pairs]
        return loss.detach(), gradients

    def _then(self, closure: Callable[[Any], Any], samples: Any, leaves: list[Any]) -> list[Any]:
        """Gradients at what the last cycle saw; parameters are as before when it returns."""
        moved = [p for group in self.param_groups for p in group["params"] if p in self.state]
        now = [p.detach().clone() for p in moved]
        with torch.no_grad():
            for p in moved:
                p.copy_(self.state[p]["seen"])
        try:
            return self._gradients(closure, samples, leaves)[1]
        finally:
            with torch.no_grad():
                for p, value in zip(moved, now):
                    p.copy_(value)

    @torch.no_grad()
    def _move(self, j: int, group: dict[str, Any], leaves: list[Any], gradients: list[Any]) -> None:
        prox = functions("prox", self._prox, len(self.param_groups))[j]
        lr = float(group["lr"])
        for p, g in zip(leaves, gradients):
            new = p - lr * g
            if prox is not None:
                new = prox(new, lr)
            state = self.state[p]
            if state:
                state["seen"].copy_(p)
                state["estimate"].copy_(g)
            else:
                state["seen"], state["estimate"] = p.detach().clone(), g.detach().clone()
            p.copy_(new)
