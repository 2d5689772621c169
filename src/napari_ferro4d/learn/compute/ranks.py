"""One training in several processes, as ``torchrun`` starts them.

Every process holds the whole network and its own part of the patterns. Of each batch it computes
the gradient of those patterns that it holds; the sum over the processes is the gradient of the
batch, and every process takes the same step.

It is what `torch.nn.parallel.DistributedDataParallel` does, but for one thing: gradients are summed
once, after the last part of a batch, and not layer by layer during its backward pass. So processes
may hold different shares of a batch, or none, and one that runs out of memory can repeat its share
in smaller parts without the others noticing. Summing while computing would save nothing to speak
of: the gradient of the paper's network is 19 MB, and takes 16 TFLOP per batch to compute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from napari_ferro4d.errors import ModelError

from .launch import launched
from .memory import is_out_of_memory

PATIENCE = timedelta(hours=12)
"""For a process that reads longer than the others. One that has died is noticed at once."""


@dataclass(frozen=True)
class Ranks:
    """The processes of a training.

    Parameters
    ----------
    rank : int
        Number of this process, from 0.
    count : int
        Number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and tells."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> None:
        """Replace `values` by their sum over the processes.

        Raises
        ------
        ModelError
            If another process has ended.
        """
        if self.count == 1:
            return
        try:
            dist.all_reduce(values)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise ModelError(
                f"process {self.rank} of {self.count}: another process of this training ended; "
                "see what it said, then go on with --resume."
            ) from error

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Sum the gradients over the processes, all in one message."""
        if self.count == 1:
            return
        parameters = list(parameters)
        for one in parameters:
            if one.grad is None:  # a process without a pattern in this batch
                one.grad = torch.zeros_like(one)
        grads = [one.grad for one in parameters if one.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads])
        self.sum(flat)
        for grad, summed in zip(grads, flat.split([g.numel() for g in grads]), strict=True):  # type: ignore[no-untyped-call]
            grad.copy_(summed.view(grad.shape))

    def largest(self, value: int, device: torch.device) -> int:
        """Return the largest of what the processes give."""
        values = torch.zeros(self.count, dtype=torch.float64, device=device)
        values[self.rank] = value
        self.sum(values)
        return round(values.max().item())

    def take_first(self, network: torch.nn.Module) -> None:
        """Give all processes the network that the first one has.

        Processors of different makes round differently, and a principal component may come out
        with another sign.
        """
        if self.count == 1:
            return
        for value in network.state_dict().values():
            # Through float32, which holds all that a network of float32 does.
            mine = value.float() if self.first else torch.zeros_like(value, dtype=torch.float32)
            shared = mine.contiguous()
            self.sum(shared)
            value.copy_(shared)

    def all_well(self, error: Exception | None, device: torch.device) -> None:
        """Go on if all processes can; raise `error` here, and a `ModelError` in the others."""
        failed = torch.tensor([float(error is not None)], device=device)
        if error is not None:
            with suppress(ModelError):
                self.sum(failed)
            raise error
        self.sum(failed)
        if failed.item():
            raise ModelError(
                f"process {self.rank} of {self.count}: another process of this training could not "
                "go on; see what it said."
            )

    def all(self, true: bool, device: torch.device) -> bool:
        """Return whether something is `true` in all processes."""
        count = torch.tensor([float(true)], device=device)
        self.sum(count)
        return round(count.item()) == self.count


ALONE = Ranks()


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Meet the other processes of this training, if ``torchrun`` started several.

    Raises
    ------
    ModelError
        If they do not meet.
    """
    if launched().count == 1:
        yield ALONE
        return
    ours = not dist.is_initialized()
    if ours:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        try:
            # Not everywhere, as on Windows; gloo takes tensors of GPUs too, by way of the CPU.
            nccl = device.type == "cuda" and dist.is_nccl_available()
            dist.init_process_group("nccl" if nccl else "gloo", timeout=PATIENCE)
            # They connect with the first message: better now than after reading the scans.
            dist.all_reduce(torch.zeros(1, device=device))
        except (RuntimeError, ValueError) as error:
            if dist.is_initialized():
                dist.destroy_process_group()
            said = " ".join(str(error).split())
            # What NCCL says last is what is wrong; for one, that two processes share a GPU.
            said = said.partition("Last error: ")[2] or said
            raise ModelError(
                f"the processes of this training do not meet ({said[:120]}); start them with "
                "torchrun, on GPUs one for each."
            ) from error
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        if ours:
            dist.destroy_process_group()
