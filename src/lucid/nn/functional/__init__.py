"""Functions of neural networks; one family a file."""

from ...ops._elementwise import sigmoid as sigmoid
from ...ops._elementwise import tanh as tanh
from ._activations import elu as elu
from ._activations import gelu as gelu
from ._activations import leaky_relu as leaky_relu
from ._activations import relu as relu
from ._activations import silu as silu
from ._activations import softplus as softplus
from ._bilinear import bilinear as bilinear
from ._cross_entropy import cross_entropy as cross_entropy
from ._cross_entropy import nll_loss as nll_loss
from ._dropout import dropout as dropout
from ._embedding import embedding as embedding
from ._layer_norm import layer_norm as layer_norm
from ._linear import linear as linear
from ._losses import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from ._losses import l1_loss as l1_loss
from ._losses import mse_loss as mse_loss
from ._softmax import log_softmax as log_softmax
from ._softmax import softmax as softmax
