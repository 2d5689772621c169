"""``ferro4d train``: an autoencoder, trained on one or more scans."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ferro4d.cli.parser import add_device, add_output, add_scan, add_seed, positive
from napari_ferro4d.cli.terminal import print_document, progress_bar, say
from napari_ferro4d.jobs import Cancelled

from .verb_steps import opened

if TYPE_CHECKING:
    from napari_ferro4d.learn import Model


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    add_scan(parser, "+")
    parser.add_argument(
        "--preset",
        choices=("paper", "compact", "pca", "nmf", "ica"),
        help="compact unless --start; the last three are linear baselines, fitted in seconds",
    )
    parser.add_argument("--embedding", type=_channels, metavar="N", help="channels; 32")
    parser.add_argument(
        "--epochs", type=positive, metavar="N", help="instead of the schedule's own"
    )
    parser.add_argument(
        "--schedule",
        metavar="NAME|FILE",
        help="auto, compact, paper-ds1, paper-ds2, paper-walls, or a .toml file of phases",
    )
    parser.add_argument(
        "--divergence",
        choices=("code", "text"),
        default="code",
        help="the divergence term as in the paper's code (subtracted) or its text (added)",
    )
    parser.add_argument("--variational", action="store_true", help="a beta-VAE, for comparison")
    going_on = parser.add_mutually_exclusive_group()
    going_on.add_argument(
        "--start", metavar="MODEL.safetensors", help="train this model on with another schedule"
    )
    going_on.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    add_device(parser)
    add_seed(parser)
    add_output(parser, "MODEL.safetensors", "model file")


def run(args: argparse.Namespace) -> int:
    """Train, and write the model; of several processes that train one, the first does so."""
    from napari_ferro4d.learn import check_model_target, launched, save_model

    first = launched().rank == 0
    target = check_model_target(args.output)
    checkpoint = target.with_name(target.stem + ".checkpoint.safetensors")
    if first and not args.resume and checkpoint.exists():
        old = target.with_name(target.stem + ".checkpoint.old.safetensors")
        os.replace(checkpoint, old)
        say(f"the checkpoint of a training that was interrupted is kept as {old}.")
    before = _changed(checkpoint)
    try:
        model = _trained(args, checkpoint, bar=first)
        if first:
            save_model(model, target)
    except (KeyboardInterrupt, Cancelled):
        if not first:
            raise SystemExit(130) from None
        said = "interrupted before the first epoch was over; nothing was written."
        if _changed(checkpoint) != before:
            said = f"interrupted; the last whole epoch is in {checkpoint}, go on with --resume."
        raise Cancelled(said) from None
    if not first:
        return 0
    checkpoint.unlink(missing_ok=True)
    document = {"model": str(target), **_course(model.header, whole=args.json)}
    return print_document(document, as_json=args.json)


def _trained(args: argparse.Namespace, checkpoint: Path, *, bar: bool) -> Model:
    from napari_ferro4d.learn import TrainingOptions, load_model, train_with_options

    scans = [opened(args, path) for path in args.scan]
    asked = {one.name: getattr(args, one.name) for one in fields(TrainingOptions)}
    asked["start"] = load_model(args.start) if args.start else None
    with progress_bar() if bar else nullcontext() as report:
        return train_with_options(
            scans,
            TrainingOptions(**asked),
            resume=checkpoint if args.resume else None,
            checkpoint=checkpoint,
            report=report,
        )


def _course(header: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Return how a training went: in a few numbers, or the `whole` of it for a program."""
    history = header["history"]
    said: dict[str, Any] = {
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


def _channels(text: str) -> int:
    if not (text.isdecimal() and len(text) < 5 and 1 <= int(text) <= 4096):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of channels from 1 to 4096")
    return int(text)
