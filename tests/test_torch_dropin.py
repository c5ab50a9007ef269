"""Where a drop-in is dropped: storages that are freed, sharding, export, other kinds of tensors."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import lucid  # noqa: E402 (where PyTorch is)
from lucid.kernels import _native  # noqa: E402
from lucid.torch import Bilinear, bilinear  # noqa: E402

SHAPES = ((4, 5), (4, 6), (3, 5, 6))
PAIRS = ((2, 3, 1, 5), (2, 1, 4, 6), (3, 5, 6))


def tensors(shapes: Any, dtype: Any = torch.float32) -> list[Any]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shapes", [SHAPES, PAIRS])
def test_no_storage_is_locked(shapes: Any, dtype: Any) -> None:
    arguments = [each.requires_grad_() for each in tensors(shapes, dtype)]
    out = bilinear(*arguments)
    found = torch.autograd.grad(out.sum(), arguments)
    with torch.no_grad():
        bilinear(*arguments)
    for each in (*arguments, out, *found):
        each.detach().untyped_storage().resize_(0)
    x = torch.randn(2, 5).to(dtype)
    bilinear(x, torch.randn(2, 6).to(dtype), tensors(SHAPES, dtype)[2])
    x.resize_(4, 5)  # which grows the storage
    assert x.untyped_storage().nbytes() == 20 * x.element_size()
    bilinear(x[:2], torch.randn(2, 6).to(dtype), tensors(SHAPES, dtype)[2])
    torch.add(torch.ones(7, 5).to(dtype), 1, out=x.resize_(0))
    assert x.shape == (7, 5)


def test_saved_tensors_move_away_and_come_back() -> None:
    """Activation offloading packs what is saved, frees it, and makes it anew."""

    arguments = [each.requires_grad_() for each in tensors(SHAPES)]
    expected = torch.autograd.grad(bilinear(*arguments).sum(), arguments)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: x.detach().clone(), lambda x: x.clone()
    ):
        out = bilinear(*arguments)
    found = torch.autograd.grad(out.sum(), arguments)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    with torch.autograd.graph.save_on_cpu():
        out = bilinear(*arguments)
    assert torch.equal(torch.autograd.grad(out.sum(), arguments)[2], expected[2])


@pytest.mark.skipif(_native.compiled is None, reason="the compiled kernel keeps a product")
def test_a_product_that_came_back_is_not_locked() -> None:
    arguments = [
        each.requires_grad_() for each in tensors(((8, 40, 1, 101), (8, 1, 40, 101), (1, 101, 101)))
    ]
    back: list[Any] = []

    def unpack(packed: Any) -> Any:
        back.append(packed.clone())
        return back[-1]

    with torch.autograd.graph.saved_tensors_hooks(lambda x: x.detach().clone(), unpack):
        out = bilinear(*arguments)
    torch.autograd.grad(out.sum(), arguments)
    assert len(back) > len(arguments)  # the product too
    for each in back:
        each.untyped_storage().resize_(0)


SHARDED = """
import os, sys, torch, torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel
import lucid.torch

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.scores = nn.Linear(6, 8), nn.Bilinear(8, 8, 4)

    def forward(self, x):
        hidden = self.first(x).tanh()
        return self.scores(hidden, hidden)


def train(model, part):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for step in range(3):
        x = torch.randn(16, 6, generator=torch.Generator().manual_seed(step))[part]
        model(x).float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def model_of_one_process():
    torch.manual_seed(0)
    return lucid.torch.swap(Model())


part = slice(8 * rank, 8 * rank + 8)
reference = model_of_one_process()
train(reference, slice(None))
if sys.argv[1] == "ddp":
    model = DistributedDataParallel(model_of_one_process())
    train(model, part)
    weight = model.module.scores.weight
