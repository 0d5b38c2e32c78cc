"""Sequential boosting of layers: residual blocks trained one after another, each by its own head.

BoostResNet: Huang, Ash, Langford, Schapire 2018, arXiv:1706.04964 (multi-class form).

  g_1 = stem(x), g_{t+1} = g_t + f_t(g_t)        o_t = softmax(head_t(g_t)), in [0, 1]
  s_t = sum of h_1..h_{t-1} = alpha_t o_t        h_t = alpha_{t+1} o_{t+1} - alpha_t o_t, s_0 = 0
  cost_t(i, l) = exp(s_t(i, l) - s_t(i, y_i)) for l != y_i, -Z_t(i) = -sum of these for l = y_i
  gamma~_{t+1} = -sum_i cost_t(i, .) o_{t+1}(i, .) / Z_t,   Z_t = sum_i Z_t(i)
  edge gamma_t = sqrt((gamma~_{t+1}^2 - gamma~_t^2) / (1 - gamma~_t^2)), positive where f_t helps
  f_t, head and alpha minimise sum_{i, l != y} cost_t(i, l) exp(h_t(i, l) - h_t(i, y)) = Z_{t+1}

The sum telescopes: the errors that the blocks before left, weighted, times what h_t adds, are the
exponential loss of alpha_{t+1} o_{t+1} alone, and the last head is the whole ensemble. Deviations:
alpha is trained with its block, where the paper's bound takes log((1 + gamma~) / (1 - gamma~)) / 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from thalweg.search._evaluating import evaluating
from thalweg.search.learning._rule import (
    Rule,
    check_classes,
    check_count,
    check_inputs,
)

__all__ = ["Round", "SequentialBoosting"]


class Round(NamedTuple):
    """What a block brought, over the samples that closed its round.

    Attributes
    ----------
    edge : float
        gamma_t of the weak learning condition, at most 1; negative where `gamma` fell, as it may
        when few hard samples hold most of the costs.
    gamma : float
        gamma~_{t+1}: agreement of the new head with the costs left before, at most 1.
    factor : float
        Z_{t+1} / Z_t: what remains of the exponential loss.
    """

    edge: float
    gamma: float
    factor: float


class SequentialBoosting(Rule):
    """Residual blocks trained one at a time, each by a classifier on its output.

    Use it to grow a network block by block: memory and time of a round are those of one block.

    Parameters
    ----------
    blocks : iterable of torch.nn.Module
        f_1..f_T, each returning the shape that it takes; its output is added to its input.
    heads : iterable of torch.nn.Module
        One for each block: scores of shape (n, classes) of what leaves it.
    classes : int
        Number of classes, >= 2.
    stem : torch.nn.Module, optional
        Makes g_1 of the inputs, trained with the first block. Default: the inputs themselves.

    Attributes
    ----------
    rounds : list of Round
        Closed rounds; the open one has the index ``len(rounds)``.

    Raises
    ------
    ValueError, TypeError
        For settings out of range, parts that return another shape, and a batch after the last
        round.

    Notes
    -----
    `backward` fills `.grad` of the open block, its head and its alpha alone (of the stem in the
    first round); blocks before run in evaluation mode without gradients. `zero_grad` must set
    gradients to None (the default), so that optimizers leave closed blocks alone. Nothing is
    random: seeds play no part.

    References
    ----------
    Huang, Ash, Langford, Schapire 2018, "Learning deep ResNet blocks sequentially using boosting
    theory", ICML, arXiv:1706.04964.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from thalweg.search.learning import SequentialBoosting
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(64, 2)
    >>> y = (x[:, 0] * x[:, 1] > 0).long()
    >>> def block():
    ...     return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    >>> rule = SequentialBoosting(
    ...     [block() for _ in range(3)], [nn.Linear(2, 2) for _ in range(3)], classes=2
    ... )
    >>> optimizer = torch.optim.Adam(rule.parameters(), lr=1e-2)
    >>> for _ in range(3):
    ...     for _ in range(150):
    ...         optimizer.zero_grad()
    ...         loss = rule.backward(x, y)
    ...         optimizer.step()
    ...     closed = rule.advance([(x, y)])
    >>> bool((rule.predict(x).argmax(1) == y).float().mean() > 0.9)
    True
    """

    def __init__(
        self,
        blocks: Iterable[nn.Module],
        heads: Iterable[nn.Module],
        classes: int,
        *,
        stem: nn.Module | None = None,
    ) -> None:
        super().__init__(seed=0)
        self.blocks, self.heads = nn.ModuleList(blocks), nn.ModuleList(heads)
        self.classes = check_count("classes", classes, 2, 10)
        self.stem = nn.Identity() if stem is None else stem
        if not self.blocks or len(self.blocks) != len(self.heads):
            raise ValueError(
                f"heads must be one for each block, and blocks at least one, got "
                f"{len(self.heads)} heads and {len(self.blocks)} blocks; add what is missing"
            )
        self.log_alphas = nn.ParameterList(torch.zeros(()) for _ in self.blocks)
        self.rounds: list[Round] = []

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores of the last closed round, of the open one while none is closed."""
        last = max(len(self.rounds) - 1, 0)
        return self._scores(last, self._grow(last, self._features(last, inputs)))

    def backward(self, inputs: Tensor, targets: Tensor) -> float:
        """Add the gradients of one batch to `.grad` of what the open round trains.

        Parameters
        ----------
        inputs : Tensor, shape (n, ...)
            Samples, finite.
        targets : Tensor of int64, shape (n,)
            Class indices.

        Returns
        -------
        float
            The exponential loss, the mean of exp(s(l) - s(y)) over samples and wrong classes l:
            1 where nothing is known.
        """
        check_inputs(inputs)
        check_classes(inputs, targets, self.classes)
        t = self._open()
        with torch.enable_grad():
            # The stem belongs to the first round.
            g = self._stemmed(inputs) if t == 0 else self._frozen(t, inputs)
            loss = self._remaining(self._scores(t, self._grow(t, g)), targets).mean()
            loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    @torch.no_grad()
    def advance(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Round:
        """Close the open round and open the next.

        Parameters
        ----------
        batches : iterable of (inputs, targets)
            The training samples, once, in any batches; ``[(X, y)]`` for tensors.

        Returns
        -------
        Round
            What the block brought; also appended to `rounds`.
        """
        t, agreed, left, remains = self._open(), 0.0, 0.0, 0.0
        with evaluating(self):
            for inputs, targets in batches:
                check_inputs(inputs)
                check_classes(inputs, targets, self.classes)
                g = self._features(t, inputs)
                before = self._scores(t - 1, g) if t else g.new_zeros(len(g), self.classes)
                after = self._scores(t, self._grow(t, g))
                o = after / self.log_alphas[t].exp()
                cost = _wrong(before, targets)
                agreed += float((cost.sum(1) * _at(o, targets) - (cost * o).sum(1)).sum())
                left += float(cost.sum())
                remains += float(_wrong(after, targets).sum())
        if not left:
            raise ValueError("batches must hold the training samples, got none; pass [(X, y)]")
        closed = Round(_edge(agreed / left, self._gamma()), agreed / left, remains / left)
        self.rounds.append(closed)
        for p in self.parameters():
            p.grad = None
        return closed

    def _open(self) -> int:
        t = len(self.rounds)
        if t == len(self.blocks):
            raise ValueError(f"all {t} blocks are trained; build the rule with more")
        return t

    def _gamma(self) -> float:
        return self.rounds[-1].gamma if self.rounds else 0.0

    def _stemmed(self, inputs: Tensor) -> Tensor:
        g: Tensor = self.stem(inputs)
        return g

    def _features(self, t: int, inputs: Tensor) -> Tensor:
        """What enters block t."""
        g = self._stemmed(inputs)
        for k in range(t):
            g = self._grow(k, g)
        return g

    def _frozen(self, t: int, inputs: Tensor) -> Tensor:
        """What enters block t, by parts that are trained already."""
        with torch.no_grad(), evaluating(self):
            return self._features(t, inputs)

    def _grow(self, t: int, g: Tensor) -> Tensor:
        added: Tensor = self.blocks[t](g)
        if added.shape != g.shape:
            raise ValueError(
                f"blocks must return the shape they take, got {tuple(added.shape)} from block {t} "
                f"for {tuple(g.shape)}; change the width in the stem"
            )
        return g + added

    def _scores(self, t: int, g: Tensor) -> Tensor:
        """The scores alpha o of the head behind block t."""
        said: Tensor = self.heads[t](g)
        if said.shape != (len(g), self.classes):
            raise ValueError(
                f"heads must return shape ({len(g)}, {self.classes}), got {tuple(said.shape)} "
                f"from head {t}; end it with one score a class"
            )
        alpha: Tensor = self.log_alphas[t].exp()
        return alpha * said.softmax(1)

    def _remaining(self, scores: Tensor, targets: Tensor) -> Tensor:
        return _wrong(scores, targets).sum(1) / (self.classes - 1)

    def get_extra_state(self) -> dict[str, Any]:
        """State beyond tensors, part of `state_dict()`."""
        return {**super().get_extra_state(), "rounds": [tuple(r) for r in self.rounds]}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_extra_state` returned."""
        super().set_extra_state(state)
        self.rounds = [Round(*r) for r in state["rounds"]]


def _at(scores: Tensor, targets: Tensor) -> Tensor:
    """Scores of the right classes, shape (n,)."""
    return scores.gather(1, targets.long()[:, None])[:, 0]


def _wrong(scores: Tensor, targets: Tensor) -> Tensor:
    """exp(s(l) - s(y)) for wrong classes l, 0 for the right one."""
    powers = (scores - _at(scores, targets)[:, None]).exp()
    wrong: Tensor = powers.scatter(1, targets.long()[:, None], 0.0)
    return wrong


def _edge(after: float, before: float) -> float:
    """gamma_t with the sign of its square; 0 where the head before was perfect."""
    if abs(before) >= 1:
        return 0.0
    square = (after**2 - before**2) / (1 - before**2)
    return math.copysign(math.sqrt(abs(square)), square)
