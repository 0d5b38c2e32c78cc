"""Lines about what surrounds a step: clipping, cautious masks, matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

import thalweg.optim as ours
from stepping.rows import LR, Case, foreign, our

# Limits that fall from call to call, shared by both sides, so that each call has to clip.
_LIMITS: dict[int, float] = {}


def _clip(function: Callable[..., Tensor], active: bool) -> Callable[[list[Tensor]], object]:
    def make(params: list[Tensor]) -> Callable[[], object]:
        key = id(params[0])
        _LIMITS.setdefault(key, float(torch.nn.utils.get_total_norm([p.grad for p in params])))

        def run() -> None:
            _LIMITS[key] *= 0.9999 if active else 1.0
            function(params, _LIMITS[key] if active else 1e6)

        return run

    return make


def _cautious_adamw(params: list[Tensor]) -> Callable[[], object]:
    """As the first code of the paper: a loop of torch operations."""
    states = [(torch.zeros_like(p), torch.zeros_like(p)) for p in params]
    count = 0

    @torch.no_grad()
    def step() -> None:
        nonlocal count
        count += 1
        for p, (m, v) in zip(params, states, strict=True):
            m.lerp_(p.grad, 0.1)
            v.mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
            p.mul_(1 - LR * 0.01)
            denominator = v.sqrt().div_((1 - 0.999**count) ** 0.5).add_(1e-8)
            mask = (m * p.grad > 0).to(p.dtype)
            mask.mul_(mask.numel() / (mask.sum() + 1))
            p.addcdiv_(m * mask, denominator, value=-LR / (1 - 0.9**count))

    return step


def _torch_muon(params: list[Tensor]) -> Callable[[], object]:
    """Muon as torch has it, with its iteration in the type that ours has."""
    module = torch.optim._muon
    original = module._zeropower_via_newtonschulz

    def single(grad: Tensor, coefficients: tuple[float, ...], steps: int, eps: float) -> Tensor:
        a, b, c = coefficients
        x = grad.mT if grad.size(0) > grad.size(1) else grad
        x = x / x.norm().clamp(min=eps)
        for _ in range(steps):
            gram = x @ x.mT
            x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        return x.mT if grad.size(0) > grad.size(1) else x

    step = torch.optim.Muon(params, lr=LR).step

    def run() -> None:
        module._zeropower_via_newtonschulz = single
        try:
            step()
        finally:
            module._zeropower_via_newtonschulz = original

    return run


def _given(params: list[Tensor]) -> Callable[[], float]:
    """A closure that only puts the same gradients back: what is left is the optimizer's part."""
    gradients = [p.grad for p in params]

    def closure() -> float:
        for p, g in zip(params, gradients, strict=True):
            p.grad = g
        return 1.0

    return closure


def _sam(params: list[Tensor]) -> Callable[[], object]:
    return partial(ours.SAM(ours.AdamW(params, lr=LR), rho=LR).step, _given(params))


def _foreign_sam(fused: bool, params: list[Tensor]) -> Callable[[], object]:
    from pytorch_optimizer import SAM

    optimizer = SAM(params, torch.optim.AdamW, rho=LR, lr=LR, fused=fused)
    closure = _given(params)

    def run() -> None:
        closure()
        optimizer.step(closure)

    return run


def cases(large: bool) -> list[Case]:
    """Rows 13, 14 and 18, SAM in row 15, and clip_grad_norm_ beside row 5."""
    mine, torchs = ours.clip_grad_norm_, torch.nn.utils.clip_grad_norm_
    # Both sides move the same bytes where they clip.
    limits = ((1.0, 1.0), (0.7, 0.7))
    found = []
    for workload in ("W1", "W2", "W4"):
        for active, name, traffic in ((True, "clip_grad_norm_", 12), (False, "clip, below", 4)):
            make, peer = _clip(mine, active), _clip(torchs, active)
            found.append(Case(5, name, workload, "torch", make, peer, traffic, *limits))
    limits = ((0.20, 0.20), (0.12, 0.12))
    lion = our("Lion", mask="cautious"), foreign("Lion", cautious=True)
    found.append(Case(13, "Lion cautious", "W1", "pytorch_optimizer", *lion, 20, *limits))
    adamw = our("AdamW", mask="cautious", mask_scale="count_plus_one"), _cautious_adamw
    found.append(Case(13, "AdamW cautious", "W1", "loop of torch", *adamw, 28, *limits))
    for row, workload, fused, must, stretch in (
        (14, "W1", True, 0.25, 0.17),
        (15, "W4", True, 0.10, 0.05),
        (15, "W4", False, 0.10, 0.05),
    ):
        peer = f"pytorch_optimizer, {'fused' if fused else 'plain'} AdamW"
        sam = _sam, partial(_foreign_sam, fused)
        limits = (must, must), (stretch, stretch)
        found.append(Case(row, "SAM AdamW", workload, peer, *sam, 48, *limits))
    limits = ((1.0, 1.0), (0.85, 0.85))
    muon = our("Muon"), _torch_muon
    limits = ((1.0, 1.0), (0.85, 0.85))
    workload = "W3 hidden" if large else "W3 block"
    found.append(Case(18, "Muon", workload, "torch, float32", *muon, 20, *limits))
    return found
