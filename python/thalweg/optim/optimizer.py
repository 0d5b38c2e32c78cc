"""The base of every optimizer: torch's contract on one side, one native call on the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict

import torch
from torch import Tensor
from typing_extensions import Unpack, override

from thalweg import _core
from thalweg._registry import Rule, rules
from thalweg._views import exchange
from thalweg.optim import checkpoint, compiled, kernels, plain, precision, projected
from thalweg.optim.host import TorchHost
from thalweg.optim.stand_in import Row, native_step
from thalweg.optim.whole import is_distributed

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from thalweg.optim.telemetry import Telemetry

# Groups, each with those of its parameters that are meant.
Groups = list[tuple[dict[str, Any], list[Tensor]]]
Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class EngineOptions(TypedDict, total=False):
    """What every optimizer takes besides its rule's hyperparameters; see `thalweg.optim`."""

    decay: Literal["coupled", "decoupled", "cautious"]
    mask: Literal["cautious", "grams"] | None
    mask_scale: Literal["mean", "count_plus_one"]
    maximize: bool
    clip_norm: float | None
    clip_value: float | None
    update_sign: float | None
    update_sign_seed: int
    on_nonfinite: Literal["propagate", "skip", "raise"]
    state_dtype: Literal["float32", "bfloat16", "int8"]
    rounding: Literal["nearest", "stochastic", "kahan"]
    foreach: bool | None
    fused: bool | None
    capturable: bool
    differentiable: bool
    project: Callable[[Tensor], Tensor] | Mapping[Tensor, Callable[[Tensor], Tensor]] | None


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
    shared: ClassVar[Callable[..., dict[str, Any]] | None] = None

    def __init__(self, params: Params, hyper: dict[str, Any], engine: EngineOptions) -> None:
        options: dict[str, Any] = dict(engine)
        on_nonfinite = options.pop("on_nonfinite", "propagate")
        project = projected.checked(options.pop("project", None))
        defaults = {**self._engine_defaults(), **hyper}
        fixed = {"rule": self.rule, "version": checkpoint.VERSION}
        unknown = sorted(set(options) - set(defaults))
        if unknown:
            raise TypeError(
                f"{type(self).__name__} takes no argument {unknown[0]!r}; "
                f"it takes {', '.join({**hyper, **defaults})}, on_nonfinite, project"
            )
        self._start(params, {**defaults, **options, **fixed}, on_nonfinite, project)

    def _start(
        self, params: Any, defaults: dict[str, Any], on_nonfinite: str, project: Any = None
    ) -> None:
        self.on_nonfinite = on_nonfinite
        # Not in the groups: these are saved in checkpoints.
        self.project = project
        if defaults:
            self._check(defaults)
        self._begin()
        super().__init__(params, defaults)

    def _begin(self) -> None:
        """Set what neither pickles nor copies carry."""
        # torch.amp.GradScaler then leaves unscaling, and skipping, to the step.
        self._step_supports_amp_scaling = True
        self._number = compiled.register(self)
        self._telemetry: Telemetry | None = None
        # Of the step that is under way, for rules that ask for it.
        self._loss: float | None = None
        self._backward_hooks: list[RemovableHandle] = []
        self._params: list[Tensor] = []

    @classmethod
    def _rule(cls) -> Rule:
        return rules()[cls.rule]

    @classmethod
    def _engine_defaults(cls) -> dict[str, Any]:
        return engine_defaults(cls._rule())

    def _check(self, group: dict[str, Any]) -> None:
        """Raise for options outside their range; nothing is changed."""
        lr = group["lr"]
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError(
                f"lr must be a number or a tensor of one element, got one of shape "
                f"{tuple(lr.shape)}; pass lr.mean() or a float"
            )
        _core.optim_check(group["rule"], group, self.on_nonfinite)
        if group["foreach"] and group["fused"]:
            raise RuntimeError("foreach and fused must not both be True; leave out one of them")
        for flag in ("capturable", "differentiable"):
            if group[flag]:
                raise NotImplementedError(f"{flag}=True is not supported; leave it False")

    @override
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if isinstance(param_group, dict):
            rule: Any = param_group.get("rule", self.defaults.get("rule"))
            if "rule" in self.defaults and rule != self.rule:
                raise ValueError(
                    f"rule of a group must be {self.rule!r}, got {rule!r}; Routed takes several"
                )
            # Also fills a group of Routed, which has no defaults of its own.
            param_group = {**defaults_of(rule), **self.defaults, **param_group}
            self._check(param_group)
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        self._params += group["params"]
        if class_of(self, group).eager_state:
            host = TorchHost(self)
            scalars = _core.optim_traits(group["rule"], group)["scalars"]
            states = _core.optim_states(group["rule"], group)
            missing = [("step", "counter", 0.0, 1), *states, *scalars]
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
            views = _core.optim_traits(group["rule"], group)["views"]
            if views is None or group["train_mode"] is (mode == "train"):
                continue
            for p in group["params"]:
                if state := self.state.get(p):
                    buffers = {"param": p.to(state_dtype(p)), **state}
                    for name, value in exchange(views[mode], buffers).items():
                        # Not `put`: both are shards, where they are distributed.
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
        traceable = torch.compiler.is_compiling() and self.project is None
        if traceable and compiled.traced_step(self):
            return loss
        scale = self._scale()
        if scale is not None:
            for group in self.param_groups:
                # The core reads the rest.
                if group["differentiable"]:
                    self._check(group)
                self._check_mode(group)
            self._loss = None
            if self.needs_loss and loss is not None:
                self._loss = float(loss.detach() if isinstance(loss, Tensor) else loss)
            self._advance([(group, group["params"]) for group in self.param_groups], scale)
        return loss

    def _scale(self) -> float | None:
        """What gradients are divided by; None where GradScaler found one that is infinite."""
        scale, found = getattr(self, "grad_scale", None), getattr(self, "found_inf", None)
        if found is not None and float(found) != 0.0:
            return None
        return 1.0 if scale is None else float(scale)

    def _advance(self, groups: Groups, scale: float, whole: bool = True) -> None:
        """Step those of `groups` that have gradients; `whole` says that these are all."""
        self._move(groups, scale, whole)
        if self.project is not None:
            projected.apply(self.project, [p for _, params in groups for p in params])

    def _move(self, groups: Groups, scale: float, whole: bool) -> None:
        stepped = None
        state: dict[Tensor, Any] = self.state
        if not whole:
            # The core looks through all of what it gets.
            state = {p: self.state[p] for _, params in groups for p in params if p in self.state}
        if not torch.compiler.is_compiling() and not kernels.INTERPRETED:
            stepped = _core.optim_step(
                [(group["rule"], group, params, None) for group, params in groups],
                state,
                TorchHost(self),
                scale,
                self.on_nonfinite,
                self._telemetry is not None,
                self._loss,
            )
        if stepped is not None:
            if not whole:
                self.state.update(state)
            self._after(stepped[0], stepped[3], None, whole)
            return
        if any(is_distributed(p) for _, params in groups for p in params):
            from thalweg.optim import sharded

            if sharded.step(self, groups, scale):
                return
        rows = [Row(g, p, p, p.grad) for g, params in groups for p in params if p.grad is not None]
        with torch.no_grad():
            plain.step(self, rows, scale)
        if self._telemetry is not None and not whole:
            self._telemetry.reopen()

    def _step_rows(self, rows: list[Row]) -> None:
        """Step stand-ins of parameters, for a compiled graph."""
        scale = self._scale()
        if scale is None:
            return
        for row in rows:
            self._check(row.group)
            self._check_mode(row.group)
        with torch.no_grad():
            if not native_step(self, rows, scale):
                plain.step(self, rows, scale)

    def _check_mode(self, group: dict[str, Any]) -> None:
        if group.get("train_mode", True) is not True:
            raise ValueError(
                f"train_mode must be True for a step of {class_of(self, group).__name__}, got "
                f"{group['train_mode']!r}; call optimizer.train() first"
            )

    def _after(
        self,
        stepped: list[Tensor],
        observed: list[Any],
        owners: dict[Tensor, Tensor] | None = None,
        whole: bool = True,
    ) -> None:
        """Tell autograd and the recorder, if there is one, what was stepped."""
        if not stepped:
            return
        bump_versions(stepped)
        if self._telemetry is not None:
            params = stepped if owners is None else [owners[p] for p in stepped]
            self._telemetry.record(params, observed, whole)

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state dict of this class, or of torch's class of the same name.

        As torch's, except that `state_dtype` and `rounding` stay those of this optimizer, and
        state that was saved in another precision is converted, to nearest: float32 moments of
        bfloat16 parameters are not rounded on the way, and what int8 or bfloat16 state stands for
        is kept exactly in float32; and that state goes to the parameter of the same name where
        both sides have names, whatever the order and the groups.

        Raises
        ------
        ValueError
            For a checkpoint of another rule, of a later version, or of other parameters; nothing
            is then loaded.
        """
        loaded: dict[str, Any] = {}

        def capture(_: torch.optim.Optimizer, final: dict[str, Any]) -> dict[str, Any]:
            loaded.update(checkpoint.fitted(self, final))
            return loaded

        precisions = [(group["state_dtype"], group["rounding"]) for group in self.param_groups]
        handle = self.register_load_state_dict_pre_hook(capture)
        try:
            super().load_state_dict(state_dict)
        finally:
            handle.remove()
        saved = loaded["state"]
        numbers = [n for group in loaded["param_groups"] for n in group["params"]]
        for group, (state, rounding) in zip(self.param_groups, precisions, strict=True):
            group["state_dtype"], group["rounding"] = state, rounding
        params = [(group, p) for group in self.param_groups for p in group["params"]]
        for number, (group, p) in zip(numbers, params, strict=True):
            if number in saved:
                traits = _core.optim_traits(group["rule"], group)
                scalars = {name for name, *_ in traits["scalars"]}
                precision.load(self.state[p], saved[number], p, group, state_dtype(p), scalars)

    @override
    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {**state, "on_nonfinite": self.on_nonfinite, "project": self.project}

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("on_nonfinite", "propagate")
        self.__dict__.setdefault("project", None)
        if "_number" not in self.__dict__:
            self._begin()
        self._params = [p for group in self.param_groups for p in group["params"]]
        for group in self.param_groups:
            # A checkpoint of torch's names the form of decay by a switch.
            if group.get("decoupled_weight_decay"):
                group.setdefault("decay", "decoupled")
            for key, value in defaults_of(group.get("rule") or self.rule).items():
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


def engine_defaults(rule: Rule) -> dict[str, Any]:
    """Options of the engine, as a rule has them by default."""
    return {
        "weight_decay": rule.weight_decay,
        "decay": rule.decay,
        "mask": None,
        "mask_scale": "mean",
        "maximize": False,
        "clip_norm": None,
        "clip_value": None,
        "update_sign": None,
        "update_sign_seed": 0,
        "state_dtype": "float32",
        "rounding": "nearest",
        "foreach": None,
        "fused": None,
        "capturable": False,
        "differentiable": False,
    }


def defaults_of(rule: str) -> dict[str, Any]:
    """Everything that a group of a rule holds besides its parameters."""
    found = rules()[rule]
    fixed = {"rule": rule, "version": checkpoint.VERSION}
    return {**found.defaults(), **engine_defaults(found), **fixed}


@cache
def _class(rule: str) -> type[Optimizer]:
    found: type[Optimizer] = getattr(
        import_module(f"thalweg.optim.{rule}"), rules()[rule].class_name
    )
    return found


def class_of(optimizer: Optimizer, group: dict[str, Any]) -> type[Optimizer]:
    """The class whose rule steps a group: the optimizer's own, unless it has several."""
    rule = group["rule"]
    own = type(optimizer)
    return own if getattr(own, "rule", None) == rule else _class(rule)


def state_dtype(p: Tensor) -> torch.dtype:
    """Type of the state of a parameter: its own if that is wide, else float32."""
    if p.dtype in (torch.float16, torch.bfloat16):
        return torch.float32
    if p.dtype == torch.complex32:
        return torch.complex64
    return p.dtype


def bump_versions(tensors: list[Tensor]) -> None:
    """Tell autograd that tensors changed under it."""
    try:
        torch.autograd.graph.increment_version(tensors)
    except RuntimeError:
        # Tensors made under inference mode keep no version.
        torch.autograd.graph.increment_version([t for t in tensors if not t.is_inference()])


__all__ = ["EngineOptions", "Groups", "Optimizer", "Params", "Unpack"]
