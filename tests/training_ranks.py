"""Train in two processes that were forked from this one, and tell how each of them ended.

    python tests/training_ranks.py SCAN FOLDER OPTIONS-OF-TRAIN-AS-JSON

Once both live to the end, and each writes the model it has; once the second is killed during its
third epoch.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time

import torch

from napari_ferro4d import open_scan, save_model, train
from napari_ferro4d.errors import ScanError
from napari_ferro4d.learn import TrainingState


def one(rank: int, scan: str, out: str, options: dict, death: int) -> int:
    """Be one of the two processes, and return what to exit with."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}

    def report(progress) -> None:
        state = progress.partial
        if rank == 1 and isinstance(state, TrainingState) and state.epoch == death:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        model = train(open_scan(scan), **options, device="cpu", report=report)
    except ScanError as error:
        print(error, file=sys.stderr)
        return 2
    save_model(model, out.replace("RANK", str(rank)))
    return 0


def pair(scan: str, out: str, options: dict, death: int) -> dict:
    """Train in two processes, of which the second is killed after `death` epochs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        os.environ["MASTER_PORT"] = str(server.getsockname()[1])
    children = []
    for rank in range(2):
        child = os.fork()
        if not child:
            code = 1
            try:
                code = one(rank, scan, out, options, death)
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    ends = {}
    while len(ends) < 2:
        child, status = os.wait()
        ends[child] = os.waitstatus_to_exitcode(status), time.monotonic()
    (first, then), (second, later) = (ends[child] for child in children)
    return {"codes": [first, second], "seconds_between": then - later}


def main(scan: str, folder: str, options: dict) -> dict:
    torch.set_num_threads(1)
    train(open_scan(scan), **{**options, "epochs": 1})
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    out = f"{folder}/RANK.safetensors"
    return {"living": pair(scan, out, options, -1), "dying": pair(scan, out, options, 2)}


if __name__ == "__main__":
    scan, folder, options = sys.argv[1:]
    print(json.dumps(main(scan, folder, json.loads(options))))
