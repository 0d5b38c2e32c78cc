"""SMB: a trial step of gradient descent, and the step of a model where it does not descend."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from thalweg.optim.closures import Closure, away, differentiate, gradients, look
from thalweg.optim.optimizer import Params
from thalweg.optim.several import (
    Several,
    blend,
    check_count,
    check_range,
    finite_norm,
    products,
)

# Gradients of a smaller norm leave nothing to model.
_FLAT = 1e-8


class SMB(Several):
    """A trial step of gradient descent, and the step of a model where it does not descend.

    Use it in place of SGD where the learning rate is not known: one more look at the loss takes the
    place of a line search.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor), or of dict
        What to optimize, as in `torch.optim`.
    lr : float or Tensor of one element, default 1.0
        Length of the trial step over that of the gradient, > 0.
    eta : float, default 0.99
        Bound of the model, in (0, 1): smaller makes its steps shorter.
    c : float, default 0.1
        Share of the promised decrease that a trial step must reach, in [0, 1).
    autoschedule : bool, default False
        Change `lr` every `n_batches_per_epoch` steps: times `beta` where more than the share
        `gamma` of them were model steps, over `beta` otherwise, up to `lr_max`.
    n_batches_per_epoch : int, default 500
        Steps between changes of `lr`, >= 1.
    gamma : float, default 0.05
        Share of model steps, in [0, 1]; half of it counts with `independent_batch`.
    beta : float, default 0.9
        Factor of `lr`, in (0, 1).
    lr_max : float, default 20.0
        Largest `lr` that is chosen, > 0.
    independent_batch : bool, default False
        Take the model step on the next minibatch (SMBi): the model is then independent of the test
        that asked for it.

    Raises
    ------
    ValueError
        If a hyperparameter is outside its range.
    NotImplementedError
        For complex or distributed parameters.

    Notes
    -----
    Loss f and gradient g; the trial step `s = -lr * g`, loss f_t there. It stays if `f_t <= f - c *
    lr * |g|^2`, tested group by group with the norm of the group, all groups being tried at once.
    Otherwise, with `y = g_t - g`, tensor by tensor::

        sigma = (|s| (|y| + |g| / eta) - <y, s>) / 2
        n = <y, s> + 2 sigma
        theta = n^2 - |s|^2 |y|^2
        c_g = -|s|^2 / (2 sigma)
        c_s = c_g (-n <y, g> + |y|^2 <s, g>) / theta
        c_y = c_g (-n <s, g> + |s|^2 <y, g>) / theta

    and the step is `c_s s + c_g g + c_y y`. A tensor whose gradient is zero keeps its trial step.
    SMBi undoes a trial step that failed, and takes the model step from the gradients of the next
    minibatch, `<y, h>`, `<s, h>` and `c_g h` with the gradient h of the one before.

    Cost: the closure twice a step; a second backward pass for model steps, where the closure leaves
    `backward` to the optimizer. Memory between steps: none; SMBi keeps h until it is used. A step
    that raises changes nothing. `torch.amp.GradScaler` refuses closures, and a scaled loss would
    change the test: use bfloat16.

    Deviations from the published code: several groups, parameters without gradients, and gradients
    of zero work; counters lie in the groups.

    References
    ----------
    Birbil, Martin, Onay, Oztoprak 2021, "Bolstering stochastic gradient descent with model
    building", arXiv:2111.07058.

    Examples
    --------
    >>> import torch
    >>> w = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = SMB([w], lr=5.0)  # plain descent would multiply w by -9
    >>> for _ in range(20):
    ...     loss = optimizer.step(lambda: w.square().sum())
    >>> bool(loss < 0.1)
    True
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        eta: float = 0.99,
        c: float = 0.1,
        autoschedule: bool = False,
        n_batches_per_epoch: int = 500,
        gamma: float = 0.05,
        beta: float = 0.9,
        lr_max: float = 20.0,
        independent_batch: bool = False,
    ) -> None:
        hyper = {
            "lr": lr,
            "eta": eta,
            "c": c,
            "autoschedule": autoschedule,
            "n_batches_per_epoch": n_batches_per_epoch,
            "gamma": gamma,
            "beta": beta,
            "lr_max": lr_max,
            "independent_batch": independent_batch,
            # Since the last change of lr; and whether the next step is SMBi's model step.
            "steps": 0,
            "model_steps": 0,
            "model_next": False,
        }
        super().__init__(params, hyper)

    @override
    def _check(self, group: dict[str, Any]) -> None:
        check_range("lr", group["lr"], 0.0, ends="()")
        check_range("eta", group["eta"], 0.0, 1.0, ends="()")
        check_range("c", group["c"], 0.0, 1.0, ends="[)")
        check_count("n_batches_per_epoch", group["n_batches_per_epoch"])
        check_range("gamma", group["gamma"], 0.0, 1.0, ends="[]")
        check_range("beta", group["beta"], 0.0, 1.0, ends="()")
        check_range("lr_max", group["lr_max"], 0.0, ends="()")

    @override
    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Tensor:  # type: ignore[override]
        """Take a trial step or that of the model.

        Parameters
        ----------
        closure : callable
            Returns the loss of the same minibatch wherever the parameters are; it may leave
            `backward` to the optimizer, which then saves passes.

        Returns
        -------
        Tensor
            The loss before the step.

        Raises
        ------
        TypeError
            If there is no closure, or it returns no number.
        ValueError
            If the loss is no finite number, or a gradient is not finite.
        """
        for group in self.param_groups:
            self._check(group)
        params = self.params()
        loss = gradients(closure, params)
        rows = self.gathered()
        norms = [finite_norm(grads) for _, _, grads in rows]
        stepped = [p for _, owners, _ in rows for p in owners]
        trials = [trial for row in rows for trial in _trials(*row)]
        with away(stepped, trials):
            trial_loss = look(closure, params)
            tried = float(trial_loss.detach())
            failed = [_fails(row[0], loss, tried, n) for row, n in zip(rows, norms)]
            if any(failed):
                differentiate(trial_loss, params)
        # Nothing after this raises but a gradient that is not finite, and nothing is changed yet.
        steps = [self._weights(row, fails) for row, fails in zip(rows, failed)]
        start = 0
        for row, fails, weights in zip(rows, failed, steps):
            count = len(row[1])
            self._move(row, fails, weights, trials[start : start + count])
            start += count
        return loss

    def _weights(
        self, row: tuple[dict[str, Any], list[Tensor], list[Tensor]], fails: bool
    ) -> list[tuple[float, float, float] | None]:
        """Weights of h, g and g_t in the model step of each tensor; none where the trial stays."""
        group, params, grads = row
        waits = group["independent_batch"] and not group["model_next"]
        if not fails or waits:
            return [None] * len(params)
        lr, eta = float(group["lr"]), group["eta"]
        others = _or([p.grad for p in params], grads)
        finite_norm(others)
        former = self._former(group, params, grads)
        found = products(grads, others, former)
        return [_model(row, lr, eta, former is None) for row in found]

    def _former(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]
    ) -> list[Tensor] | None:
        """Gradients of the minibatch before; none where they are those of this one."""
        if not group["independent_batch"]:
            return None
        # A parameter that had none then is modelled by what it has.
        return [self.state.get(p, {}).get("grad_prev", g) for p, g in zip(params, grads)]

    def _move(
        self,
        row: tuple[dict[str, Any], list[Tensor], list[Tensor]],
        fails: bool,
        weights: list[tuple[float, float, float] | None],
        trials: list[Tensor],
    ) -> None:
        group, params, grads = row
        modelled = [i for i, weight in enumerate(weights) if weight is not None]
        waits = group["independent_batch"] and not group["model_next"] and fails
        if not waits:
            kept = [i for i, weight in enumerate(weights) if weight is None]
            if kept:
                torch._foreach_copy_([params[i] for i in kept], [trials[i] for i in kept])
        if modelled:
            self._model_step(row, modelled, weights)
        if group["independent_batch"]:
            for p, g in zip(params, grads):
                if waits:
                    self.state[p]["grad_prev"] = g.clone()
            if not waits:
                for p in group["params"]:
                    self.state.pop(p, None)
        model_step = fails and not waits
        group["model_next"] = waits
        group["steps"] += 1
        group["model_steps"] += int(model_step)
        _schedule(group)

    def _model_step(
        self,
        row: tuple[dict[str, Any], list[Tensor], list[Tensor]],
        modelled: list[int],
        weights: list[tuple[float, float, float] | None],
    ) -> None:
        group, params, grads = row
        chosen = [weights[i] or (0.0, 0.0, 0.0) for i in modelled]
        targets = [params[i] for i in modelled]
        own = [grads[i] for i in modelled]
        others = _or([params[i].grad for i in modelled], own)
        blend(targets, own, others, [(1.0, w[1], w[2]) for w in chosen])
        former = self._former(group, params, grads)
        if former is not None:
            blend(targets, [former[i] for i in modelled], None, [(1.0, w[0], 0.0) for w in chosen])


