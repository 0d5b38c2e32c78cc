"""Many gradients, one update: Jacobian aggregation.

Call an aggregator with a Jacobian, a gradient a row: a numpy array or torch tensor of shape
(m, d), or a list of per-parameter Jacobians, which is never concatenated. `backward` and
`mtl_backward` do it for torch models. torch is imported only by what needs it.

Which one: `UPGrad` unless you know better; `ConFIG` where the lengths differ by orders of
magnitude; `MConFIG`, `scalarize.FAMO` where a backward pass is what costs; `PCD` for one loss that
leads; `Krum`, `TrimmedMean` against corrupt gradients. `conflict` shows whether any is needed.
"""

from thalweg.aggregate import scalarize
from thalweg.aggregate._backward import backward, mtl_backward
from thalweg.aggregate._base import Aggregator
from thalweg.aggregate._gramian import gramian
from thalweg.aggregate.alignedmtl import AlignedMTL
from thalweg.aggregate.cagrad import CAGrad
from thalweg.aggregate.config import ConFIG
from thalweg.aggregate.conflict import Conflict, ConflictHistory, conflict
from thalweg.aggregate.constant import Constant
from thalweg.aggregate.crmogm import CRMOGM
from thalweg.aggregate.dualproj import DualProj
from thalweg.aggregate.excessmtl import ExcessMTL
from thalweg.aggregate.fairgrad import FairGrad
from thalweg.aggregate.gcond import GCond
from thalweg.aggregate.graddrop import GradDrop
from thalweg.aggregate.gradnorm import GradNorm
from thalweg.aggregate.gradvac import GradVac
from thalweg.aggregate.imtlg import IMTLG
from thalweg.aggregate.krum import Krum
from thalweg.aggregate.mconfig import MConFIG
from thalweg.aggregate.mean import Mean
from thalweg.aggregate.mgda import MGDA
from thalweg.aggregate.modo import MoDo
from thalweg.aggregate.nashmtl import NashMTL
from thalweg.aggregate.orthogonal import orthogonal
from thalweg.aggregate.pcd import PCD
from thalweg.aggregate.pcgrad import PCGrad
from thalweg.aggregate.random import Random
from thalweg.aggregate.samgs import SAMGS
from thalweg.aggregate.sdmgrad import SDMGrad
from thalweg.aggregate.sum import Sum
from thalweg.aggregate.trimmed_mean import TrimmedMean
from thalweg.aggregate.upgrad import UPGrad

__all__ = [
    "CRMOGM",
    "IMTLG",
    "MGDA",
    "PCD",
    "SAMGS",
    "Aggregator",
    "AlignedMTL",
    "CAGrad",
    "ConFIG",
    "Conflict",
    "ConflictHistory",
    "Constant",
    "DualProj",
    "ExcessMTL",
    "FairGrad",
    "GCond",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "Krum",
    "MConFIG",
    "Mean",
    "MoDo",
    "NashMTL",
    "PCGrad",
    "Random",
    "SDMGrad",
    "Sum",
    "TrimmedMean",
    "UPGrad",
    "backward",
    "conflict",
    "gramian",
    "mtl_backward",
    "orthogonal",
    "scalarize",
]
