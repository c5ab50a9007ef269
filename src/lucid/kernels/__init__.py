"""The bilinear contraction and its gradients on raw arrays of any library.

    out[..., o] = Σ_ij x1[..., i] · W[o, i, j] · x2[..., j] + bias[o]

Nothing is conjugated, nothing repeated along broadcast axes, and beside its arguments and
results a call needs at most 64 MiB on the CPU, and 512 MiB on other devices. `README.md` derives
the plans and measures them.
"""

from __future__ import annotations

from ._dispatch import bilinear as bilinear, gradients as gradients, plan as plan
from ._plan import Plan as Plan
