"""The bilinear form in PyTorch, recorded by PyTorch's own autograd.

`bilinear` and `Bilinear` stand in the place of `torch.nn.functional.bilinear` and
`torch.nn.Bilinear`; `swap` puts them into a whole model, `unswap` takes them out again.
"""

from __future__ import annotations

from ._bilinear import bilinear as bilinear
from ._module import Bilinear as Bilinear, swap as swap, unswap as unswap
from ._reductions import (
    bilinear_cross_entropy as bilinear_cross_entropy,
    bilinear_logsumexp as bilinear_logsumexp,
    bilinear_max as bilinear_max,
    bilinear_rank as bilinear_rank,
    bilinear_topk as bilinear_topk,
)
