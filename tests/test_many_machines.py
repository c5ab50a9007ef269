"""DTensor: placements, collectives and numbers, in two processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import lucid

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

DIVIDED = """
import itertools, torch, torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import parallelize_module
from lucid.torch import Bilinear, bilinear
from lucid.torch.parallel import OutputsParallel

torch.set_num_threads(1)
dist.init_process_group("gloo")
mesh = init_device_mesh("cpu", (2,))
R, S, P = Replicate(), Shard, Partial()


def drawn(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]


def check(given, placements, result, gradients, wanted=None):
    "Numbers are those of one device, placements as told, and nothing is sent."
    names = range(len(given)) if wanted is None else wanted
    plain = [x.clone().requires_grad_(k in names) for k, x in enumerate(given)]
    divided = [distribute_tensor(x.detach(), mesh, [p]).requires_grad_(k in names)
               for k, (x, p) in enumerate(zip(plain, placements))]
    right = bilinear(*plain)
    g = torch.cos(right.detach())
    with CommDebugMode() as comm:
        out = bilinear(*divided)
    assert comm.get_total_counts() == 0, comm.get_comm_counts()
    assert out.placements == (result,), (placements, out.placements)
    torch.testing.assert_close(out.full_tensor(), right, rtol=1e-12, atol=1e-12)
    start = distribute_tensor(g, mesh, [R if result == P else result])
    with CommDebugMode() as comm:
        found = torch.autograd.grad(out, [divided[k] for k in names], start)
    assert comm.get_total_counts() == 0, comm.get_comm_counts()
    for one, placement, exactly in zip(
        found, gradients, torch.autograd.grad(right, [plain[k] for k in names], g)
    ):
        assert one.placements == (placement,), (placements, [x.placements for x in found])
        torch.testing.assert_close(one.full_tensor(), exactly, rtol=1e-11, atol=1e-12)


rows = drawn((6, 3), (6, 4), (8, 3, 4), (8,))
pairs = drawn((2, 6, 1, 3), (2, 1, 8, 4), (8, 3, 4))
even = drawn((6, 4), (6, 6), (8, 4, 6))
check(rows, (S(0), S(0), R, R), S(0), (S(0), S(0), P, P))
check(rows, (R, R, S(0), S(0)), S(1), (P, P, S(0), S(0)))
check(even, (S(1), R, S(1)), P, (S(1), P, S(1)))
check(even, (R, S(1), S(2)), P, (P, S(1), S(2)))
check(pairs, (S(0), S(0), R), S(0), (S(0), S(0), P))
check(pairs, (S(1), R, R), S(1), (S(1), P, P))       # rows of the first input alone
check(pairs, (R, S(2), R), S(2), (P, S(2), P))
check(pairs, (R, R, S(0)), S(3), (P, P, S(0)))
check([x[:3] for x in rows[:2]] + rows[2:3], (S(0), S(0), R), S(0), (S(0), S(0), P))  # 2 and 1
for wanted in itertools.chain.from_iterable(itertools.combinations(range(3), n) for n in (1, 2)):
    both = [S(1), P, P]
    check(pairs, (S(1), R, R), S(1), [both[k] for k in wanted], wanted)
    both = [P, P, S(0)]
    check(pairs, (R, R, S(0)), S(3), [both[k] for k in wanted], wanted)
    both = [S(1), P, S(1)]
    check(even, (S(1), R, S(1)), P, [both[k] for k in wanted], wanted)

# the same tensors, and another shape of what is not there
wide = [pairs[0].expand(2, 6, 8, 3).contiguous(), *pairs[1:]]
for given, gradient in ((pairs, P), (wide, S(2)), (pairs, P)):
    check(given, (R if given is pairs else S(2), S(2), R), S(2), [gradient], [0])

