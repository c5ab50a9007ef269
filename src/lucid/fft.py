"""Discrete Fourier transforms, in the names of the array API standard's extension.

Every transform has derivatives of every order. float16 and bfloat16 are computed in float32; real
results are rounded, complex ones are complex64.
"""

from .ops._fft import (
    fft as fft,
    fftn as fftn,
    fftshift as fftshift,
    hfft as hfft,
    ifft as ifft,
    ifftn as ifftn,
    ifftshift as ifftshift,
    ihfft as ihfft,
    irfft as irfft,
    irfftn as irfftn,
    rfft as rfft,
    rfftn as rfftn,
)
from .ops._frequencies import fftfreq as fftfreq, rfftfreq as rfftfreq
