"""Forward gradients: the gradient seen along guessed directions, without a backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from thalweg._extras import require
from thalweg.search._arguments import as_choice, as_count, as_seed
from thalweg.search._processes import fingerprint

require("torch")

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.func import functional_call  # noqa: E402

from thalweg.search._forward import jvp  # noqa: E402
from thalweg.search.local_losses import local_gradients  # noqa: E402

__all__ = ["ForwardGradient"]

_FORMS = ("unbiased", "projected", "sign", "span")
Direction = dict[str, Tensor]


class ForwardGradient:
    """Fill `.grad` from directional derivatives, which cost a forward pass each.

    Use it where the activations of a backward pass do not fit into memory, or to see how much of a
    gradient a cheap guess of its direction holds.

    Parameters
    ----------
    model : torch.nn.Module
        Parameters with ``requires_grad`` get a gradient, those of the other ones are left alone.
    loss : callable
        ``loss(model(x), y)``, a tensor of one element.
    guess : {"gaussian", "rademacher", "local"} or callable, default "gaussian"
        Directions u: random, gradients of local losses (see `heads`), or
        ``guess(name, parameter) -> Tensor`` of the shape of the parameter.
    form : {"unbiased", "projected", "sign", "span"}, default "unbiased"
        With t the gradient: ``<t, u> u``, whose mean is t for random guesses;
        ``<t, u> u / (|u|^2 + 1e-16)``, the nearest multiple of u; ``sign(<t, u>) u``; the nearest
        point to t in the span of all directions. The first three are averaged over directions.
    directions : int, default 1
        Guesses a call, >= 1; must be 1 for "local".
    per : {"network", "tensor"}, default "network"
        Whether one derivative is taken along all parameters together, or one for each tensor, which
        costs that many forward passes and removes their noise from each other. "local" takes one
        for each block.
    heads : mapping of str to Module or None, optional
        Blocks for "local" by the name of a submodule, each with the module that predicts from what
        the block puts out, or None for one that ends the network. Every parameter to train is in
        one block; blocks are called once a forward pass. Heads get their own gradient.
    seed : None, int or numpy Generator
        Seed of random guesses.

    Raises
    ------
    ValueError, TypeError
        For settings that do not fit, or a loss that is not one real number; gradients stay as they
        were.

    Notes
    -----
    The variance of "unbiased" grows with the number of parameters, so steps must be that much
    shorter; "projected" shrinks the gradient by that factor instead. A local guess is the gradient
    of the loss of a head with regard to its block, whose input is detached, so it needs no more
    memory than one block at a time would.

    All derivatives of a call see the same dropout masks. Operators need a forward derivative in
    torch, which most have; layers that write running statistics must be in evaluation mode.
    Gradients are added to those that are there, as by ``backward``. Without memory of activations;
    time of two forward passes a derivative.

    References
    ----------
    Baydin et al. 2022, "Gradients without Backpropagation", arXiv:2202.08587; Fournier et al. 2023,
    "Can Forward Gradient Match Backpropagation?", ICML, arXiv:2306.06968.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(64, 4)
    >>> model = torch.nn.Linear(4, 1)
    >>> forward = ForwardGradient(model, torch.nn.functional.mse_loss, seed=0)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    >>> for step in range(300):
    ...     optimizer.zero_grad()
    ...     last = forward.backward(x, x.sum(1, keepdim=True))
    ...     first = last if step == 0 else first
    ...     optimizer.step()
    >>> bool(last < 0.01 * first)
    True
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        *,
        guess: str | Callable[[str, Tensor], Tensor] = "gaussian",
        form: str = "unbiased",
        directions: int = 1,
        per: str = "network",
        heads: Mapping[str, nn.Module | None] | None = None,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        if not callable(guess):
            as_choice("guess", guess, ("gaussian", "rademacher", "local"))
        as_choice("form", form, _FORMS)
        as_choice("per", per, ("network", "tensor"))
        self.model, self.loss, self.guess, self.form = model, loss, guess, form
        self.directions, self.heads = as_count("directions", directions), dict(heads or {})
        self._seed, self._step = as_seed(seed), 0
        self._names = [n for n, p in model.named_parameters() if p.requires_grad]
        if not self._names:
            raise ValueError("model must have a parameter with requires_grad; unfreeze one")
        if (guess == "local") != bool(self.heads):
            raise ValueError(
                f"heads must be given with guess='local' and only then, got {sorted(self.heads)}; "
                "name the blocks of the network"
            )
        if guess == "local" and (directions > 1 or form == "unbiased"):
            raise ValueError(
                f"directions must be 1 and form no 'unbiased' with guess='local', got {directions} "
                f"and {form!r}; form='projected' is usual"
            )
        self._groups = self._blocks() if self.heads else [self._names]
        if not self.heads and per == "tensor":
            self._groups = [[name] for name in self._names]

    def _blocks(self) -> list[list[str]]:
        """Names of the parameters of each block."""
        known = dict(self.model.named_modules())
        unknown = [name for name in self.heads if name not in known or not name]
        if unknown:
            raise ValueError(
                f"heads must name submodules of the model, got {unknown}; see named_modules()"
            )
        groups = [[n for n in self._names if n.startswith(f"{name}.")] for name in self.heads]
        listed = sorted(name for group in groups for name in group)
        if listed != sorted(self._names):
            raise ValueError(
                f"heads must cover each parameter once, got {listed} of {sorted(self._names)}; "
                "add a block, or freeze what is outside"
            )
        return groups

    def backward(self, x: Any, y: Any) -> Tensor:
        """Add an estimate of the gradient of ``loss(model(x), y)`` to `.grad`.

        Parameters
        ----------
        x, y : Any
            Input of the model and what `loss` compares with.

        Returns
        -------
        Tensor
            The loss, without gradients.
        """
        heads: list[tuple[nn.Parameter, Tensor]] = []
        with self._masks():
            if self.guess == "local":
                local, heads = local_gradients(self.model, self.heads, self.loss, x, y)
                guesses = [local]
            else:
                guesses = self._draw()
        estimate: Direction = {}
        value: Tensor | None = None
        for group in self._groups:
            along = [{name: guess[name] for name in group} for guess in guesses]
            slopes = []
            for u in along:
                with self._masks():
                    value, slope = self._derivative(u, x, y)
                slopes.append(slope)
            estimate.update(self._combine(along, torch.stack(slopes).double()))
        # The random state moves on as by one forward pass.
        torch.rand(1)
        assert value is not None
        parameters = dict(self.model.named_parameters())
        for p, g in [*[(parameters[name], g) for name, g in estimate.items()], *heads]:
            p.grad = g if p.grad is None else p.grad + g
        self._step += 1
        return value

    def _derivative(self, u: Direction, x: Any, y: Any) -> tuple[Tensor, Tensor]:
        """The loss and its derivative along `u`; what `u` leaves out stays fixed."""
        parameters = dict(self.model.named_parameters())

        def at(values: Direction) -> Tensor:
            out: Any = self.loss(functional_call(self.model, values, (x,)), y)
            if not isinstance(out, Tensor) or out.numel() != 1 or not out.is_floating_point():
                raise ValueError(
                    f"loss must return one real number, got {getattr(out, 'shape', out)}; reduce "
                    "it, for instance with mean()"
                )
            return out.reshape(())

        with torch.no_grad():
            here = {name: parameters[name].detach() for name in u}
            value, slope = jvp(at, (here,), (u,))
        return value.detach(), slope.detach()

    def _draw(self) -> list[Direction]:
        parameters = dict(self.model.named_parameters())
        if callable(self.guess):
            own = self.guess
            drawn = [
                {name: own(name, parameters[name].detach()) for name in self._names}
                for _ in range(self.directions)
            ]
            for name, given in [item for guess in drawn for item in guess.items()]:
                shape = getattr(given, "shape", None)
                if shape != parameters[name].shape:
                    raise ValueError(
                        f"guess must return a tensor of shape {tuple(parameters[name].shape)} for "
                        f"{name}, got {shape}; one number a parameter"
                    )
            return [{n: u.to(parameters[n]) for n, u in guess.items()} for guess in drawn]
        out = []
        for k in range(self.directions):
            guess = {}
            for number, name in enumerate(self._names):
                p = parameters[name]
                generator = torch.Generator(device=p.device)
                generator.manual_seed(fingerprint(self._seed, self._step, k, number) % 2**63)
                u = torch.empty_like(p, requires_grad=False)
                if self.guess == "gaussian":
                    u.normal_(generator=generator)
                else:
                    u.bernoulli_(0.5, generator=generator).mul_(2).sub_(1)
                guess[name] = u
            out.append(guess)
        return out

    def _combine(self, along: list[Direction], slopes: Tensor) -> Direction:
        """The estimate from directions and the derivatives along them."""
        gram = torch.stack([torch.stack([_dot(u, v) for v in along]) for u in along])
        slopes = slopes.to(gram)
        if self.form == "span":
            weights = torch.linalg.pinv(gram, hermitian=True) @ slopes
        elif self.form == "projected":
            weights = slopes / (gram.diagonal() + 1e-16) / len(along)
        elif self.form == "sign":
            weights = slopes.sign() / len(along)
        else:
            weights = slopes / len(along)
        return {
            name: sum((w.to(u) * guess[name] for w, guess in zip(weights, along)), 0.0 * u)
            for name, u in along[0].items()
        }

    def _masks(self) -> Any:
        """Let random numbers of this stretch be drawn again after it."""
        devices = {p.device for p in self.model.parameters() if p.device.type == "cuda"}
        return torch.random.fork_rng(devices=list(devices))

    def state_dict(self) -> dict[str, Any]:
        """Seed and number of calls: what a resumed run needs besides the model."""
        return {"seed": self._seed, "step": self._step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self._seed, self._step = as_seed(int(state["seed"])), int(state["step"])


def _dot(u: Direction, v: Direction) -> Tensor:
    return torch.stack([(u[name].double() * v[name].double()).sum() for name in u]).sum()