else:
    dtype = getattr(torch, sys.argv[1])
    wide = dtype == torch.float32
    policy = MixedPrecisionPolicy() if wide else MixedPrecisionPolicy(dtype, torch.float32)
    mesh, model = init_device_mesh("cpu", (2,)), model_of_one_process()
    fully_shard(model.scores, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    train(model, part)
    weight = model.scores.weight.full_tensor()
moved = (reference.scores.weight - model_of_one_process().scores.weight).abs().max()
error = (weight - reference.scores.weight).abs().max() / moved
assert error < (0.05 if sys.argv[1] == "bfloat16" else 1e-4), error
print("same", float(error))
dist.destroy_process_group()
"""


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "ddp"])
def test_two_processes_train_as_one(kind: str, tmp_path: Path) -> None:
    """FSDP2, which frees storages between steps, and DDP; the model of one process is the bar."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this build of PyTorch has no gloo")
    (tmp_path / "train.py").write_text(SHARDED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2",
        "PYTHONPATH": str(Path(lucid.__file__).parents[1]),
    }  # fmt: skip
    processes = [
        subprocess.Popen(  # noqa: S603 (our own code)
            [sys.executable, "train.py", kind],
            cwd=tmp_path, env={**environment, "RANK": str(rank)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]  # fmt: skip
    for process in processes:
        out, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
        assert out.startswith("same")


class Scores(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.score = Bilinear(5, 6, 3)

    def forward(self, x1: Any, x2: Any) -> Any:
        return self.score(x1, x2)


def exported(shapes: Any, **options: Any) -> tuple[Any, list[Any], Any]:
    arguments, model = tensors(shapes[:2]), Scores().eval()
    return torch.export.export(model, tuple(arguments), **options), arguments, model


@pytest.mark.parametrize("shapes", [SHAPES, PAIRS])
@pytest.mark.filterwarnings("ignore::FutureWarning")  # PyTorch's own, of its trees
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_exported_program_is_written_in_aten(shapes: Any) -> None:
    for strict in (False, True):
        program, arguments, model = exported(shapes, strict=strict)
        for each in (program, program.run_decompositions()):
            targets = {str(n.target) for n in each.graph.nodes if n.op == "call_function"}
            assert all(target.startswith("aten.") for target in targets), targets
            torch.testing.assert_close(each.module()(*arguments), model(*arguments))


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_exported_program_holds_no_products_of_all_pairs() -> None:
    program, *_ = exported(((2, 30, 1, 5), (2, 1, 40, 6)))
    largest = max(n.meta["val"].numel() for n in program.run_decompositions().graph.nodes
                  if hasattr(n.meta.get("val"), "numel"))  # fmt: skip
    assert largest <= 2 * 30 * 40 * 3  # the result; not 6 times that


@pytest.mark.filterwarnings("ignore")  # of torch.onnx and onnxscript
@pytest.mark.parametrize("shapes", [SHAPES, PAIRS])
def test_onnx_gives_the_same_numbers(shapes: Any, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    arguments, model = tensors(shapes[:2]), Scores().eval()
    program = torch.onnx.export(model, tuple(arguments), dynamo=True, verbose=False)
    program.save(tmp_path / "scores.onnx")
    session = runtime.InferenceSession(str(tmp_path / "scores.onnx"))
    given = {i.name: x.numpy() for i, x in zip(session.get_inputs(), arguments, strict=True)}
    (found,) = session.run(None, given)
    np.testing.assert_allclose(found, model(*arguments).detach().numpy(), rtol=1e-5, atol=1e-6)


def other_kinds() -> dict[str, tuple[Any, str]]:
    x = torch.ones(4, 5)
    kinds = {
        "sparse": (x.to_sparse(), "sparse"),
        "csr": (x.to_sparse_csr(), "sparse"),
        "quantized": (torch.quantize_per_tensor(x, 0.1, 0, torch.qint8), "quantized"),
        "float8": (x.to(torch.float8_e4m3fn), "float8_e4m3fn"),
        "complex32": (x.to(torch.complex64).to(torch.complex32), "complex32"),
    }
    if torch.backends.mkldnn.is_available():
        kinds["mkldnn"] = (x.to_mkldnn(), "mkldnn")
    return kinds


@pytest.mark.filterwarnings("ignore")  # PyTorch's, that these are experimental
@pytest.mark.parametrize(
    "kind", ["sparse", "csr", "quantized", "float8", "complex32", "mkldnn", "nested", "jagged"]
)
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_kinds_of_tensors_that_it_has_not(kind: str, place: int) -> None:
    weight, bias = tensors(SHAPES)[2], torch.ones(3)
    if kind in ("nested", "jagged"):
        layout = torch.jagged if kind == "jagged" else torch.strided
        other = torch.nested.nested_tensor([torch.ones(4, 5), torch.ones(2, 5)], layout=layout)
        word = "nested"
    elif kind not in (kinds := other_kinds()):
        pytest.skip(f"this build of PyTorch has no {kind}")
    else:
        other, word = kinds[kind]
    arguments = [torch.ones(4, 5), torch.ones(4, 6), weight, bias]
    arguments[place] = other
    name = ("input_1", "input_2", "weight", "bias")[place]
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            arguments[1 if place != 1 else 0].requires_grad_(grad)
            with pytest.raises(lucid.LucidError, match=rf"bilinear: {name} is .*{word}"):
                bilinear(*arguments)


def test_the_profiler_names_the_call() -> None:
    arguments = [each.requires_grad_() for each in tensors(SHAPES)]
    with torch.profiler.profile() as profile:
        torch.autograd.backward(bilinear(*arguments).sum())
        with torch.no_grad():
            bilinear(*arguments)
    names = [event.key for event in profile.key_averages()]
    assert "lucid.bilinear" in names
    assert any("lucid.bilinear" in name and "ackward" in name for name in names)
    assert sum(each.count for each in profile.key_averages() if each.key == "lucid.bilinear") == 2
