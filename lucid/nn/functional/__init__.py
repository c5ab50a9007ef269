"""Functions of neural networks; one family a file."""

from ._bilinear import bilinear as bilinear
