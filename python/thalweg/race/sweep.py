"""Every optimizer at its best of five rates, chosen on training images that it did not train on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from thalweg.race.entrants import Entrant
from thalweg.race.runner import Plan, Watch, line_up, run, shortened
from thalweg.race.tasks import Task

FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)
_HELD_OUT = 0.2


@dataclass(frozen=True)
class Trial:
    """A rate and the loss on held-out training images that it ended with (NaN: diverged)."""

    lr: float
    loss: float


def sweep(entrant: Entrant, task: Task, plan: Plan, watch: Watch) -> list[Trial] | None:
    """Race `entrant` against itself at five rates around its own.

    The test images take no part: a fifth of the training images, the same for all, decides.

    Returns
    -------
    list of Trial or None
        In the order of the rates; None if Ctrl-C ended it.
    """
    images = len(task.train[1])
    order = torch.from_numpy(np.random.default_rng([plan.seed]).permutation(images))
    cut = max(1, round(_HELD_OUT * images))
    trial_task = shortened(task, kept=order[cut:], held_out=order[:cut])
    own = line_up([entrant], task, plan)[0].lr
    rates = [float(f"{own * factor:.6g}") for factor in FACTORS]
    lanes = line_up([entrant.at_rate(lr) for lr in rates], trial_task, plan)
    if not run(lanes, trial_task, plan, watch):
        return None
    return [Trial(lane.lr, _final_loss(lane.points[-1].test_loss)) for lane in lanes]


def best(trials: Sequence[Trial]) -> Trial:
    """Return the trial of the lowest loss; if all diverged, the lowest rate."""
    return min(trials, key=lambda t: (math.isnan(t.loss), 0.0 if math.isnan(t.loss) else t.loss))


def at_edge(trials: Sequence[Trial]) -> bool:
    """Tell whether the best rate is an outermost one, so that a better may lie beyond."""
    return best(trials) in (trials[0], trials[-1])


def _final_loss(loss: float) -> float:
    return loss if math.isfinite(loss) else math.nan
