"""Who races: optimizers by name, with the rates and settings that they race with."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from torch import nn
from torch.optim import Optimizer

from thalweg._errors import InputError

DEFAULT = (
    "sgd,adam,adamw,lion,diffgrad,ademamix,grams,gravity,adamomentum,muon,torch:AdamW,torch:SGD"
)

# What a rule races with where the user says nothing. Every rate is the best that one search, the
# same for every rule, found on held-out training images of the digits; docs/race.md has its table.
# torch's optimizers race with the settings of ours. Any other rule keeps its own default.
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"lr": 0.05, "momentum": 0.9},
    "adam": {"lr": 0.01},
    "adamw": {"lr": 0.02},
    "lion": {"lr": 2e-3},
    "diffgrad": {"lr": 0.02},
    "ademamix": {"lr": 0.01},
    "grams": {"lr": 0.05},
    "gravity": {"lr": 0.5},
    "adamomentum": {"lr": 2e-3},
    "muon": {"lr": 0.5},
}
_COMPANION: Mapping[str, Any] = {"lr": 5e-3}  # of AdamW beside Muon, in that search too

# Rules for matrices: they get the hidden ones, and AdamW the rest of the network.
_MATRIX = {"muon"}
_NOT_RACED = {"lbfgs": "it needs a closure", "sparseadam": "it takes sparse gradients alone"}


@dataclass(frozen=True)
class Entrant:
    """One optimizer with its settings.

    Attributes
    ----------
    name : str
        As the user may type it: `adamw`, `torch:AdamW`.
    label : str
        The name with the settings typed; the rate only where it tells two entrants apart.
    settings : mapping
        Keyword arguments of the constructor, race defaults included.
    typed : mapping
        Those of them that the user typed.
    """

    name: str
    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    typed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def of_torch(self) -> bool:
        """Whether it is one of torch's own, a reference line."""
        return self.name.startswith("torch:")

    @property
    def note(self) -> str:
        """What the figures must not be read without; empty for most."""
        if not self._splits:
            return ""
        lr = _COMPANION["lr"]
        return f"{self.name} steps the hidden matrices, AdamW (lr {lr:g}) the rest"

    @property
    def _splits(self) -> bool:
        return self.name.split(":")[-1].lower() in _MATRIX

    def at_rate(self, lr: float) -> Entrant:
        """Copy it with another rate."""
        return replace(self, settings={**self.settings, "lr": lr})

    def build(self, model: nn.Module) -> list[Optimizer]:
        """Make the optimizers that together step every parameter of `model`.

        Raises
        ------
        InputError
            If the constructor refuses the settings.
        """
        make = _table(self.of_torch)[self.name.lower()]
        try:
            if not self._splits:
                return [make(list(model.parameters()), **self.settings)]
            matrices, rest = _split(model)
            other = _table(self.of_torch)["torch:adamw" if self.of_torch else "adamw"]
            return [make(matrices, **self.settings), other(rest, **_COMPANION)]
        except (TypeError, ValueError, NotImplementedError) as error:
            parameters = list(inspect.signature(make).parameters.values())[1:]
            known = ", ".join(p.name for p in parameters if p.kind is not p.VAR_KEYWORD)
            raise InputError(
                f"--optimizers {_label(self.name, self.typed)}: {error}; settings: {known}"
            ) from error


def rate(optimizer: Optimizer) -> float:
    """Return the rate of its first group."""
    return float(optimizer.param_groups[0]["lr"])


def parse(text: str) -> list[Entrant]:
    """Read `adamw,diffgrad:lr=3e-3,torch:AdamW`.

    Parameters
    ----------
    text : str
        Names between commas, each followed by settings `:key=value`. Values are Python literals
        (`betas=(0.9,0.99)`), true, false, none, or words.

    Returns
    -------
    list of Entrant
        In the order typed, with distinct labels.

    Raises
    ------
    InputError
        If a name is unknown, a setting has no value, or an entrant comes twice.
    """
    entrants = [_entrant(entry) for entry in split(text)]
    for i, entrant in enumerate(entrants):
        if any(_same(entrant, other) for other in entrants[:i]):
            raise InputError(f"--optimizers has {entrant.name} twice with equal settings; drop one")
    short = [entrant.label for entrant in entrants]
    return [
        replace(e, label=_label(e.name, e.typed)) if short.count(e.label) > 1 else e
        for e in entrants
    ]


