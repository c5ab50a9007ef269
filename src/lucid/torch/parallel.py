"""Bilinear layers on many machines: a style for PyTorch's `parallelize_module`."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import (
    DTensor,
    Placement,
    Replicate,
    Shard,
    distribute_module,
    distribute_tensor,
)
from torch.distributed.tensor.parallel import ParallelStyle

from .._errors import LibraryError
from ._module import Bilinear
from ._sharding import register

__all__ = ["OutputsParallel"]

register()  # also for what is compiled before it is first called


class OutputsParallel(ParallelStyle):
    """Divide a `lucid.torch.Bilinear` by its outputs, for `parallelize_module`.

    Each device has its share of `weight`, `bias`, `weight_1` and `weight_2`, and computes its
    outputs of all rows. Nothing is sent forward; backward the gradients of the inputs are added up,
    N · (in1 + in2) numbers. Inputs that are no DTensors are taken to be the same on all devices.
    `output_layouts` is the placement of the result: its own, `Shard(-1)`, or another to which it is
    brought; with `use_local_output` the layer returns the device's part as a plain tensor.

    Raises LibraryError for a layer of another class.

    >>> import torch
    >>> from lucid.torch import Bilinear
    >>> from lucid.torch.parallel import OutputsParallel
    >>> model = torch.nn.ModuleDict({"score": Bilinear(3, 4, 6)})
    >>> plan = {"score": OutputsParallel()}   # for parallelize_module(model, mesh, plan)
    """

    def __init__(
        self, *, output_layouts: Placement | None = None, use_local_output: bool = True
    ) -> None:
        super().__init__()
        self.output_layouts = Shard(-1) if output_layouts is None else output_layouts
        self.use_local_output = use_local_output

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        if not isinstance(module, Bilinear):
            raise LibraryError(
                f"OutputsParallel: module is {type(module).__name__}, expected a "
                "lucid.torch.Bilinear; lucid.torch.swap makes one of a torch.nn.Bilinear"
            )
        return distribute_module(module, device_mesh, _divide, _whole, self._placed)

    def _placed(self, _: nn.Module, out: DTensor, mesh: DeviceMesh) -> Any:
        out = out.redistribute(mesh, [self.output_layouts])
        return out.to_local() if self.use_local_output else out


def _divide(_: str, module: nn.Module, mesh: DeviceMesh) -> None:
    for name, parameter in module.named_parameters(recurse=False):
        divided = distribute_tensor(parameter, mesh, [Shard(0)])
        module.register_parameter(name, nn.Parameter(divided, parameter.requires_grad))


def _whole(_: nn.Module, inputs: Any, mesh: DeviceMesh) -> Any:
    return tuple(
        x.redistribute(mesh, [Replicate()])
        if isinstance(x, DTensor)
        else DTensor.from_local(x, mesh, [Replicate()], run_check=False)
        for x in inputs
    )
