"""Losses whose Euler steps follow the gradient flow, or another flow, more closely.

  F velocity of the flow      h step      z' = F(z)
  A step z + h F(z) lies on the flow of F - (h / 2) DF F, up to O(h^3) (backward error analysis).
  A step along F + (h / 2) DF F lies on the flow of F, up to O(h^3).

For one player with rates P, a diagonal, F = -P grad L and DF F = P H P grad L, a gradient: that of
L - (1 / 4) grad L' P grad L. For two players DF F is a gradient for each of them when the other's
velocity is held fixed, in which case a term of interaction comes to that of the player itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from thalweg.optim.closures import Closure, look

Groups = Sequence[dict[str, Any]]


def drift_regularized(
    closure: Closure,
    params: Iterable[Tensor] | Groups,
    lr: float | None = None,
    *,
    strength: float = 1.0,
) -> Callable[[], Tensor]:
    """Add to a loss what cancels, or strengthens, the drift of gradient descent from its flow.

    Use it to see what finite learning rates do to training: cancel their implicit regularization
    and see whether accuracy suffers, or have that of a large rate at a small one.

    Parameters
    ----------
    closure : callable
        Returns the loss, with its graph; it does not call `backward`.
    params : iterable of Tensor, or list of groups
        What plain gradient descent steps; `optimizer.param_groups` to read the rates there anew at
        each call, so that schedulers count.
    lr : float, optional
        Learning rate, >= 0; for parameters without groups.
    strength : float, default 1.0
        1 cancels the drift of first order, 0 changes nothing, and -1 doubles the implicit
        regularizer `(lr / 4) |grad L|^2`; any finite number.

    Returns
    -------
    callable
        Closure that returns `L - strength (lr / 4) |grad L|^2`, to differentiate or pass to `step`.

    Raises
    ------
    ValueError
        If a number is outside its range, or there are no parameters; from the closure, if the loss
        has several elements, is not finite, or has no graph.
    TypeError
        If `params` are tensors and `lr` is missing; from the closure, if it returns no loss.

    Notes
    -----
    Momentum, adaptive steps and weight decay drift otherwise; this is about `SGD`. A call costs two
    backward passes, the second through the graph of the first. The gradients of parameters are
    cleared before the closure runs, and filled by the caller.

    References
    ----------
    Barrett, Dherin 2021, "Implicit gradient regularization", ICLR, arXiv:2009.11162.

    Examples
    --------
    >>> import torch
    >>> from thalweg.optim import SGD
    >>> w = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    >>> optimizer = SGD([w], lr=0.1)
    >>> closure = drift_regularized(lambda: w.square() / 2, optimizer.param_groups)
    >>> for _ in range(10):
    ...     loss = closure()
    ...     loss.backward()
    ...     optimizer.step()
    >>> round(float(w.detach()), 4)  # exp(-1) = 0.3679; plain steps end at 0.3487
    0.3685
    """
    _finite("strength", strength)
    player = _Player(closure, params, lr, "lr")

    def modified() -> Tensor:
        loss = player.loss()
        velocities = player.velocities(loss, player.params())
        return loss - strength / 4 * _dot(velocities, velocities)

    return modified


def drift_regularized_game(
    closures: Sequence[Closure],
    params: Sequence[Iterable[Tensor] | Groups],
    lrs: Sequence[float | None] = (None, None),
    *,
    own: float | Sequence[float] = 0.0,
    interaction: float | Sequence[float] = 1.0,
    updates: Literal["simultaneous", "alternating"] = "simultaneous",
) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Add to the losses of two players what cancels, or strengthens, their drift from the flow.

    Use it for adversarial training: the interaction of the players is what makes it diverge.

    Parameters
    ----------
    closures : two callables
        Each returns the loss of a player, with its graph back to the parameters of both.
    params : two of: iterable of Tensor, or list of groups
        What each player steps; `optimizer.param_groups` to read the rates anew at each call.
    lrs : two floats, optional
        Learning rates, >= 0; for parameters without groups.
    own : float or two, default 0.0
        Strength, for each player, of the term from its own curvature, which helps as a rule:
        1 cancels, 0 changes nothing, -1 doubles.
    interaction : float or two, default 1.0
        The same for the term from the other player's move.
    updates : {"simultaneous", "alternating"}
        Whether the second player steps from where the first one went.

    Returns
    -------
    two callables
        Closures that return the modified loss of a player, without graph, and fill the gradients of
        this player alone. With simultaneous updates call both before either steps.

    Raises
    ------
    ValueError
        If there are not two of each, a number is outside its range, or `updates` is unknown; from
        the closures, if a loss has several elements, is not finite, or has no graph.
    TypeError
        If `params` are tensors and their rate is missing; from the closures, if they return no
        loss.

    Notes
    -----
    With rates `a`, `b`, parameters `x`, `y` and losses `L1`, `L2`, and brackets held fixed, the
    losses with both strengths 1 are, for simultaneous updates,
    `L1 - (a / 4) |dL1/dx|^2 - (b / 2) dL1/dy . [dL2/dy]` and
    `L2 - (b / 4) |dL2/dy|^2 - (a / 2) dL2/dx . [dL1/dx]`; for alternating ones the last sign turns,
    since the second player sees all of the first one's move, where the flow sees half of it. All
    derivatives are taken where the player is when its closure runs. A call costs one backward
    pass for each of the losses, and one through their graphs.

    References
    ----------
    Rosca, Wu, Dherin, Barrett 2021, "Discretization drift in two-player games", ICML,
    arXiv:2105.13922; the terms are derived here anew.

    Examples
    --------
    >>> import torch
    >>> from thalweg.optim import SGD
    >>> x, y = (torch.nn.Parameter(torch.tensor(1.0)) for _ in range(2))
    >>> players = SGD([x], lr=0.1), SGD([y], lr=0.1)
    >>> losses = drift_regularized_game(
    ...     (lambda: x * y, lambda: -x * y), [player.param_groups for player in players]
    ... )
    >>> for _ in range(100):
    ...     for modified in losses:
    ...         value = modified()
    ...     for player in players:
    ...         player.step()
    >>> round(float(x.detach() ** 2 + y.detach() ** 2), 2)  # plain steps end at 5.41
    2.0
    """
    for name, found in {"closures": closures, "params": params, "lrs": lrs}.items():
        if len(found) != 2:
            raise ValueError(f"{name} must hold two, one for each player, got {len(found)}")
    if updates not in ("simultaneous", "alternating"):
        raise ValueError(
            f'updates must be "simultaneous" or "alternating", got {updates!r}; try "simultaneous"'
        )
    strengths = [_pair("own", own), _pair("interaction", interaction)]
    players = [
        _Player(closure, p, lr, f"lrs[{k}]")
        for k, (closure, p, lr) in enumerate(zip(closures, params, lrs, strict=True))
    ]
    signs = (1.0, 1.0 if updates == "simultaneous" else -1.0)

    def of(k: int) -> Callable[[], Tensor]:
        player, other = players[k], players[1 - k]

        def modified() -> Tensor:
            loss = total = player.loss()
            if strengths[0][k]:
                velocities = player.velocities(loss, player.params())
                total = total - strengths[0][k] / 4 * _dot(velocities, velocities)
            if strengths[1][k]:
                there = other.params()
                felt = player.gradients(loss, there, create_graph=True)
                # What the other one does is given: no graph.
                moves = other.gradients(other.loss(clear=False), there)
                moves = [rate * g for rate, g in zip(other.rates(), moves, strict=True)]
                total = total - signs[k] * strengths[1][k] / 2 * _dot(felt, moves)
            mine = player.params()
            for p, g in zip(mine, player.gradients(total, mine), strict=True):
                p.grad = g
            return total.detach()

        return modified

    return of(0), of(1)


