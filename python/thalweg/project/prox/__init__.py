"""Proximal maps, argmin f(y) + |y - x|^2 / 2, batched and differentiable."""

from thalweg.project.prox.concave import mcp, scad
from thalweg.project.prox.group import group
from thalweg.project.prox.huber import huber
from thalweg.project.prox.l0 import l0
from thalweg.project.prox.l1 import elastic_net, l1, ridge
from thalweg.project.prox.norm import l2, linf
from thalweg.project.prox.nuclear import nuclear
from thalweg.project.prox.tv1d import tv1d

__all__ = [
    "elastic_net",
    "group",
    "huber",
    "l0",
    "l1",
    "l2",
    "linf",
    "mcp",
    "nuclear",
    "ridge",
    "scad",
    "tv1d",
]
