"""Reductions over all pairs of the bilinear form; `kernels/_reductions.py` does the work.

The gradient of the scores is a tile again, so first-order gradients are products of raw tiles. A
gradient that is itself recorded is written in operations, tile by tile, under `checkpoint`.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ..._arguments import COUNT, SHARE, WHOLE, check
from ..._arrays import Array, is_half, namespace
from ..._errors import ArgumentError
from ..._op import op
from ..._tape import Tracked, beside, operand, plain
from ...autograd._checkpoint import checkpoint
from ...kernels import _reductions as kernels
from ...kernels._pairs import Pairs, check_pairs, check_target
from ...kernels._recorded import slopes as recorded_slopes
from ...kernels._reductions import Partners, Slopes, Target
from ...ops._like import astype
from ...ops._movement import reshape
from ._checks import check_reduction
