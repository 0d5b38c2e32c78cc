# Written by `make stubs`; do not edit.

from thalweg.steps.ginzburg_landau import GinzburgLandau as GinzburgLandau
from thalweg.steps.gradient_sliding import GradientSliding as GradientSliding
from thalweg.steps.model_based import ModelBased as ModelBased
from thalweg.steps.precision import dequantize as dequantize
from thalweg.steps.proxy_prox import ProxyProx as ProxyProx
from thalweg.steps.rule import Rule as Rule

class SGD(Rule):
    def __init__(
        self,
        lr: float = ...,
        momentum: float = ...,
        dampening: float = ...,
        nesterov: bool = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class Adam(Rule):
    def __init__(
        self,
        lr: float = ...,
        betas: tuple[float, float] = ...,
        eps: float = ...,
        amsgrad: bool = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class AdamW(Rule):
    def __init__(
        self,
        lr: float = ...,
        betas: tuple[float, float] = ...,
        eps: float = ...,
        amsgrad: bool = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class Adamax(Rule):
    def __init__(
        self,
        lr: float = ...,
        betas: tuple[float, float] = ...,
        eps: float = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class Lion(Rule):
    def __init__(
        self,
        lr: float = ...,
        betas: tuple[float, float] = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class DiffGrad(Rule):
    def __init__(
        self,
        lr: float = ...,
        betas: tuple[float, float] = ...,
        eps: float = ...,
        amsgrad: bool = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class AdEMAMix(Rule):
    def __init__(
        self,
        lr: float = ...,
        betas: tuple[float, float, float] = ...,
        alpha: float = ...,
        beta3_warmup: float | None = ...,
        alpha_warmup: float | None = ...,
        eps: float = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class Grams(Rule):
    def __init__(
        self,
        lr: float = ...,
        betas: tuple[float, float] = ...,
        eps: float = ...,
        correct_bias: bool = ...,
        eps_mode: str = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class Gravity(Rule):
    def __init__(
        self,
        lr: float = ...,
        alpha: float = ...,
        beta: float = ...,
        v0: str = ...,
        seed: float = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class AdaMomentum(Rule):
    def __init__(
        self,
        lr: float = ...,
        betas: tuple[float, float] = ...,
        eps: float = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class AdaBelief(Rule):
    def __init__(
        self,
        lr: float = ...,
        betas: tuple[float, float] = ...,
        eps: float = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class Muon(Rule):
    def __init__(
        self,
        lr: float = ...,
        momentum: float = ...,
        nesterov: bool = ...,
        ns_coefficients: tuple[float, float, float] = ...,
        ns_steps: float = ...,
        eps: float = ...,
        adjust_lr_fn: str | None = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class NAdam(Rule):
    def __init__(
        self,
        lr: float = ...,
        betas: tuple[float, float] = ...,
        eps: float = ...,
        momentum_decay: float = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class RAdam(Rule):
    def __init__(
        self,
        lr: float = ...,
        betas: tuple[float, float] = ...,
        eps: float = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class Adagrad(Rule):
    def __init__(
        self,
        lr: float = ...,
        lr_decay: float = ...,
        initial_accumulator_value: float = ...,
        eps: float = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class Adadelta(Rule):
    def __init__(
        self,
        lr: float = ...,
        rho: float = ...,
        eps: float = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class RMSprop(Rule):
    def __init__(
        self,
        lr: float = ...,
        alpha: float = ...,
        eps: float = ...,
        momentum: float = ...,
        centered: bool = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class ScheduleFreeAdamW(Rule):
    def __init__(
        self,
        lr: float = ...,
        betas: tuple[float, float] = ...,
        eps: float = ...,
        warmup_steps: float = ...,
        r: float = ...,
        weight_lr_power: float = ...,
        train_mode: bool = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class CLASSP(Rule):
    def __init__(
        self,
        lr: float = ...,
        threshold: float = ...,
        power: float = ...,
        eps: float = ...,
        apply_scaling: bool = ...,
        gate: str = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class AEGD(Rule):
    def __init__(
        self,
        lr: float = ...,
        c: float = ...,
        preconditioner: float | None = ...,
        conserve_sum: bool = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class ExponentiatedGradient(Rule):
    def __init__(
        self,
        lr: float = ...,
        base: str = ...,
        momentum: float = ...,
        dampening: float = ...,
        nesterov: bool = ...,
        betas: tuple[float, float] = ...,
        eps: float = ...,
        geometry: str = ...,
        max_log_step: float = ...,
        strict: bool = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class DaleLangevin(Rule):
    def __init__(
        self,
        lr: float = ...,
        sigma: float = ...,
        mu: float | None = ...,
        kappa: float = ...,
        sampler: str = ...,
        max_log_step: float = ...,
        seed: float = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class OptimisticAMSGrad(Rule):
    def __init__(
        self,
        lr: float = ...,
        betas: tuple[float, float] = ...,
        eps: float = ...,
        guess: str = ...,
        history: float = ...,
        lam: float = ...,
        fresh_momentum: bool = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class AdaptiveBraking(Rule):
    def __init__(
        self,
        lr: float = ...,
        momentum: float = ...,
        rho: float = ...,
        eps: float = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class RandomScalingSGD(Rule):
    def __init__(
        self,
        lr: float = ...,
        momentum: float = ...,
        seed: float = ...,
        average: bool = ...,
        train_mode: bool = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class TripleMomentum(Rule):
    def __init__(
        self,
        lr: float = ...,
        L: float = ...,
        mu: float = ...,
        method: str = ...,
        train_mode: bool = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class AcceleratedSGD(Rule):
    def __init__(
        self,
        lr: float = ...,
        mu: float = ...,
        alpha: float | None = ...,
        train_mode: bool = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class NormalizedGD(Rule):
    def __init__(
        self,
        lr: float = ...,
        beta: float = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class CurlSGD(Rule):
    def __init__(
        self,
        lr: float = ...,
        momentum: float = ...,
        fraction: float = ...,
        seed: float = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...

class SGLD(Rule):
    def __init__(
        self,
        lr: float = ...,
        temperature: float = ...,
        preconditioner: float | None = ...,
        alpha: float = ...,
        eps: float = ...,
        average: bool = ...,
        burn_in: float = ...,
        thinning: float = ...,
        seed: float = ...,
        train_mode: bool = ...,
        *,
        weight_decay: float = ...,
        decay: str = ...,
        mask: str | None = ...,
        mask_scale: str = ...,
        maximize: bool = ...,
        clip_norm: float | None = ...,
        clip_value: float | None = ...,
        on_nonfinite: str = ...,
        state_dtype: str = ...,
    ) -> None: ...
