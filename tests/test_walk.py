"""The way of a call: what an integration loads, and how often the compiled kernel is asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.kernels import _native
from lucid.nn import functional as F

ROWS = ((18, 6), (18, 6), (4, 6, 6), (4,))
PAIRS = ((2, 3, 1, 6), (2, 1, 3, 6), (4, 6, 6), (4,))
EXPANDED = ((2, 3, 3, 6), (2, 3, 3, 6), (4, 6, 6), (4,))


@pytest.mark.parametrize("integration", ["torch", "jax"])
def test_an_integration_loads_no_layers(integration: str) -> None:
    pytest.importorskip(integration)
    script = f"import sys, lucid.{integration}; print([m for m in sys.modules if 'lucid.nn' in m])"
    done = subprocess.run(  # noqa: S603 (our own script)
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def arrays(shapes: Any, dtype: Any) -> list[Any]:
    random = np.random.default_rng(0)
    made = [random.standard_normal(shape).astype(dtype) for shape in shapes]
    if shapes is EXPANDED:
        made[0] = np.broadcast_to(made[0][:, :, :1], shapes[0])
        made[1] = np.broadcast_to(made[1][:, :1], shapes[1])
    return made


def asked(call: Callable[[], Any]) -> list[str]:
    """The questions to the compiled kernel during a warm call."""
    found = []
    names = {
        id(getattr(_native.compiled, name)): name
        for name in ("bilinear", "bilinear_keeping", "gradients", "gradients_kept", "plan")
    }

    def hook(_: Any, event: str, what: Any) -> None:
        if event == "c_call" and id(what) in names:
            found.append(names[id(what)])

    call()
    sys.setprofile(hook)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.skipif(_native.compiled is None, reason="there is no compiled kernel here")
@pytest.mark.parametrize("shapes", [ROWS, PAIRS, EXPANDED], ids=["rows", "pairs", "expanded"])
@pytest.mark.parametrize("library", ["lucid", "numpy", "torch"])
def test_the_kernel_is_asked_once(library: str, shapes: Any) -> None:
    given = arrays(shapes, np.float32)
    if library == "numpy":
        assert asked(lambda: F.bilinear(*given)) == ["bilinear"]
        return
    if library == "lucid":
        tracked = [lucid.asarray(each) for each in given]
        for each in tracked:
            each.requires_grad = True
        g: Any = lucid.ones((*F.bilinear(*given).shape,))
        assert asked(lambda: F.bilinear(*tracked)) == ["bilinear_keeping"]
        backward = asked(lambda: F.bilinear(*tracked).backward(g))
        assert backward == ["bilinear_keeping", "gradients_kept"]
        return
    torch = pytest.importorskip("torch")
    from lucid.torch import bilinear

    tensors = [torch.from_numpy(each.copy()) for each in given]
    assert asked(lambda: bilinear(*tensors)) == ["bilinear"]


@pytest.mark.skipif(_native.compiled is None, reason="there is no compiled kernel here")
def test_what_is_declined_is_prepared_and_then_asked_once_more() -> None:
    given = arrays(ROWS, np.float16)
    assert asked(lambda: F.bilinear(*given)) == ["bilinear", "plan", "bilinear"]


def test_a_torch_tensor_can_be_resized_afterwards() -> None:
    torch = pytest.importorskip("torch")
    from lucid.torch import bilinear

    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.int64):
        x, other, weight = (torch.ones(shape, dtype=dtype) for shape in ((2, 3), (2, 4), (5, 3, 4)))
        bilinear(x, other, weight)
        bilinear(x.T.contiguous().T, other, weight)
        for each in (x, other, weight):
            each.untyped_storage().resize_(0)
            assert each.untyped_storage().nbytes() == 0


def test_a_torch_view_with_a_pending_sign() -> None:
    torch = pytest.importorskip("torch")
    from lucid.torch import bilinear

    z = torch.randn(4, 3, dtype=torch.complex64)
    negative = z.conj().imag
    assert negative.is_neg()
    ones, weight = torch.ones(4, 2), torch.randn(5, 3, 2)
    right = bilinear(-z.imag.contiguous(), ones, weight)
    assert torch.equal(bilinear(negative, ones, weight), right)
    g = torch.ones(4, 5)
    plain = weight.clone().requires_grad_()
    torch.autograd.backward(bilinear(negative, ones, plain), g)
    again = weight.clone().requires_grad_()
    torch.autograd.backward(bilinear(-z.imag.contiguous(), ones, again), g)
    assert torch.equal(plain.grad, again.grad)
