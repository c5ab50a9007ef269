"""Fourier transforms beside the table: lengths, norms, dtypes, and what is refused how."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, fft
from lucid.testing import assert_same, gradcheck

ONE_AXIS = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
SEVERAL = ["fftn", "ifftn", "rfftn", "irfftn"]
OF_REAL = {"rfft", "ihfft", "rfftn"}
NORMS = ["backward", "ortho", "forward"]


def argument(name: str, *shape: int) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(0)
    x = np.asarray(random.standard_normal(shape))
    return x if name in OF_REAL else x + 1j * random.standard_normal(shape)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ONE_AXIS)
def test_every_length_is_that_of_numpy_with_its_derivatives(name: str, norm: str) -> None:
    for size in (1, 2, 3, 4, 5):
        x = argument(name, size, 2)
        for n in (None, 1, 2, 3, 4, 5, 6, 9):
            if n is None and size == 1 and name in ("irfft", "hfft"):
                continue
            options: Any = {"n": n, "axis": 0, "norm": norm}
            assert_same(getattr(fft, name)(x, **options), getattr(np.fft, name)(x, **options))
            gradcheck(lambda x, options=options: getattr(fft, name)(x, **options), [x], order=2)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", SEVERAL)
def test_several_axes_are_those_of_numpy_with_their_derivatives(name: str, norm: str) -> None:
    x = argument(name, 2, 3, 4)
    for options in (
        {}, {"axes": (1,)}, {"axes": (2, 0)}, {"axes": (-2, -1), "s": (5, 3)},
        {"axes": [0, 1, 2], "s": [4, 2, 5]}, {"axes": (0, 2), "s": (1, 1)},
    ):  # fmt: skip
        named: Any = {**options, "norm": norm}
        assert_same(getattr(fft, name)(x, **named), getattr(np.fft, name)(x, **named))
        gradcheck(lambda x, named=named: getattr(fft, name)(x, **named), [x], order=2)


@pytest.mark.parametrize("name", SEVERAL)
def test_a_length_of_minus_1_is_that_of_the_axis(name: str) -> None:
    x = argument(name, 2, 3, 4)
    options: Any = {"axes": (1, 2)}
    assert_same(getattr(fft, name)(x, s=(-1, -1), **options), getattr(fft, name)(x, **options))
    gradcheck(lambda x: getattr(fft, name)(x, s=(5, -1), **options), [x])


def test_a_transform_and_its_inverse_give_back_what_was() -> None:
    x = argument("rfft", 3, 5)
    for one, other in (("fft", "ifft"), ("rfft", "irfft"), ("ihfft", "hfft")):
        for norm in NORMS:
            there: Any = getattr(fft, one)(x, norm=norm)
            options: Any = {} if one == "fft" else {"n": 5}
            back = getattr(fft, other)(there, norm=norm, **options)
            assert_same(lucid.real(back), x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [*ONE_AXIS, *SEVERAL])
def test_dtypes(name: str) -> None:
    returns_real = name in ("irfft", "irfftn", "hfft")
    for dtype, real, complex_ in (
        (np.float32, np.float32, np.complex64), (np.float64, np.float64, np.complex128),
        (np.float16, np.float16, np.complex64),
        (np.complex64, np.float32, np.complex64), (np.complex128, np.float64, np.complex128),
    ):  # fmt: skip
        if name in OF_REAL and np.dtype(dtype).kind == "c":
            continue
        x = Tensor(np.ones((2, 4), dtype), requires_grad=True)
        y = getattr(fft, name)(x)
        assert y.dtype == (real if returns_real else complex_)
        y.backward()
        assert x.grad is not None
        assert x.grad.dtype == dtype


def test_a_half_is_transformed_in_float32() -> None:
    x = np.full(4096, 1.0, np.float16)
    x[1::2] = 0.5
    assert_same(fft.rfft(Tensor(x))[0], np.complex64(3072), rtol=1e-6)
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    assert fft.rfft(Tensor(x.astype(bfloat16))).dtype == lucid.complex64
    assert fft.irfft(Tensor(x.astype(bfloat16))).dtype == bfloat16


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_frequencies(n: int) -> None:
    for name in ("fftfreq", "rfftfreq"):
        for d in (1.0, 0.25, -3):
            found = getattr(fft, name)(n, d=d, dtype=lucid.float64)
            assert_same(found, getattr(np.fft, name)(n, d))
        assert getattr(fft, name)(n).dtype == lucid.float32
        assert getattr(fft, name)(n, dtype="float16", device="cpu").dtype == lucid.float16
    assert_same(fft.fftshift(fft.fftfreq(n)), np.sort(fft.fftfreq(n).numpy()))


def test_shifts_are_those_of_numpy() -> None:
    x = np.arange(30.0).reshape(5, 6)
    for axes in (None, 0, (0,), (0, 1), [-1], ()):
        shifted = fft.fftshift(x, axes=axes)
        assert_same(shifted, np.fft.fftshift(x, axes=axes))
        assert_same(fft.ifftshift(shifted, axes=axes), x)
        gradcheck(lambda x, axes=axes: fft.fftshift(x, axes=axes), [x], every_element=True)


WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: fft.fft(np.ones(4), norm="none"), lucid.ArgumentError,
     "fft: norm is 'none', expected backward, ortho, forward"),
    (lambda: fft.fft([1, 2]), lucid.DTypeError,
     "fft: x is int64, expected an array of floating-point numbers; convert it, as in "
     "lucid.asarray(x, dtype=lucid.float32)"),
    (lambda: fft.rfft(np.ones(4, complex)), lucid.DTypeError,
     "rfft: x is complex128, expected real numbers; use lucid.fft.fft, or lucid.real(x)"),
    (lambda: fft.rfftn(np.ones(4, complex)), lucid.DTypeError, "use lucid.fft.fftn, or lucid.real"),
    (lambda: fft.ihfft(np.ones(4, complex)), lucid.DTypeError, "use lucid.fft.ifft, or lucid.real"),
    (lambda: fft.fft(np.ones(4), n=0), lucid.ArgumentError, "fft: n is 0, expected 1 or more"),
    (lambda: fft.fft(np.ones(4), n=2.5), lucid.ArgumentError,  # type: ignore[arg-type]
     "fft: n is 2.5, expected a whole number"),
    (lambda: fft.fft(np.ones((2, 0))), lucid.ShapeError,
     "fft: axis -1 of x (2, 0) is 0, too short for a transform; give its length with n"),
    (lambda: fft.irfft(np.ones((2, 1))), lucid.ShapeError,
     "irfft: axis -1 of x (2, 1) is 1, too short for a transform; give its length with n"),
    (lambda: fft.irfftn(np.ones((2, 1))), lucid.ShapeError,
     "irfftn: axis 1 of x (2, 1) is 1, too short for a transform; give its length with s"),
    (lambda: fft.fft(np.ones(4), axis=1), lucid.OutOfRangeError,
     "fft: axis 1 is outside x (4,), which has 1 axis"),
    (lambda: fft.fft(np.array(1.0)), lucid.ShapeError, "fft: x has no axis to transform"),
    (lambda: fft.fftn(np.ones((2, 2)), axes=(0, 2)), lucid.OutOfRangeError,
     "fftn: axis 2 is outside x (2, 2), which has 2 axes"),
    (lambda: fft.fftn(np.ones((2, 2)), axes=(0, -2)), lucid.ArgumentError, "names an axis twice"),
    (lambda: fft.fftn(np.ones((2, 2)), axes=()), lucid.ArgumentError,
     "fftn: axes is empty; give at least one axis"),
    (lambda: fft.fftn(np.ones((2, 2)), s=(2, 2)), lucid.ArgumentError,
     "fftn: s is given without axes; say which axes the lengths are of"),
    (lambda: fft.fftn(np.ones((2, 2)), s=(2,), axes=(0, 1)), lucid.ArgumentError,
     "fftn: s has 1 lengths, but axes 2"),
    (lambda: fft.fftn(np.ones((2, 2)), s=(2, 0), axes=(0, 1)), lucid.ArgumentError,
     "fftn: s is (2, 0), expected 1 or more"),
    (lambda: fft.fft(np.ones(2), dim=0), TypeError,  # type: ignore[call-arg]
     "fft() got an unexpected keyword argument 'dim'; use axis"),
    (lambda: fft.fftshift(np.ones(2), axes=1), lucid.OutOfRangeError,
     "fftshift: axis 1 is outside x (2,), which has 1 axis"),
    (lambda: fft.fftfreq(0), lucid.ArgumentError,
     "fftfreq: n is 0, expected a whole number, 1 or more"),
    (lambda: fft.rfftfreq(4, d=0), lucid.ArgumentError,
     "rfftfreq: d is 0, but samples lie apart; expected another number"),
    (lambda: fft.fftfreq(4, dtype=lucid.complex64), lucid.DTypeError,
     "fftfreq: dtype is complex64, expected real floating point"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), WRONG)
def test_what_is_refused_is_told(
    call: Callable[[], Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        call()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", [*ONE_AXIS, *SEVERAL])
def test_gradients_are_those_of_pytorch(name: str, norm: str) -> None:
    torch = pytest.importorskip("torch")
    x = argument(name, 3, 5)
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    found = getattr(fft, name)(ours, norm=norm)
    wanted = getattr(torch.fft, name)(theirs, norm=norm)
    assert_same(found, wanted.detach().resolve_conj().numpy(), rtol=1e-12, atol=1e-12)
    weights = argument("fft", *found.shape)
    weights = weights if wanted.is_complex() else weights.real
    wanted.backward(torch.tensor(weights))
    assert_same(
        lucid.grad(found, ours, weights), theirs.grad.resolve_conj().numpy(), rtol=1e-12, atol=1e-12
    )
