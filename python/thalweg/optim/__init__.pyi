# Written by `make stubs`; do not edit.

from thalweg.optim.adam import Adam as Adam
from thalweg.optim.adamax import Adamax as Adamax
from thalweg.optim.adamomentum import AdaMomentum as AdaMomentum
from thalweg.optim.adamw import AdamW as AdamW
from thalweg.optim.ademamix import AdEMAMix as AdEMAMix
from thalweg.optim.clipping import clip_grad_norm_ as clip_grad_norm_
from thalweg.optim.clipping import clip_grad_pixelwise_ as clip_grad_pixelwise_
from thalweg.optim.clipping import clip_pixels as clip_pixels
from thalweg.optim.diffgrad import DiffGrad as DiffGrad
from thalweg.optim.fused_backward import fuse_backward as fuse_backward
from thalweg.optim.fused_backward import unfuse_backward as unfuse_backward
from thalweg.optim.grams import Grams as Grams
from thalweg.optim.gravity import Gravity as Gravity
from thalweg.optim.lion import Lion as Lion
from thalweg.optim.muon import Muon as Muon
from thalweg.optim.optimizer import Optimizer as Optimizer
from thalweg.optim.precision import dequantize as dequantize
from thalweg.optim.routed import Routed as Routed
from thalweg.optim.sgd import SGD as SGD
from thalweg.optim.telemetry import Reading as Reading
from thalweg.optim.telemetry import Telemetry as Telemetry