# a bias beside a sum over parts is added once
x1, x2, weight = [distribute_tensor(x, mesh, [p]) for x, p in zip(even, (S(1), R, S(1)))]
bias = torch.arange(8.0, dtype=torch.float64)
out = bilinear(x1, x2, weight, distribute_tensor(bias, mesh, [R]))
torch.testing.assert_close(out.full_tensor(), bilinear(*even, bias))

# second derivatives, and linear terms
for placements in ((S(0), S(0), R), (R, R, S(0))):
    def slopes(x1, x2, weight):
        (first,) = torch.autograd.grad(bilinear(x1, x2, weight).sum(), x1, create_graph=True)
        return torch.autograd.grad(first.square().sum(), (x2, weight))
    plain = [x.clone().requires_grad_() for x in even]
    divided = [distribute_tensor(x.detach(), mesh, [p]).requires_grad_()
               for x, p in zip(plain, placements)]
    for one, other in zip(slopes(*divided), slopes(*plain)):
        torch.testing.assert_close(one.full_tensor(), other, rtol=1e-11, atol=1e-11)

# the style
torch.manual_seed(0)
layer = Bilinear(4, 6, 8, linear_1=True, linear_2=True, dtype=torch.float64)
right = layer(*even[:2])
plain = [x.clone().requires_grad_() for x in even[:2]]
expected = torch.autograd.grad(layer(*plain).square().sum(), [*plain, layer.weight])
model = parallelize_module(torch.nn.ModuleDict({"score": layer}), mesh, {
    "score": OutputsParallel(use_local_output=False)})
assert all(x.placements == (S(0),) for x in model.parameters())
with CommDebugMode() as comm:
    out = model["score"](*plain)
assert comm.get_total_counts() == 0, comm.get_comm_counts()
assert out.placements == (S(1),)
torch.testing.assert_close(out.full_tensor(), right)
out.square().sum().backward()
found = [x.grad for x in (*plain, model["score"].weight)]
for one, other in zip(found, expected):
    one = one.full_tensor() if isinstance(one, DTensor) else one
    torch.testing.assert_close(one, other)
torch.manual_seed(0)
layer = Bilinear(4, 6, 8, linear_1=True, linear_2=True, dtype=torch.float64)
other = parallelize_module(layer, mesh, OutputsParallel(output_layouts=R))
torch.testing.assert_close(other(*plain), right)
print("same")
dist.destroy_process_group()
"""


def run_twice(code: str, folder: Path) -> None:
    """Run a script in two processes that know of each other."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this build of PyTorch has no gloo")
    (folder / "divided.py").write_text(code)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2",
        "PYTHONPATH": str(Path(lucid.__file__).parents[1]),
    }  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, "divided.py"],
            cwd=folder, env={**environment, "RANK": str(rank)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]  # fmt: skip
    done = [(*process.communicate(timeout=240), process.returncode) for process in processes]
    for out, error, code_of in done:
        assert code_of == 0, error
        assert out.strip().endswith("same")


def test_placements_collectives_and_numbers_of_two_processes(tmp_path: Path) -> None:
    run_twice(DIVIDED, tmp_path)


def test_nothing_of_it_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, torch; before = set(sys.modules); import lucid.torch;"
        "x = torch.ones(2, 3); lucid.torch.Bilinear(3, 3, 2)(x, x).sum().backward();"
        "print([n for n in set(sys.modules) - before if n.startswith('torch.distributed.tensor')])"
    )
    done = subprocess.run(  # noqa: S603 (our own code)
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(lucid.__file__).parents[1])},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_the_style_is_for_our_layer() -> None:
    if not torch.distributed.is_available():
        pytest.skip("this build of PyTorch has no torch.distributed")
    from lucid.torch.parallel import OutputsParallel

    with pytest.raises(lucid.LibraryError, match=r"^OutputsParallel: module is Linear, expected a"):
        OutputsParallel()._apply(torch.nn.Linear(2, 3), None)  # type: ignore[arg-type, unused-ignore]
