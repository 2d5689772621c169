"""A GPU that is not there: tensors that say they are on it, while the CPU computes.

As with a real one, an operation on tensors of two devices fails, and so does an array of a tensor
that is not on the CPU. That code runs on a GPU of which nothing is known but these rules is what it
shows; how a GPU rounds, and how fast it is, it does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from napari_ferro4d.learn.compute import gpus

__all__ = ["GPU", "asked_anew", "pretended_cuda"]

GPU = torch.device("cuda:0")

INDEXING = {"aten::index", "aten::index_put_"}
"""What takes numbers of rows from the CPU, too, as long as the rows are on the GPU."""


class Pretended(torch.Tensor):
    """A tensor on the GPU; `raw` holds its numbers."""

    raw: torch.Tensor
    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> Pretended:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            raw.shape,
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
        )
        made.raw = raw
        return made

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in (torch.Tensor.numpy, torch.Tensor.__array__):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        if func is torch.Tensor.tolist:
            return args[0].raw.tolist()
        if func is torch.nn.functional.one_hot:  # makes numbers where torch takes the tensor to be
            return Pretended(func(args[0].raw, *args[1:], **kwargs))
        if func is torch.Tensor.cpu:
            func, kwargs = torch.Tensor.to, {"device": "cpu"}
        if func is torch.Tensor.to:
            # Torch itself takes these tensors for ones on the CPU, and would copy nothing.
            tensor, *wanted = args
            for one in wanted:
                if isinstance(one, torch.dtype):
                    kwargs["dtype"] = one
                elif isinstance(one, torch.Tensor):
                    kwargs |= {"dtype": one.dtype, "device": one.device}
                else:
                    kwargs["device"] = one
            to_cpu = torch.device(kwargs.pop("device", tensor.device)).type == "cpu"
            if to_cpu and isinstance(tensor, Pretended):
                return tensor.detach().raw.clone().to(**kwargs)
            if not to_cpu and not isinstance(tensor, Pretended):
                kwargs["device"] = GPU
            if not kwargs:
                return tensor
            args = (tensor,)
        return super().__torch_function__(func, types, args, kwargs)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _computed(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _computed(func, args, kwargs or {})


def _computed(func: Any, args: Any, kwargs: Any) -> Any:
    """Do an operation on the CPU, if all it takes is on one device; return results on that."""
    name = func._schema.name
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
    there = [one for one in tensors if isinstance(one, Pretended)]
    result_there = bool(there)
    if name == "aten::copy_":
        result_there = isinstance(args[0], Pretended)
    elif there:
        for one in tensors:
            number = name in INDEXING and isinstance(args[0], Pretended) and one is not args[0]
            if not isinstance(one, Pretended) and one.dim() and not (number and _counts(one)):
                raise RuntimeError(
                    f"{name}: Expected all tensors to be on the same device, but found at least "
                    "two devices, cuda:0 and cpu!"
                )
    elif kwargs.get("device") is not None:
        result_there = torch.device(kwargs["device"]).type == "cuda"

    def on_cpu(one: Any) -> Any:
        if isinstance(one, Pretended):
            return one.raw
        return torch.device("cpu") if isinstance(one, torch.device) else one

    result = func(*tree_map(on_cpu, args), **tree_map(on_cpu, kwargs))
    known = {id(one.raw): one for one in there}  # what was changed in place stays what it is

    def on_device(one: Any) -> Any:
        if not isinstance(one, torch.Tensor) or not result_there:
            return one
        return known[id(one)] if id(one) in known else Pretended(one)

    return tree_map(on_device, result)


def _counts(tensor: torch.Tensor) -> bool:
    return tensor.dtype in (torch.int64, torch.bool)


@contextmanager
def asked_anew() -> Iterator[None]:
    """Forget within the block, and after it, what torch has said of GPUs."""
    gpus.cache_clear()
    yield
    gpus.cache_clear()


@contextmanager
def pretended_cuda(patch: pytest.MonkeyPatch, *, memory: int = 2**33) -> Iterator[None]:
    """Let torch find one GPU within the block, with so many bytes of `memory`."""
    state = torch.zeros(1, dtype=torch.uint8)
    found = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "is_bf16_supported": lambda *_, **__: True,
        "mem_get_info": lambda _=None: (memory, memory),
        "get_rng_state": lambda _=None: state,
        "set_rng_state": lambda *_: None,
        "manual_seed": lambda _: None,
        "empty_cache": lambda: None,
        "device": lambda _: nullcontext(),
    }
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    lift = torch._C._only_lift_cpu_tensors()
    with patch.context() as within, asked_anew():
        for name, value in found.items():
            within.setattr(torch.cuda, name, value)
        try:
            # A network's tensors are put in the place of others, not into these.
            torch.__future__.set_overwrite_module_params_on_conversion(True)
            torch._C._set_only_lift_cpu_tensors(True)
            with _Mode():
                yield
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
            torch._C._set_only_lift_cpu_tensors(lift)
