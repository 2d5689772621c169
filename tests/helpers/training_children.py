"""Processes that are killed, share work or run short of memory: forks of one that is warm.

    python -m helpers.training_children SCAN        (in tests/)

Here torch is loaded, and has trained on SCAN with its single thread: what takes seconds in a new
process is there at once in a fork. Each line of standard input is a job and its arguments as JSON;
each is answered with one line of JSON, null if it failed, which standard error then explains.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

import torch

from helpers.training_kills import kill
from helpers.training_memory import run_short
from helpers.training_ranks import agree, share
from napari_ferro4d import open_scan, train

JOBS = {"agree": agree, "kill": kill, "run short": run_short, "share": share}


def do(job: str, *arguments: object) -> None:
    """Do a job in a fork, and wait for it."""
    child = os.fork()
    if child:
        if os.waitpid(child, 0)[1]:
            print("null", flush=True)
        return
    code = 1
    try:
        print(json.dumps(JOBS[job](*arguments)), flush=True)
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(open_scan(sys.argv[1]), embedding=4, epochs=1, device="cpu")
    for line in sys.stdin:
        do(*json.loads(line))