def split(text: str) -> list[str]:
    """Part a list at the commas that no bracket holds."""
    entries = [entry.strip() for entry in re.split(r",(?![^()\[\]]*[)\]])", text)]
    if not any(entries):
        raise InputError("--optimizers is empty; name at least one, for example adamw")
    return [entry for entry in entries if entry]


def known() -> list[str]:
    """List every name that can race: ours, then torch's."""
    return [_display(cls, torch) for torch in (False, True) for cls in _table(torch).values()]


def _entrant(entry: str) -> Entrant:
    head, *options = entry.split(":")
    if head.lower() == "torch" and options:
        head = f"torch:{options.pop(0)}"
    of_torch = head.lower().startswith("torch:")
    cls = _table(of_torch).get(head.lower())
    if cls is None:
        raise InputError(_unknown(head))
    typed = dict(setting(entry, option) for option in options)
    name = _display(cls, of_torch)
    label = _label(name, {key: value for key, value in typed.items() if key != "lr"})
    return Entrant(name, label, {**_settings(cls.__name__), **typed}, typed)


def setting(entry: str, option: str) -> tuple[str, Any]:
    """Read one `key=value`."""
    key, equals, value = option.partition("=")
    if not (equals and key.strip().isidentifier() and value.strip()):
        raise InputError(
            f"--optimizers {entry}: {option!r} is not a setting; write key=value, as in lr=3e-3"
        )
    word = value.strip()
    constant = {"true": True, "false": False, "none": None}
    if word.lower() in constant:
        return key.strip(), constant[word.lower()]
    try:
        return key.strip(), ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return key.strip(), word


def _settings(name: str) -> dict[str, Any]:
    return dict(SETTINGS.get(name.lower(), {}))


def _label(name: str, settings: Mapping[str, Any]) -> str:
    return ":".join([name, *(f"{key}={value}" for key, value in settings.items())])


def _same(one: Entrant, other: Entrant) -> bool:
    return one.name == other.name and one.settings == other.settings


def _table(of_torch: bool) -> dict[str, type[Optimizer]]:
    """Map the lower-case names that a user may type to classes."""
    module = importlib.import_module("torch.optim" if of_torch else "thalweg.optim")
    prefix = "torch:" if of_torch else ""
    return {
        prefix + name.lower(): cls
        for name, cls in vars(module).items()
        if isinstance(cls, type)
        and issubclass(cls, Optimizer)
        and name != "Optimizer"
        and not name.startswith("_")
        and name.lower() not in _NOT_RACED
    }


def _display(cls: type[Optimizer], of_torch: bool) -> str:
    return f"torch:{cls.__name__}" if of_torch else cls.__name__.lower()


def _unknown(name: str) -> str:
    bare = name.split(":")[-1].lower()
    if bare in _NOT_RACED:
        return f"{name} cannot race: {_NOT_RACED[bare]}; leave it out"
    names = {each.lower(): each for each in known()}
    near = get_close_matches(name.lower(), names, n=3) or get_close_matches(bare, names, n=3)
    if near:
        return f"unknown optimizer {name!r}; did you mean {' or '.join(names[n] for n in near)}?"
    return f"unknown optimizer {name!r}; choose from {', '.join(names.values())}"


def _split(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Part the hidden matrices from the rest (convolutions, biases, the last layer)."""
    matrices = [p for p in model.parameters() if p.ndim == 2][:-1]
    chosen = {id(p) for p in matrices}
    return matrices, [p for p in model.parameters() if id(p) not in chosen]
