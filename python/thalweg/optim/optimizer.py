"""The base of every optimizer: torch's contract on one side, one native call on the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal, TypedDict

import torch
from torch import Tensor
from typing_extensions import Unpack, override

from thalweg import _core
from thalweg._registry import Rule, rules
from thalweg._views import exchange
from thalweg.optim import plain
from thalweg.optim.host import TorchHost

Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class EngineOptions(TypedDict, total=False):
    """What every optimizer takes besides its rule's hyperparameters; see `thalweg.optim`."""

    decay: Literal["coupled", "decoupled", "cautious"]
    mask: Literal["cautious", "grams"] | None
    mask_scale: Literal["mean", "count_plus_one"]
    maximize: bool
    clip_norm: float | None
    clip_value: float | None
    on_nonfinite: Literal["propagate", "skip", "raise"]
    state_dtype: Literal["float32"]
    foreach: bool | None
    fused: bool | None
    capturable: bool
    differentiable: bool


class Optimizer(torch.optim.Optimizer):
    """Base of the optimizers; a subclass names its rule and holds its plain reference."""

    rule: ClassVar[str]
    eager_state: ClassVar[bool] = False
    # Whether a sparse gradient means the same as the dense one of its values.
    sparse: ClassVar[bool] = False
    # Whether a step needs the loss that the closure returns.
    needs_loss: ClassVar[bool] = False
    # The formula in plain torch: (x, g, *states, **context) -> (step, *new states). The context
    # holds the hyperparameters, `t`, and what else `plain` knows; scalars are changed in place.
    reference: ClassVar[Callable[..., tuple[Tensor, ...]]]
    # From the masked direction to the step, with the hyperparameters; only for rules on matrices.
    finish: ClassVar[Callable[..., Tensor] | None] = None
    # From (x, decayed x, step) to the new x, with the hyperparameters; x - step if there is none.
    retract: ClassVar[Callable[..., Tensor] | None] = None
    # The rate of decoupled decay, from the context.
    rate: ClassVar[Callable[..., float]] = staticmethod(lambda lr, **_: float(lr))
    # From the gradients of all parameters to more context; only for rules that look at all.
    shared: ClassVar[Callable[[list[Tensor]], dict[str, Any]] | None] = None

    def __init__(self, params: Params, hyper: dict[str, Any], engine: EngineOptions) -> None:
        options: dict[str, Any] = dict(engine)
        self.on_nonfinite: str = options.pop("on_nonfinite", "propagate")
        defaults = {**self._engine_defaults(), **hyper}
        unknown = sorted(set(options) - set(defaults))
        if unknown:
            raise TypeError(
                f"{type(self).__name__} takes no argument {unknown[0]!r}; "
                f"it takes {', '.join({**hyper, **defaults})}, on_nonfinite"
            )
        defaults.update(options)
        self._check(defaults)
        # torch.amp.GradScaler then leaves unscaling, and skipping, to the step.
        self._step_supports_amp_scaling = True
        super().__init__(params, defaults)

    @classmethod
    def _rule(cls) -> Rule:
        return rules()[cls.rule]

    @classmethod
    def _engine_defaults(cls) -> dict[str, Any]:
        rule = cls._rule()
        return {
            "weight_decay": rule.weight_decay,
            "decay": rule.decay,
            "mask": None,
            "mask_scale": "mean",
            "maximize": False,
            "clip_norm": None,
            "clip_value": None,
            "state_dtype": "float32",
            "foreach": None,
            "fused": None,
            "capturable": False,
            "differentiable": False,
        }

    def _check(self, group: dict[str, Any]) -> None:
        """Raise for options outside their range; nothing is changed."""
        lr = group["lr"]
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError(
                f"lr must be a number or a tensor of one element, got one of shape "
                f"{tuple(lr.shape)}; pass lr.mean() or a float"
            )
        _core.optim_check(self.rule, group, self.on_nonfinite)
        if group["state_dtype"] != "float32":
            raise ValueError(
                f"state_dtype must be 'float32', got {group['state_dtype']!r}; "
                "float64 parameters keep float64 state"
            )
        if group["foreach"] and group["fused"]:
            raise RuntimeError("foreach and fused must not both be True; leave out one of them")
        for flag in ("capturable", "differentiable"):
            if group[flag]:
                raise NotImplementedError(f"{flag}=True is not supported; leave it False")

    @override
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if isinstance(param_group, dict):
            self._check({**self.defaults, **param_group})
        super().add_param_group(param_group)
        if self.eager_state:
            host = TorchHost(self)
            group = self.param_groups[-1]
            missing = [("step", "counter", 0.0, 1), *_core.optim_states(self.rule, group)]
            for p in group["params"]:
                self.state[p] = host.init(p, missing, group)

    def eval(self) -> None:
        """Put the point to use into the parameters.

        Nothing changes where gradients are taken at that point, as most rules do.
        """
        self._exchange("eval")

    def train(self) -> None:
        """Put the point where gradients are taken back into the parameters."""
        self._exchange("train")

    @torch.no_grad()
    def _exchange(self, mode: Literal["eval", "train"]) -> None:
        for group in self.param_groups:
            views = _core.optim_traits(self.rule, group)["views"]
            if views is None or group["train_mode"] is (mode == "train"):
                continue
            for p in group["params"]:
                if state := self.state.get(p):
                    buffers = {"param": p.to(state_dtype(p)), **state}
                    for name, value in exchange(views[mode], buffers).items():
                        (p if name == "param" else state[name]).copy_(value)
            group["train_mode"] = mode == "train"

    @override
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Reevaluates the model and returns the loss.

        Returns
        -------
        loss
            What `closure` returned, else None.

        Raises
        ------
        ValueError, TypeError, NotImplementedError
            For options, shapes, types or memory that do not fit; parameters and state are then as
            before.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        scale, found = getattr(self, "grad_scale", None), getattr(self, "found_inf", None)
        if found is not None and float(found) != 0.0:
            return loss
        scale = 1.0 if scale is None else float(scale)
        for group in self.param_groups:
            # The core reads the rest.
            if group["state_dtype"] != "float32" or group["differentiable"]:
                self._check(group)
            if group.get("train_mode", True) is not True:
                raise ValueError(
                    f"train_mode must be True for a step of {type(self).__name__}, got "
                    f"{group['train_mode']!r}; call optimizer.train() first"
                )
        value = None
        if self.needs_loss and loss is not None:
            value = float(loss.detach() if isinstance(loss, Tensor) else loss)
        stepped = None
        if not torch.compiler.is_compiling():
            groups = [(self.rule, group, group["params"], None) for group in self.param_groups]
            host = TorchHost(self)
            stepped = _core.optim_step(groups, self.state, host, scale, self.on_nonfinite, value)
        if stepped is None:
            with torch.no_grad():
                plain.step(self, scale, value)
        elif stepped[0]:
            _bump_versions(stepped[0])
        return loss

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state dict of this class, or of torch's class of the same name.

        As torch's, except that state keeps its own type: float32 moments of bfloat16 parameters
        are not rounded on the way.
        """
        loaded: dict[str, Any] = {}

        def capture(_: torch.optim.Optimizer, final: dict[str, Any]) -> None:
            loaded.update(final)

        handle = self.register_load_state_dict_pre_hook(capture)
        try:
            super().load_state_dict(state_dict)
        finally:
            handle.remove()
        saved = loaded["state"]
        numbers = [n for group in loaded["param_groups"] for n in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        scalars = {
            p: {name for name, *_ in _core.optim_traits(self.rule, group)["scalars"]}
            for group in self.param_groups
            for p in group["params"]
        }
        for number, p in zip(numbers, params, strict=True):
            for key, value in saved.get(number, {}).items():
                if key in scalars[p]:
                    self.state[p][key] = value.detach().cpu().clone()
                elif isinstance(value, Tensor) and value.is_floating_point() and key != "step":
                    dtype = state_dtype(p)
                    if self.state[p][key].dtype != dtype:
                        self.state[p][key] = value.detach().to(p.device, dtype, copy=True)

    @override
    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {**state, "on_nonfinite": self.on_nonfinite}

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("on_nonfinite", "propagate")
        self._step_supports_amp_scaling = True
        defaults = {**self._rule().defaults(), **self._engine_defaults()}
        for group in self.param_groups:
            # A checkpoint of torch's names the form of decay by a switch.
            if group.get("decoupled_weight_decay"):
                group.setdefault("decay", "decoupled")
            for key, value in defaults.items():
                group.setdefault(key, value)
            for p in group["params"]:
                step = self.state.get(p, {}).get("step")
                if step is not None and not isinstance(step, Tensor):
                    self.state[p]["step"] = torch.tensor(float(step), dtype=torch.float32)


def named_decay(decoupled: bool, engine: EngineOptions) -> bool:
    """Bring torch's switch `decoupled_weight_decay` and the option `decay` to one meaning.

    Raises
    ------
    ValueError
        If they contradict each other.
    """
    if decoupled and engine.setdefault("decay", "decoupled") != "decoupled":
        raise ValueError(
            f"decoupled_weight_decay must be False with decay={engine['decay']!r}, got True; leave "
            "it out"
        )
    return engine.get("decay") == "decoupled"


def state_dtype(p: Tensor) -> torch.dtype:
    """Type of the state of a parameter: its own if that is wide, else float32."""
    if p.dtype in (torch.float16, torch.bfloat16):
        return torch.float32
    if p.dtype == torch.complex32:
        return torch.complex64
    return p.dtype


def _bump_versions(tensors: list[Tensor]) -> None:
    """Tell autograd that tensors changed under it."""
    try:
        torch.autograd.graph.increment_version(tensors)
    except RuntimeError:
        # Tensors made under inference mode keep no version.
        torch.autograd.graph.increment_version([t for t in tensors if not t.is_inference()])


__all__ = ["EngineOptions", "Optimizer", "Params", "Unpack"]