def _trials(group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> list[Tensor]:
    if not params:
        return []
    return list(torch._foreach_add(params, grads, alpha=-float(group["lr"])))


def _or(grads: list[Tensor | None], others: list[Tensor]) -> list[Tensor]:
    """Gradients, and others where there are none."""
    return [other if g is None else g for g, other in zip(grads, others)]


def _fails(group: dict[str, Any], loss: Tensor, tried: float, norm: float) -> bool:
    if group["independent_batch"] and group["model_next"]:
        return True
    descends = tried <= float(loss) - group["c"] * float(group["lr"]) * norm * norm
    return not descends and norm >= _FLAT


def _model(
    found: list[float], lr: float, eta: float, own: bool
) -> tuple[float, float, float] | None:
    """Weights of h, g and g_t in the step of the model; none where there is nothing to model."""
    gg, yy, yg, yh, gh = found
    ss, ys, sh = lr * lr * gg, -lr * yg, -lr * gh
    if ss == 0.0:
        return None
    # y s + 2 sigma, without the cancellation.
    n = math.sqrt(ss) * (math.sqrt(yy) + math.sqrt(gg) / eta)
    sigma = 0.5 * (n - ys)
    theta = n * n - ss * yy
    cg = -ss / (2.0 * sigma)
    cs = cg / theta * (-n * yh + yy * sh)
    cy = cg / theta * (-n * sh + ss * yh)
    rest = -lr * cs - cy
    if not math.isfinite(rest):
        raise ValueError(
            f"gradient must be small enough to square, got one of norm {math.sqrt(gg)}; lower the "
            "learning rate or look at the data"
        )
    return (0.0, rest + cg, cy) if own else (cg, rest, cy)


def _schedule(group: dict[str, Any]) -> None:
    if not group["autoschedule"] or group["steps"] < group["n_batches_per_epoch"]:
        return
    share = group["model_steps"] / group["steps"]
    limit = group["gamma"] / 2 if group["independent_batch"] else group["gamma"]
    if share > limit:
        group["lr"] = group["lr"] * group["beta"]
    elif float(group["lr"]) / group["beta"] <= group["lr_max"]:
        group["lr"] = group["lr"] / group["beta"]
    group["steps"] = group["model_steps"] = 0


__all__ = ["SMB"]
