"""Several rules in one optimizer, each for the parameters that suit it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from thalweg.optim.adamw import AdamW
from thalweg.optim.muon import Muon
from thalweg.optim.optimizer import Optimizer

Key = str | Callable[[str, Tensor], bool]
Factory = Callable[..., Optimizer]
Route = dict[Any, Factory]
_EMBEDDINGS = (torch.nn.Embedding, torch.nn.EmbeddingBag)


class Routed(Optimizer):
    """Several rules in one optimizer, by default Muon for matrices and AdamW for the rest.

    Parameters
    ----------
    params : Module, iterable of (name, Tensor), or iterable of Tensor
        What to optimize. A module also tells its embeddings.
    route : dict, default {"matrix": Muon, "rest": AdamW}
        From kind of parameter to what makes its optimizer: a class of `thalweg.optim`, or a
        function from parameters to an instance, such as `lambda p: Muon(p, lr=0.02)`. The first
        key that matches counts. A key is

        - "matrix": two axes or more, real, and no embedding;
        - "embedding": weight of `nn.Embedding` or `nn.EmbeddingBag`, where `params` is a module;
        - "vector": at most one axis;
        - "rest": every parameter;
        - a pattern of names, such as "lm_head.*" or "*.bias", with `*`, `?` and `[...]`;
        - a function of name and parameter to bool.
    **options
        Passed to every factory: `lr=3e-4`, `weight_decay=0.1`.

    Raises
    ------
    ValueError
        If a parameter matches no key, a pattern matches no parameter, or policies for NaN differ.
    TypeError
        If a key or a factory is of another kind.

    Notes
    -----
    One optimizer in every respect: one native call a step, `clip_norm` over all parameters,
    one `state_dict`; schedulers see `param_groups`, one for each key that matched (and for each
    group of its optimizer), which say their `rule`. `add_param_group` routes what it is given, or
    takes a group whose `rule` is named.

    References
    ----------
    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Linear(4, 4))
    >>> optimizer = Routed(model, lr=3e-4)
    >>> [(group["rule"], group["param_names"]) for group in optimizer.param_groups]
    [('muon', ['1.weight']), ('adamw', ['0.weight', '1.bias'])]
    """

    def __init__(
        self,
        params: torch.nn.Module | Iterable[tuple[str, Tensor]] | Iterable[Tensor],
        route: Route | None = None,
        **options: Any,
    ) -> None:
        self._route = dict(route) if route is not None else {"matrix": Muon, "rest": AdamW}
        self._options = options
        for key, factory in self._route.items():
            if not (isinstance(key, str) or callable(key)) or not callable(factory):
                raise TypeError(
                    "route must map words, patterns of names or functions to classes of "
                    f"thalweg.optim, got {key!r}: {factory!r}; "
                    "try {'matrix': Muon, 'rest': AdamW}"
                )
        embeddings: set[Tensor] = set()
        if isinstance(params, torch.nn.Module):
            found = (m for m in params.modules() if isinstance(m, _EMBEDDINGS))
            embeddings = {m.weight for m in found}
            params = params.named_parameters()
        groups, policies = self._groups(list(params), embeddings, strict=True)
        if len(policies) > 1:
            raise ValueError(
                f"on_nonfinite must be one policy for all, got {', '.join(sorted(policies))}; "
                "pass it to Routed"
            )
        self._start(groups, {}, policies.pop())

    def _groups(
        self, params: list[Any], embeddings: set[Tensor], strict: bool
    ) -> tuple[list[dict[str, Any]], set[str]]:
        """Groups of `params`, and the policies for NaN that their optimizers have."""
        if not params:
            raise ValueError("params must hold a parameter, got none; pass model.parameters()")
        chosen: dict[Any, list[Any]] = {key: [] for key in self._route}
        for item in params:
            name, p = item if isinstance(item, tuple) else (None, item)
            key = next((k for k in self._route if _matches(k, name, p, embeddings)), None)
            if key is None:
                raise ValueError(
                    f"route must match every parameter, got none for {name or 'one'} of shape "
                    f"{tuple(p.shape)}; add 'rest': AdamW"
                )
            chosen[key].append(item)
        words = ("matrix", "embedding", "vector", "rest")
        groups: list[dict[str, Any]] = []
        policies: set[str] = set()
        for key, members in chosen.items():
            if not members and strict and isinstance(key, str) and key not in words:
                raise ValueError(
                    f"route must match a parameter with every pattern, got none for {key!r}; "
                    "correct it, or put it before what matches first"
                )
            if not members:
                continue
            optimizer = self._route[key](members, **self._options)
            if not isinstance(optimizer, Optimizer):
                raise TypeError(
                    f"route[{key!r}] must make an optimizer of thalweg.optim, got "
                    f"{type(optimizer).__name__}; try AdamW"
                )
            groups += optimizer.param_groups
            policies.add(optimizer.on_nonfinite)
        return [_named(group) for group in groups], policies

    @override
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if "rule" in param_group:
            super().add_param_group(param_group)
            return
        members = param_group["params"]
        members = [members] if isinstance(members, Tensor) else list(members)
        groups, _ = self._groups(members, set(), strict=False)
        extra = {key: value for key, value in param_group.items() if key != "params"}
        for group in groups:
            super().add_param_group({**group, **extra})


def _matches(key: Any, name: str | None, p: Tensor, embeddings: set[Tensor]) -> bool:
    match key:
        case "matrix":
            return p.dim() >= 2 and not p.is_complex() and p not in embeddings
        case "embedding":
            return p in embeddings
        case "vector":
            return p.dim() <= 1
        case "rest":
            return True
    if name is None:
        raise ValueError(
            f"params must have names for the key {key!r} of route, got none; pass the module, or "
            "model.named_parameters()"
        )
    return fnmatchcase(name, key) if isinstance(key, str) else bool(key(name, p))


def _named(group: dict[str, Any]) -> dict[str, Any]:
    """A group as a constructor takes it: parameters with their names."""
    group = dict(group)
    names = group.pop("param_names", None)
    if names is not None:
        group["params"] = list(zip(names, group["params"], strict=True))
    return group


__all__ = ["Routed"]