class _Player:
    """A loss, and the parameters that descend it, each with its rate."""

    def __init__(
        self, closure: Closure, params: Iterable[Tensor] | Groups, lr: float | None, name: str
    ) -> None:
        found: list[Any] = list(params)
        if not found:
            raise ValueError("params must hold a parameter, got none; pass model.parameters()")
        self._closure = closure
        self._groups: list[dict[str, Any]] = found
        if isinstance(found[0], Tensor):
            if lr is None:
                raise TypeError(f"{name} must be a number for params without groups, got None")
            self._groups = [{"params": found, "lr": lr}]
        elif lr is not None:
            raise TypeError(f"{name} must be None where groups have theirs, got {lr}; leave it out")
        self.rates()

    def params(self) -> list[Tensor]:
        return [p for group in self._groups for p in group["params"] if p.requires_grad]

    def rates(self) -> list[float]:
        """Learning rate of each parameter."""
        found: list[float] = []
        for group in self._groups:
            rate = float(group["lr"])
            if not 0.0 <= rate < math.inf:
                raise ValueError(f"lr must be >= 0 and finite, got {rate}; a usual value is 1e-3")
            found += [rate] * sum(p.requires_grad for p in group["params"])
        return found

    def loss(self, clear: bool = True) -> Tensor:
        loss = look(self._closure, self.params() if clear else [])
        if not loss.requires_grad:
            raise ValueError(
                "closure must return a loss with a graph that leads to its parameters, got none; "
                "do not call backward or detach in it"
            )
        return loss.reshape(())

    def gradients(
        self, loss: Tensor, params: list[Tensor], create_graph: bool = False
    ) -> list[Tensor]:
        with torch.enable_grad():
            return list(
                torch.autograd.grad(
                    loss,
                    params,
                    create_graph=create_graph,
                    allow_unused=True,
                    materialize_grads=True,
                )
            )

    def velocities(self, loss: Tensor, params: list[Tensor]) -> list[Tensor]:
        """Gradients with their graph, times the roots of their rates."""
        found = self.gradients(loss, params, create_graph=True)
        return [math.sqrt(rate) * g for rate, g in zip(self.rates(), found, strict=True)]


def _dot(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Inner product over all tensors, whatever their types and devices."""
    parts = [(x.conj() * y).real.sum() for x, y in zip(a, b, strict=True)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part.to(total)
    return total


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}; 1 cancels the drift")
    return float(value)


def _pair(name: str, value: float | Sequence[float]) -> tuple[float, float]:
    values = list(value) if isinstance(value, Sequence) else [value, value]
    if len(values) != 2:
        raise ValueError(f"{name} must be a number or two, got {len(values)}; give one a player")
    return _finite(f"{name}[0]", values[0]), _finite(f"{name}[1]", values[1])


__all__ = ["drift_regularized", "drift_regularized_game"]
