"""Optimizer steps for numpy arrays, in place: the rules of `thalweg.optim` without torch.

One class a rule, with the hyperparameters of its namesake in `thalweg.optim` and the same options
of the engine (`weight_decay`, `decay`, `mask`, `mask_scale`, `maximize`, `clip_norm`, `clip_value`,
`update_sign`, `update_sign_seed`, `on_nonfinite`), and `state_dtype="bfloat16"` or `"int8"`. numpy
has no bfloat16, so such state is an array of uint16, the upper halves of float32; `dequantize`
reads either. `step` takes the loss for the rules that ask for it, `eval` and `train` take the
parameters.

Besides, methods that take functions for gradients, or several values: `GradientSliding`,
`ModelBased` and `ProxyProx`, as in `thalweg.optim`; and `GinzburgLandau`, which needs no gradient.

Examples
--------
>>> import numpy as np
>>> from thalweg import steps
>>> x = np.array([1.0, -2.0])
>>> rule = steps.Lion(lr=0.5)
>>> rule.step([x], [np.array([3.0, -1.0])])
>>> x.tolist()
[0.5, -1.5]
"""

from __future__ import annotations

from typing import Any

from thalweg._registry import rules
from thalweg.steps.ginzburg_landau import GinzburgLandau
from thalweg.steps.gradient_sliding import GradientSliding
from thalweg.steps.model_based import ModelBased
from thalweg.steps.precision import dequantize
from thalweg.steps.proxy_prox import ProxyProx
from thalweg.steps.rule import Rule, make

_classes = {rule.class_name: make(rule) for rule in rules().values()}
__all__ = [
    "GinzburgLandau",
    "GradientSliding",
    "ModelBased",
    "ProxyProx",
    "Rule",
    "dequantize",
    *_classes,
]


def __getattr__(name: str) -> Any:
    try:
        return _classes[name]
    except KeyError:
        raise AttributeError(
            f"thalweg.steps has no rule {name!r}; it has {', '.join(_classes)}"
        ) from None


def __dir__() -> list[str]:
    return sorted(__all__)
