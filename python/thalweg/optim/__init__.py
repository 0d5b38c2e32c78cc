"""Optimizer steps for torch: one fused pass over memory for every rule.

Each class is a `torch.optim.Optimizer`. Besides the hyperparameters of its rule, each takes the
options of the engine, by keyword:

weight_decay : float >= 0
    Strength of the decay; the default is the rule's.
decay : {"coupled", "decoupled", "cautious"}
    `g + weight_decay * x` before any state sees it; `x * (1 - lr * weight_decay)`; or decoupled
    where the step already moves `x` towards zero (Chen et al. 2025, arXiv:2510.12402).
mask : {None, "cautious", "grams"}
    Move only coordinates whose step agrees with the gradient, and those by more (Liang et al.
    2024, arXiv:2411.16085); or give the step the sign of the gradient (Cao et al. 2024,
    arXiv:2412.17107). Rules on matrices mask the direction before it is orthogonalized.
mask_scale : {"mean", "count_plus_one"}
    Factor of a cautious step: `1 / max(share, 1e-3)` or `numel / (count + 1)`.
maximize : bool
    Ascend.
clip_norm : float > 0, optional
    Largest norm of all gradients together, applied inside the step; `.grad` stays as it is.
clip_value : float > 0, optional
    Largest absolute value of a gradient's element, after `clip_norm`.
update_sign : float in [0, 1], optional
    Share of the columns of each matrix (the second axis, presynaptic neurons) whose updates go the
    other way, after rule and mask: curl descent with any rule (Ninou et al. 2025,
    arXiv:2510.02765). Vectors keep their sign, and so does decay. The state "update_sign" holds -1
    and 1.
update_sign_seed : int
    Seed of the choice of columns.
on_nonfinite : {"propagate", "skip", "raise"}
    What a NaN or infinite gradient does; one policy for the whole optimizer.
state_dtype : {"float32", "bfloat16", "int8"}
    How state is kept: in float32 (float64 for float64 parameters); in two bytes; or in one byte and
    a scale for each block of 256, `optimizer.state[p]["exp_avg_scale"]` beside `"exp_avg"`, which
    `dequantize` reads. Both round stochastically; docs/state.md says how and what it costs.
rounding : {"nearest", "stochastic", "kahan"}
    How bfloat16 and float16 parameters are rounded after a step; wider ones are stored exactly.
    Stochastically: right on average; "kahan": to nearest, with the remainder kept in a state of two
    bytes, `"compensation"`.
foreach, fused : bool, optional
    Taken for compatibility with `torch.optim`, stored, and without effect: every step is fused.
capturable, differentiable : bool
    Only False.

Some rules take gradients beside the point to use, or keep an average of their iterates:
`optimizer.eval()` puts that point into the parameters, `optimizer.train()` goes back, and a step in
between is an error. Other rules let both be.

Parameters on other devices than the CPU, and tensor subclasses, are stepped by each rule's plain
torch reference, with the same options; shards of DTensors natively where the rule allows it.

Besides: `Routed`, several rules in one optimizer; `fuse_backward` and `unfuse_backward`, steps
inside the backward pass; `Telemetry`, what each step did; `clip_grad_norm_`,
`clip_grad_pixelwise_` and `clip_pixels`, clipping outside the step.

Methods that ask for more than one gradient step with a closure, `optimizer.step(closure)`: a
function that computes the loss of the same minibatch wherever the parameters are, and returns it.
It may call `backward` itself, as one does that accumulates over micro-batches or scales its loss;
otherwise the method does. Gradients are cleared before each call, and the parameters are where they
were, bit for bit, when it raises. `SAM` and `GradientRegularization` wrap any optimizer, of torch's
too, and so does `OptEx`; `SMB`, `SPIDER` and `O2NC` step by themselves. `ProxyProx` and
`GradientSliding` take two closures, a dear and a cheap one; `ModelBased` stands steps that are too
long.
"""

from __future__ import annotations

from importlib import import_module

from thalweg._extras import require
from thalweg._registry import rules

require("torch")

from thalweg.optim.optimizer import Optimizer  # noqa: E402
from thalweg.optim.precision import dequantize  # noqa: E402

# One file a rule, named like the rule; `__init__.pyi` lists them for type checkers.
for _rule in rules().values():
    globals()[_rule.class_name] = getattr(
        import_module(f"thalweg.optim.{_rule.name}"), _rule.class_name
    )

from thalweg.optim.clipping import (  # noqa: E402
    clip_grad_norm_,
    clip_grad_pixelwise_,
    clip_pixels,
)
from thalweg.optim.drift import drift_regularized, drift_regularized_game  # noqa: E402
from thalweg.optim.fused_backward import fuse_backward, unfuse_backward  # noqa: E402
from thalweg.optim.gradient_regularization import GradientRegularization  # noqa: E402
from thalweg.optim.gradient_sliding import GradientSliding  # noqa: E402
from thalweg.optim.model_based import ModelBased  # noqa: E402
from thalweg.optim.o2nc import O2NC  # noqa: E402
from thalweg.optim.optex import OptEx  # noqa: E402
from thalweg.optim.proxy_prox import ProxyProx  # noqa: E402
from thalweg.optim.radius_reading import RadiusReading  # noqa: E402
from thalweg.optim.routed import Routed  # noqa: E402
from thalweg.optim.sam import SAM  # noqa: E402
from thalweg.optim.smb import SMB  # noqa: E402
from thalweg.optim.softmax_radius import SoftmaxRadius  # noqa: E402
from thalweg.optim.spider import SPIDER  # noqa: E402
from thalweg.optim.telemetry import Reading, Telemetry  # noqa: E402

__all__ = [
    "O2NC",
    "SAM",
    "SMB",
    "SPIDER",
    "GradientRegularization",
    "GradientSliding",
    "ModelBased",
    "OptEx",
    "Optimizer",
    "ProxyProx",
    "RadiusReading",
    "Reading",
    "Routed",
    "SoftmaxRadius",
    "Telemetry",
    "clip_grad_norm_",
    "clip_grad_pixelwise_",
    "clip_pixels",
    "dequantize",
    "drift_regularized",
    "drift_regularized_game",
    "fuse_backward",
    "unfuse_backward",
    *(rule.class_name for rule in rules().values()),
]
