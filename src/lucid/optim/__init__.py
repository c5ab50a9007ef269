"""Optimisers: one algorithm a file, its update formula first."""

from . import lr_scheduler as lr_scheduler
from ._adam import Adam as Adam
from ._adamw import AdamW as AdamW
from ._optimizer import Optimizer as Optimizer
from ._sgd import SGD as SGD
