"""Train in two processes, forked from `training_children`, and tell how each of them ended."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import torch

from napari_ferro4d import open_scan, save_model, train
from napari_ferro4d.errors import ScanError
from napari_ferro4d.learn import TrainingState
from napari_ferro4d.learn.compute import joined


def pair(one: Callable[[int], int]) -> list[int]:
    """Return with what the first and the second of two processes that do `one` exit."""
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    with socket.create_server(("127.0.0.1", 0)) as server:
        os.environ["MASTER_PORT"] = str(server.getsockname()[1])
    children = []
    for rank in range(2):
        child = os.fork()
        if not child:
            code = 1
            try:
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                code = one(rank)
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def share(scan: str, folder: str, options: dict, death: int | None) -> dict:
    """Train in two processes, of which the second is killed after `death` epochs.

    Each writes the model it has, and what it has to say.
    """

    def one(rank: int) -> int:
        def report(progress) -> None:
            state = progress.partial
            if rank == 1 and isinstance(state, TrainingState) and state.epoch == death:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            model = train(open_scan(scan), **options, device="cpu", report=report)
        except ScanError as error:
            Path(folder, f"{rank}.txt").write_text(str(error))
            return 2
        save_model(model, f"{folder}/{rank}.safetensors")
        return 0

    codes = pair(one)
    return {"codes": codes, "said": {p.stem: p.read_text() for p in Path(folder).glob("*.txt")}}


def agree() -> list[int]:
    """Have two processes compare what they hold, and exit with 0 if that is the same."""
    cpu = torch.device("cpu")

    def one(rank: int) -> int:
        with joined(cpu) as ranks:
            torch.manual_seed(rank)
            network = torch.nn.BatchNorm2d(3).to(memory_format=torch.channels_last)
            torch.nn.init.normal_(network.weight)
            network.register_buffer("found", torch.tensor([rank == 0, False]))
            ranks.take_first(network)
            torch.manual_seed(0)
            same = torch.equal(network.weight, torch.nn.init.normal_(torch.empty(3)))
            agreed = same and bool(network.found[0]) and ranks.largest(3 - rank, cpu) == 3
        return 0 if agreed else 3

    return pair(one)
