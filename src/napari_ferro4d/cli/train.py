"""The command that trains an autoencoder."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.scan import Scan

from .terminal import progress_bar, say

__all__ = ["train_command"]

Document = dict[str, Any]


def train_command(args: argparse.Namespace, open_one: Callable[[str], Scan]) -> Document | None:
    """Train, write the model, and return what to print; None in all processes but the first.

    Parameters
    ----------
    args : Namespace
        Of the verb ``train``.
    open_one : callable
        Opens a scan, as `args` says, from its path.
    """
    from napari_ferro4d.learn import check_model_target, launched, load_model, save_model, train

    first = launched().rank == 0
    target = check_model_target(args.output)
    checkpoint = target.with_name(target.stem + ".checkpoint.safetensors")
    if first and not args.resume and checkpoint.exists():
        old = target.with_name(target.stem + ".checkpoint.old.safetensors")
        os.replace(checkpoint, old)
        say(f"the checkpoint of a training that was interrupted is kept as {old}.")
    before = _changed(checkpoint)

    def interrupted() -> str:
        if _changed(checkpoint) == before:
            return "interrupted before the first epoch was over; nothing was written."
        return f"interrupted; the last whole epoch is in {checkpoint}, go on with --resume."

    args.interrupted = interrupted
    scans = [open_one(path) for path in args.scan]
    start = load_model(args.start) if args.start else None
    try:
        with progress_bar() if first else nullcontext() as report:
            model = train(
                scans,
                preset=args.preset,
                embedding=args.embedding,
                epochs=args.epochs,
                schedule=args.schedule,
                start=start,
                device=args.device,
                seed=args.seed,
                divergence=args.divergence,
                variational=args.variational,
                checkpoint=checkpoint,
                resume=checkpoint if args.resume else None,
                report=report,
            )
    except (KeyboardInterrupt, Cancelled):
        if first:
            raise
        raise SystemExit(130) from None
    if not first:
        return None
    save_model(model, target)
    checkpoint.unlink(missing_ok=True)
    return {"model": str(target), **_course(model.header, whole=args.json)}


def _course(header: Mapping[str, Any], *, whole: bool) -> Document:
    """Return how a training went: in a few numbers, or the `whole` of it for a program."""
    history = header["history"]
    said: Document = {
        "preset": header["preset"],
        "epochs": len(history["losses"]),
        "loss": history["losses"][-1],
        "active_channel_count": history["active"][-1],
    }
    if header["every"] > 1:
        said["every"] = header["every"]
    if whole:
        said["schedule"] = header["schedule"]
        said["history"] = {k: history[k] for k in ("losses", "terms", "learning_rates", "active")}
    return said


def _changed(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None
