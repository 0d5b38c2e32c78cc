"""NoProp, discrete time: every block learns alone to denoise a noisy label.

Li, Teh, Pascanu 2025, arXiv:2503.24322.

  u_y      embedding of class y, d numbers      t = 0..T, block t maps (x, z_{t-1}) to uhat
  ab_t     alphabar, cosine, rising with t      SNR_t = ab_t / (1 - ab_t)
  z_t | y  N(sqrt(ab_t) u_y, (1 - ab_t) I)      alpha_{t-1} = ab_{t-1} / ab_t
  loss = CE(out(z_T), y) + KL(z_0 | y || N(0, I))
         + (T / 2) eta mean_t (SNR_t - SNR_{t-1}) ||uhat_t(x, z_{t-1}) - u_y||^2
  inference, from z_0 ~ N(0, I): z_t = a_t uhat_t + b_t z_{t-1} + sqrt(c_t) e; out(z_T) decides
    a_t = sqrt(ab_t) (1 - alpha_{t-1}) / (1 - ab_{t-1})
    b_t = sqrt(alpha_{t-1}) (1 - ab_t) / (1 - ab_{t-1})
    c_t = (1 - ab_t) (1 - alpha_{t-1}) / (1 - ab_{t-1})

ab_t are T + 1 levels of the cosine schedule of Nichol, Dhariwal 2021 (offset 0.008, steps of at
most 0.999), so that SNR_T is finite and no weight needs a clamp. That choice of levels is ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from thalweg.search._arguments import Array, as_choice
from thalweg.search.learning._rule import (
    Rule,
    accumulate,
    check_classes,
    check_count,
    check_inputs,
    check_positive,
)

__all__ = ["NoProp"]


class NoProp(Rule):
    """Blocks that each learn to denoise the label, with no pass through the others.

    Use it where blocks are to be trained apart, in any order or place: none needs another's
    output or gradient in training.

    Parameters
    ----------
    blocks : iterable of torch.nn.Module
        T >= 1 blocks, called as ``block(inputs, z)`` with z of shape (n, dim). The paper has 10;
        with fewer than about 8 the noise left in z_T costs accuracy.
    classes : int
        Number of classes, >= 2.
    dim : int, optional
        Length of embeddings, default `classes`.
    embedding : {"one_hot", "learned"}, default "one_hot"
        Fixed unit vectors (`dim` must be `classes`), or rows that are trained with the blocks.
    predicts : {"classes", "embedding"}, default "classes"
        What blocks return: scores of shape (n, classes), whose softmax weighs the embeddings, or
        the embedding itself, shape (n, dim).
    eta : float, default 0.1
        Weight > 0 of the denoising losses.
    seed : None, int or numpy Generator
        Seed of noise and of learned embeddings.

    Attributes
    ----------
    alphabar, a, b, c : ndarray
        ab_0..ab_T of shape (T + 1,); a_t, b_t, c_t for t = 1..T, float64.
    embeddings : Tensor, shape (classes, dim)
        A Parameter where learned.
    out : torch.nn.Linear
        Scores of the classes from z_T.

    Raises
    ------
    ValueError, TypeError
        For settings out of range, and blocks that return another shape.

    Notes
    -----
    Gradients within a block are backpropagation; none crosses a block: what enters one is drawn
    from the label. Labels are never seen in `predict`, which begins from noise of the seed, so that
    equal calls give equal scores. Learned embeddings are shared and take gradients from every
    block's loss. Memory in training: one block's graph at a time.

    References
    ----------
    Li, Teh, Pascanu 2025, "NoProp: training neural networks without full back-propagation or full
    forward-propagation", arXiv:2503.24322.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from thalweg.search.learning import NoProp
    >>> class Block(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden, self.scores = nn.Linear(2 + 2, 32), nn.Linear(32, 2)
    ...     def forward(self, x, z):
    ...         return self.scores(torch.tanh(self.hidden(torch.cat([x, z], 1))))
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(64, 2)
    >>> y = (x[:, 0] * x[:, 1] > 0).long()
    >>> rule = NoProp([Block() for _ in range(8)], classes=2, seed=0)
    >>> optimizer = torch.optim.Adam(rule.parameters(), lr=1e-2)
    >>> for _ in range(300):
    ...     optimizer.zero_grad()
    ...     loss = rule.backward(x, y)
    ...     optimizer.step()
    >>> bool((rule.predict(x).argmax(1) == y).float().mean() > 0.9)
    True
    """

    def __init__(
        self,
        blocks: Iterable[nn.Module],
        classes: int,
        *,
        dim: int | None = None,
        embedding: str = "one_hot",
        predicts: str = "classes",
        eta: float = 0.1,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        super().__init__(seed)
        as_choice("embedding", embedding, ("one_hot", "learned"))
        as_choice("predicts", predicts, ("classes", "embedding"))
        self.classes = check_count("classes", classes, 2, 10)
        self.dim = self.classes if dim is None else check_count("dim", dim, 1, self.classes)
        self.predicts, self.eta = predicts, check_positive("eta", eta, 0.1)
        if embedding == "one_hot" and self.dim != self.classes:
            raise ValueError(
                f"dim must be classes = {self.classes} for embedding='one_hot', got {self.dim}; "
                "use embedding='learned'"
            )
        self.blocks = nn.ModuleList(blocks)
        if not self.blocks:
            raise ValueError("blocks must hold at least one block, got none; the paper has 10")
        self.alphabar = _cosine(len(self.blocks))
        self.a, self.b, self.c = _posterior(self.alphabar)
        # On "meta", torch draws nothing that would move the generator of the caller.
        self.out = nn.Linear(self.dim, self.classes, device="meta")
        # From zero: its problem is convex, and a random start would have to be unlearnt first.
        self.out.weight = nn.Parameter(torch.zeros(self.classes, self.dim))
        self.out.bias = nn.Parameter(torch.zeros(self.classes))
        if embedding == "learned":
            self.embeddings = nn.Parameter(self.normal(self.classes, self.dim, like=torch.empty(0)))
        else:
            self.register_buffer("embeddings", torch.eye(self.classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores from noise, by all blocks in turn; the noise is that of the seed."""
        z = self.normal(len(inputs), self.dim, like=self.embeddings, stream=0)
        for t, block in enumerate(self.blocks):
            e = self.normal(len(inputs), self.dim, like=z, stream=t + 1)
            a, b = float(self.a[t]), float(self.b[t])
            step = a * self._denoise(block, inputs, z) + b * z
            z = step + math.sqrt(self.c[t]) * e
        scores: Tensor = self.out(z)
        return scores

    def backward(self, inputs: Tensor, targets: Tensor) -> float:
        """Add the gradients of one batch to `.grad`, block by block.

        Parameters
        ----------
        inputs : Tensor, shape (n, ...)
            Samples, finite.
        targets : Tensor of int64, shape (n,)
            Class indices.

        Returns
        -------
        float
            The loss of the batch, all parts of it.
        """
        check_inputs(inputs)
        check_classes(inputs, targets, self.classes)
        targets, before = targets.long(), self._draws
        shared = list(self.parameters(recurse=False))
        found = []
        try:
            with torch.enable_grad():
                for t, block in enumerate(self.blocks):
                    found.append(_gradients(self._gap(t, inputs, targets), block, shared))
                found.append(_gradients(self._ends(targets), self.out, shared))
        except BaseException:
            self._draws = before
            raise
        # Only now, so that a block that raises leaves all gradients as they were.
        for _, parameters, gradients in found:
            accumulate(parameters, gradients)
        return sum(loss for loss, _, _ in found)

    def _gap(self, t: int, inputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of one block, its share of the mean over t included: (T / 2) eta / T."""
        snr = self.alphabar / (1 - self.alphabar)
        z = self._noisy(targets, t)
        gap = self._denoise(self.blocks[t], inputs, z) - self.embeddings[targets]
        return 0.5 * self.eta * float(snr[t + 1] - snr[t]) * gap.square().sum(1).mean()

    def _ends(self, targets: Tensor) -> Tensor:
        """Cross-entropy at z_T and KL divergence at z_0."""
        scores = self.out(self._noisy(targets, len(self.blocks)))
        level, u = float(self.alphabar[0]), self.embeddings[targets]
        kl = 0.5 * (level * (u.square().sum(1) - self.dim) - self.dim * math.log1p(-level))
        return nn.functional.cross_entropy(scores, targets) + kl.mean()

    def _noisy(self, targets: Tensor, t: int) -> Tensor:
        level, u = float(self.alphabar[t]), self.embeddings[targets]
        return math.sqrt(level) * u + math.sqrt(1 - level) * self.normal(*u.shape, like=u)

    def _denoise(self, block: nn.Module, inputs: Tensor, z: Tensor) -> Tensor:
        """What the block says the embedding is."""
        said: Tensor = block(inputs, z)
        wide = self.classes if self.predicts == "classes" else self.dim
        if said.shape != (len(inputs), wide):
            raise ValueError(
                f"blocks must return shape ({len(inputs)}, {wide}), got {tuple(said.shape)}; "
                f"predicts is {self.predicts!r}"
            )
        return said.softmax(1) @ self.embeddings if self.predicts == "classes" else said


def _gradients(
    loss: Tensor, part: nn.Module, shared: list[nn.Parameter]
) -> tuple[float, list[nn.Parameter], list[Tensor | None]]:
    """A loss, the parameters it trains, and their gradients."""
    wanted = [p for p in [*part.parameters(), *shared] if p.requires_grad]
    if not (wanted and loss.requires_grad):
        return loss.item(), [], []
    return loss.item(), wanted, list(torch.autograd.grad(loss, wanted, allow_unused=True))


def _cosine(blocks: int) -> Array:
    """ab_0..ab_T, rising: levels T + 1 down to 1 of a schedule of T + 1 steps."""
    levels = np.arange(blocks + 2) / (blocks + 1)
    falling = np.cos((levels + 0.008) / 1.008 * np.pi / 2) ** 2
    kept = np.maximum(falling[1:] / falling[:-1], 0.001)
    rising: Array = np.cumprod(kept)[::-1].copy()
    return rising


def _posterior(ab: Array) -> tuple[Array, Array, Array]:
    """a_t, b_t, c_t for t = 1..T."""
    alpha, before, after = ab[:-1] / ab[1:], 1 - ab[:-1], 1 - ab[1:]
    return (
        np.sqrt(ab[1:]) * (1 - alpha) / before,
        np.sqrt(alpha) * after / before,
        after * (1 - alpha) / before,
    )
