"""Who races on spikes: names, settings, and what the table must not be read without."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from thalweg._errors import InputError
from thalweg.race.entrants import setting, split
from thalweg.race.lane import Contender
from thalweg.race.runner import Plan
from thalweg.race.spiking.lanes import LANES, SpikingLane
from thalweg.race.tasks import Task

DEFAULT = "polystep,openai_es,spsa,surrogate"


@dataclass(frozen=True)
class Entrant:
    """One way to train, with the settings typed.

    Attributes
    ----------
    name, label : str
        Its name, and the name with the settings typed.
    typed : mapping
        Those settings, keyword arguments of its lane.
    """

    name: str
    label: str
    typed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def of_torch(self) -> bool:
        """Whether it is a reference line."""
        return self._lane.of_torch

    @property
    def note(self) -> str:
        """How it trains."""
        return f"{self.name}: {self._lane.note}"

    @property
    def settings(self) -> dict[str, Any]:
        """All settings, defaults included."""
        return {**_defaults(self._lane), **self.typed}

    @property
    def _lane(self) -> type[SpikingLane]:
        return LANES[self.name]

    def enter(self, task: Task, plan: Plan, weights: dict[str, Tensor]) -> SpikingLane:
        """Put it on the track.

        Raises
        ------
        InputError
            If it refuses its settings.
        """
        try:
            return self._lane(self, task, plan, weights, **self.typed)
        except (TypeError, ValueError) as error:
            known = ", ".join(_defaults(self._lane))
            raise InputError(f"--optimizers {self.label}: {error}; settings: {known}") from error


def parse(text: str) -> list[Entrant]:
    """Read `polystep,openai_es:sigma=0.05,surrogate`.

    Raises
    ------
    InputError
        If a name is unknown, a setting has no value, or an entrant comes twice.
    """
    entrants = [_entrant(entry) for entry in split(text)]
    for i, entrant in enumerate(entrants):
        if entrant in entrants[:i]:
            raise InputError(f"--optimizers has {entrant.label} twice; drop one")
    return entrants


def line_up(entrants: Sequence[Entrant], task: Task, plan: Plan) -> list[Contender]:
    """Give every entrant its own copy of the same initial network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        weights = task.network().state_dict()
        return [entrant.enter(task, plan, weights) for entrant in entrants]


def _entrant(entry: str) -> Entrant:
    head, *options = entry.split(":")
    if head.lower() not in LANES:
        raise InputError(
            f"unknown contender {head!r} of --task snn; choose from {', '.join(LANES)}"
        )
    typed = dict(setting(entry, option) for option in options)
    label = ":".join([head.lower(), *(f"{key}={value}" for key, value in typed.items())])
    return Entrant(head.lower(), label, typed)


def _defaults(lane: type[SpikingLane]) -> dict[str, Any]:
    found = inspect.signature(lane).parameters.values()
    return {p.name: p.default for p in found if p.kind is p.KEYWORD_ONLY}
