"""Direct feedback alignment: layers learn from fixed random projections of the output error.

Nokland 2016, arXiv:1609.01596; one shared matrix, normalised, and the advice of Launay, Poli,
Krzakala 2019, arXiv:1906.04554.

  e        dL/doutput, shape (n, classes)     h_l   what enters cut l, d_l features a sample
  B        Gaussian, (classes, max d_l), / sqrt(classes max d_l)
  B_l      first d_l columns of B, times sqrt(max d_l / d_l)
  dL/dh_l  is replaced by e B_l; modules between two cuts, and after the last, are differentiated

Deviations: none. Plain form (normalize=False): B_l are the first columns of a standard Gaussian.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.search._evaluating import evaluating
from thalweg.search.learning._rule import Rule, check_classes, check_inputs

__all__ = ["DirectFeedback"]


class DirectFeedback(Rule):
    """Direct feedback alignment for any torch module.

    Use it to train all layers at once from the error of the output, with no backward pass
    from layer to layer: wide layers and tanh-like activations suit it best.

    Parameters
    ----------
    model : torch.nn.Module
        Network that returns scores, shape (n, classes). Trained in place.
    cuts : iterable of torch.nn.Module or str, optional
        Parts of `model`, or their names, before which the graph is cut: the tensor that enters
        takes its gradient from the feedback. Default for a Sequential: every child with trainable
        parameters but the first such one. Each must be called once a pass, in this order.
    loss : callable, optional
        ``loss(outputs, targets) -> scalar``, default the mean cross-entropy of class indices.
    normalize : bool, default True
        Scale feedback by the numbers of classes and of features, as published.
    seed : None, int or numpy Generator
        Seed of the feedback.

    Attributes
    ----------
    feedback : Tensor or None, shape (classes, largest number of features of a cut)
        B, drawn at the first batch; the state dict holds its seed.

    Raises
    ------
    ValueError
        Without a cut; for cuts that are no parts of the model, are called more than once a pass
        or have nothing to train before them.

    Notes
    -----
    The gradient of the output layer (all behind the last cut) is exact. A connection that skips a
    cut module lets a true gradient pass: cut where the branches are joined. Memory:
    `O(classes * max d_l)`. Layers narrower than about the number of classes do not align.

    References
    ----------
    Nokland 2016, "Direct feedback alignment provides learning in deep neural networks",
    arXiv:1609.01596. Launay, Poli, Krzakala 2019, "Principled training of neural networks with
    direct feedback alignment", arXiv:1906.04554.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from thalweg.search.learning import DirectFeedback
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(64, 2)
    >>> y = (x[:, 0] * x[:, 1] > 0).long()
    >>> model = nn.Sequential(
    ...     nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 2)
    ... )
    >>> rule = DirectFeedback(model, seed=0)
    >>> optimizer = torch.optim.Adam(rule.parameters(), lr=1e-2)
    >>> for _ in range(100):
    ...     optimizer.zero_grad()
    ...     loss = rule.backward(x, y)
    ...     optimizer.step()
    >>> bool((rule.predict(x).argmax(1) == y).float().mean() > 0.9)
    True
    """

    def __init__(
        self,
        model: nn.Module,
        cuts: Iterable[nn.Module | str] | None = None,
        *,
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        normalize: bool = True,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        super().__init__(seed)
        # By name, so that a deep copy cuts its own model.
        self._cuts = _names(model, cuts)
        self.model = model
        self.loss, self.normalize = loss, normalize
        self.feedback: Tensor | None
        self.register_buffer("feedback", None, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores of the model, untouched."""
        scores: Tensor = self.model(inputs)
        return scores

    def backward(self, inputs: Tensor, targets: Tensor) -> float:
        """Add the gradients of one batch to `.grad`.

        Parameters
        ----------
        inputs : Tensor, shape (n, ...)
            Samples, finite.
        targets : Tensor
            What the loss takes; class indices of shape (n,) for the default.

        Returns
        -------
        float
            The loss of the batch.
        """
        check_inputs(inputs)
        with torch.enable_grad():
            output, entered = self._run(inputs, lambda h: h.detach().requires_grad_())
            loss, e = self._error(output, targets)
        projected = self._project(e, entered)
        torch.autograd.backward([*entered, output], [*projected, e])
        return loss

    def alignment(self, inputs: Tensor, targets: Tensor) -> list[float]:
        """Angles between feedback and true gradient of what enters each cut.

        Below 90 degrees the layers before the cut descend; a random direction has 90. Measured in
        evaluation mode; nothing is trained.

        Returns
        -------
        list of float
            A mean angle over the samples, in degrees, for each cut.
        """
        check_inputs(inputs)
        with torch.enable_grad(), evaluating(self):
            output, entered = self._run(inputs, lambda h: h)
            loss = self._loss(output, targets)
            e, *true = torch.autograd.grad(loss, [output, *entered])
        pairs = zip(self._project(e, entered), true, strict=True)
        return [_angle(a.flatten(1).double(), b.flatten(1).double()) for a, b in pairs]

    def _loss(self, output: Tensor, targets: Tensor) -> Tensor:
        if self.loss is not None:
            return self.loss(output, targets)
        check_classes(output, targets, output.shape[-1])
        return nn.functional.cross_entropy(output, targets.long())

    def _error(self, output: Tensor, targets: Tensor) -> tuple[float, Tensor]:
        leaf = output.detach().requires_grad_()
        loss = self._loss(leaf, targets)
        (e,) = torch.autograd.grad(loss, leaf)
        return loss.item(), e

    def _project(self, e: Tensor, entered: list[Tensor]) -> list[Tensor]:
        """The feedback e B_l in the shapes of what entered the cuts."""
        wide, classes = [h[0].numel() for h in entered], e[0].numel()
        widest = max(wide)
        if self.feedback is None:
            scale = (classes * widest) ** -0.5 if self.normalize else 1.0
            self.feedback = self.normal(classes, widest, like=e, stream=0) * scale
        if self.feedback.shape != (classes, widest):
            raise ValueError(
                f"the batch must have {self.feedback.shape[0]} outputs and at most "
                f"{self.feedback.shape[1]} features, as the first, got {classes} and {widest}; "
                "use a rule for each shape"
            )
        everywhere = e.flatten(1) @ self.feedback.to(e)
        scales = [(widest / d) ** 0.5 if self.normalize else 1.0 for d in wide]
        return [
            (everywhere[:, :d] * s).reshape(h.shape)
            for d, s, h in zip(wide, scales, entered, strict=True)
        ]

    def _run(
        self, inputs: Tensor, replace: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Output of the model, and what entered each cut before it was replaced."""
        entered: dict[str, Tensor] = {}

        def hook(name: str) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
            def enter(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
                _check_entry(name, arguments, name in entered)
                entered[name] = arguments[0]
                return (replace(arguments[0]), *arguments[1:])

            return enter

        parts = [(name, self.model.get_submodule(name)) for name in self._cuts]
        handles = [part.register_forward_pre_hook(hook(name)) for name, part in parts]
        try:
            output: Tensor = self.model(inputs)
        finally:
            for handle in handles:
                handle.remove()
        silent = [name for name in self._cuts if name not in entered]
        if silent:
            raise ValueError(f"cuts must be called in a pass, got no call of {silent}; drop them")
        return output, [entered[name] for name in self._cuts]

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the seed; the feedback is drawn from it again."""
        super().set_extra_state(state)
        self.feedback = None


def _angle(a: Tensor, b: Tensor) -> float:
    """Mean angle of the rows in degrees, also of rows that are tiny."""
    cosine = (nn.functional.normalize(a, eps=0) * nn.functional.normalize(b, eps=0)).sum(1)
    # A row of zeros has no angle.
    return float(cosine.clamp(-1, 1).acos().rad2deg().nanmean())


def _check_entry(name: str, arguments: tuple[Any, ...], again: bool) -> None:
    """Refuse what cannot be cut, while nothing is written yet."""
    if again:
        raise ValueError(f"cuts must be called once a pass, got {name} twice; cut elsewhere")
    if not arguments or not isinstance(arguments[0], Tensor):
        raise TypeError(f"{name} must take a tensor as its first argument; cut elsewhere")
    if not arguments[0].requires_grad:
        raise ValueError(
            f"{name} must have something to train between it and the cut before, got nothing; "
            "leave it out of cuts"
        )


def _names(model: nn.Module, cuts: Iterable[nn.Module | str] | None) -> list[str]:
    """Names of the modules to cut before."""
    if cuts is None:
        if not isinstance(model, nn.Sequential):
            raise ValueError(
                f"cuts must be given for a {type(model).__name__}, got None; name the modules "
                "before which feedback enters"
            )
        names = [
            name
            for name, child in model.named_children()
            if any(p.requires_grad for p in child.parameters())
        ][1:]
    else:
        known = {id(part): name for name, part in model.named_modules() if name}
        names = []
        for given in cuts:
            name = given if isinstance(given, str) else known.get(id(given), "")
            if name not in known.values():
                raise ValueError(
                    f"cuts must be parts of the model, got {given!r}; use names of named_modules()"
                )
            names.append(name)
    if not names:
        raise ValueError("cuts must name at least one module, got none; cut before the last layer")
    return names
