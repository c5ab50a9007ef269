"""Functions of neural networks; one family a file."""

from ...ops._bilinear import bilinear as bilinear
from ...ops._exponential import sigmoid as sigmoid
from ...ops._trigonometry import tanh as tanh
from ._activations import (
    elu as elu,
    gelu as gelu,
    leaky_relu as leaky_relu,
    relu as relu,
    silu as silu,
    softplus as softplus,
)
from ._cross_entropy import cross_entropy as cross_entropy, nll_loss as nll_loss
from ._dropout import dropout as dropout
from ._embedding import embedding as embedding
from ._layer_norm import layer_norm as layer_norm
from ._linear import linear as linear
from ._losses import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
    l1_loss as l1_loss,
    mse_loss as mse_loss,
)
from ._one_hot import one_hot as one_hot
from ._reductions import (
    bilinear_cross_entropy as bilinear_cross_entropy,
    bilinear_logsumexp as bilinear_logsumexp,
    bilinear_max as bilinear_max,
    bilinear_rank as bilinear_rank,
    bilinear_topk as bilinear_topk,
)
from ._softmax import log_softmax as log_softmax, softmax as softmax
