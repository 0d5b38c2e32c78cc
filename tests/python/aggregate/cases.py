"""One row an aggregator, for the batteries; the registry test fails when one is missing."""

from dataclasses import dataclass, field

import numpy as np

import thalweg.aggregate as ag


@dataclass
class Case:
    name: str
    make: object
    gramian_only: bool = True
    equivariant: bool = True  # permuting the rows does not change the update
    tolerance: float = 1e-9
    extra: dict = field(default_factory=dict)

    def __str__(self):
        return self.name


CASES = [
    Case("Mean", ag.Mean),
    Case("Sum", ag.Sum),
    Case("Constant", lambda: ag.Constant([0.5, 2.0, 1.0, -0.3]), equivariant=False),
    Case("Random", lambda: ag.Random(3), equivariant=False),
    Case("TrimmedMean", lambda: ag.TrimmedMean(1), gramian_only=False),
    Case("Krum", lambda: ag.Krum(1)),
    Case("GradDrop", lambda: ag.GradDrop(seed=3), gramian_only=False),
    Case("UPGrad", ag.UPGrad),
    Case("DualProj", ag.DualProj),
    Case("PCGrad", lambda: ag.PCGrad(seed=3), equivariant=False),
    Case("GradVac", lambda: ag.GradVac(seed=3), equivariant=False),
    Case("CAGrad", ag.CAGrad),
    Case("MGDA", ag.MGDA),
    Case("IMTLG", ag.IMTLG),
    Case("NashMTL", ag.NashMTL),
    Case("FairGrad", ag.FairGrad),
    Case("AlignedMTL", ag.AlignedMTL),
    Case("PCD", ag.PCD, equivariant=False),
    Case("ConFIG", ag.ConFIG),
    Case("MConFIG", lambda: ag.MConFIG(4), gramian_only=False),
    Case("SAMGS", ag.SAMGS, gramian_only=False),
    Case("CRMOGM", lambda: ag.CRMOGM(ag.UPGrad())),
    Case("ExcessMTL", ag.ExcessMTL, gramian_only=False),
    Case("GCond", ag.GCond, gramian_only=False, equivariant=False),
]


def jacobian(seed=0, m=4, d=40, dtype=np.float64):
    """Rows that conflict."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((m, d)) * 10 ** rng.uniform(-1, 1, (m, 1))
    rows[1] -= 0.8 * rows[0] * np.linalg.norm(rows[1]) / np.linalg.norm(rows[0])
    return rows.astype(dtype)
