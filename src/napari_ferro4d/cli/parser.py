"""What the command line looks like: verbs, options, and one line for a slip."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

__all__ = ["grammar"]

Run = Callable[[argparse.Namespace], dict[str, Any] | None]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One line, where argparse prints the usage too.
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`.\n")


def _numbers(text: str, kind: Callable[[str], Any], wanted: str) -> tuple[Any, Any]:
    try:
        first, second = (kind(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None
    return first, second


def _scan_shape(text: str) -> tuple[int, int]:
    return _numbers(text.replace("x", ","), int, "a scan shape Y,X such as 256,256")


def _centre(text: str) -> tuple[float, float] | str:
    return text if text == "mean" else _numbers(text, float, "a beam centre KY,KX in pixels")


def _rotation(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        degrees = float(text)
    except ValueError:
        degrees = math.nan
    if not math.isfinite(degrees):
        raise argparse.ArgumentTypeError(f"{text!r} is neither degrees nor 'auto'")
    return degrees


def _crop(text: str) -> tuple[tuple[int | None, int | None], ...]:
    found = re.fullmatch(r"(\d{0,9}):(\d{0,9}),(\d{0,9}):(\d{0,9})", text.replace(" ", ""))
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a part of the detector KY0:KY1,KX0:KX1 such as 32:224,32:224"
        )
    top, bottom, left, right = (int(number) if number else None for number in found.groups())
    return (top, bottom), (left, right)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _channels(text: str) -> int:
    if not (text.isdecimal() and len(text) < 5 and 1 <= int(text) <= 4096):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of channels from 1 to 4096")
    return int(text)


def _channel_list(text: str) -> list[int]:
    if not re.fullmatch(r"\d{1,5}(,\d{1,5})*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of channels such as 0,3,7")
    return [int(number) for number in text.split(",")]


def _seed(text: str) -> int:
    if not (text.isdecimal() and len(text) < 20 and int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to 2^63 - 1")
    return int(text)


def grammar(verbs: Mapping[str, Run]) -> argparse.ArgumentParser:
    """Return the parser of the command line; `verbs` are the functions that do the work."""
    from importlib.metadata import version

    parser = _Parser(
        prog="ferro4d",
        description="Map ferroelectric domains from 4D-STEM scans.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=version("napari-ferro4d"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def verb(name: str, text: str, scans: str | None = None) -> Any:
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(run=verbs[name], interrupted=lambda: "interrupted; nothing was written.")
        sub.add_argument("--json", action="store_true", help="print one JSON document")
        if name in ("simulate", "demo", "cluster", "convert"):
            return sub
        if name == "channels":
            sub.add_argument("--scan", metavar="SCAN", help="what the embedding is of")
        else:
            sub.add_argument("scan", metavar="SCAN", nargs=scans, help="the 4D-STEM file or folder")
        hints = sub.add_argument_group("what the file does not say")
        hints.add_argument("--format", help="format of the file, where its name does not tell")
        hints.add_argument("--scan-shape", type=_scan_shape, metavar="Y,X", help="probe positions")
        hints.add_argument("--scan-step", type=float, metavar="NM", help="nm between positions")
        hints.add_argument(
            "--k-step", type=float, metavar="INV_ANGSTROM", help="1/angstrom per pixel"
        )
        hints.add_argument(
            "--first-frame", type=int, default=0, metavar="N", help="patterns before the scan"
        )
        hints.add_argument(
            "--flyback", type=int, default=0, metavar="N", help="patterns to skip after each row"
        )
        hints.add_argument("--snake", action="store_true", help="every second row runs backwards")
        hints.add_argument(
            "--incomplete",
            choices=("error", "pad", "trim"),
            default="error",
            help="where patterns are missing: refuse, fill with zeros, or leave out their rows",
        )
        hints.add_argument("--dtype", help="type of the counts in a headerless file, such as >u2")
        hints.add_argument(
            "--detector-shape", type=_scan_shape, metavar="KY,KX", help="of a headerless file"
        )
        hints.add_argument(
            "--offset", type=int, default=0, metavar="BYTES", help="before the first pattern"
        )
        hints.add_argument(
            "--gap", type=int, default=0, metavar="BYTES", help="between two patterns"
        )
        hints.add_argument(
            "--saturation", type=float, metavar="COUNT", help="from which on a pixel is saturated"
        )
        corrections(sub.add_argument_group("corrections, applied as patterns are read"))
        return sub

    def corrections(group: Any) -> None:
        group.add_argument("--dark", metavar="FILE", help="image to subtract: counts without beam")
        group.add_argument("--gain", metavar="FILE", help="image to multiply by")
        group.add_argument(
            "--bad-pixels",
            metavar="FILE|auto|LIST",
            help="hot and dead pixels: an image that is not 0 there, to be found, or KY,KX;KY,KX",
        )
        group.add_argument(
            "--crop", type=_crop, metavar="KY0:KY1,KX0:KX1", help="detector pixels to keep"
        )
        group.add_argument(
            "--bin", type=_positive, default=1, metavar="N", help="sum N x N detector pixels"
        )

    def output(sub: Any, metavar: str, text: str) -> None:
        sub.add_argument("-o", "--output", required=True, metavar=metavar, help=text)

    def learning(sub: Any, *, seed: bool = True) -> None:
        sub.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:i")
        if seed:
            sub.add_argument("--seed", type=_seed, default=0, help="of the random numbers")

    def cluster(sub: Any) -> None:
        sub.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="run on this dask cluster")

    def flags(sub: Any) -> None:
        sub.add_argument(
            "--flag-saturation",
            action="store_true",
            help="count the saturated detector pixels of every pattern, in the same pass",
        )

    results = "results folder (OME-Zarr), new or to be added to"
    verb("info", "Say what a file holds.")

    sub = verb("virtual", "Make a virtual image.")
    sub.add_argument(
        "--detector",
        required=True,
        metavar="DETECTOR",
        help="disk:R, annulus:R1,R2, rectangle:KY0,KX0,KY1,KX1, polygon:KY,KX;KY,KX;... "
        "(pixels from the beam centre) or the image of a mask",
    )
    sub.add_argument(
        "--centre",
        type=_centre,
        metavar="KY,KX|mean",
        help="beam centre in pixels, or of the mean pattern",
    )
    flags(sub)
    cluster(sub)
    output(sub, "RESULTS", results)

    sub = verb("com", "Map the centre of mass of every pattern.")
    sub.add_argument("--mask-radius", type=float, metavar="R", help="only counts within R pixels")
    sub.add_argument("--mask", metavar="FILE", help="image of the pixels that count, or of weights")
    sub.add_argument(
        "--background", metavar="COUNTS|FILE", help="subtract so many counts from every pixel"
    )
    sub.add_argument(
        "--threshold", type=float, metavar="COUNTS", help="leave out pixels with fewer counts"
    )
    sub.add_argument("--descan", choices=("none", "plane", "robust"), default="none")
    sub.add_argument("--rotation", type=_rotation, default=0.0, metavar="DEG|auto")
    sub.add_argument(
        "--centre",
        type=_centre,
        metavar="KY,KX|mean",
        help="beam centre in pixels, or of the mean pattern",
    )
    flags(sub)
    cluster(sub)
    output(sub, "RESULTS", results)

    sub = verb("train", "Train the autoencoder.", "+")
    sub.add_argument(
        "--preset",
        choices=("paper", "compact", "pca", "nmf", "ica"),
        help="compact unless --start; the last three are linear baselines, fitted in seconds",
    )
    sub.add_argument("--embedding", type=_channels, metavar="N", help="channels; 32")
    sub.add_argument("--epochs", type=_positive, metavar="N", help="instead of the schedule's own")
    sub.add_argument(
        "--schedule",
        metavar="NAME|FILE",
        help="auto, compact, paper-ds1, paper-ds2, paper-walls, or a .toml file of phases",
    )
    sub.add_argument(
        "--divergence",
        choices=("code", "text"),
        default="code",
        help="the divergence term as in the paper's code (subtracted) or its text (added)",
    )
    sub.add_argument("--variational", action="store_true", help="a beta-VAE, for comparison")
    going_on = sub.add_mutually_exclusive_group()
    going_on.add_argument(
        "--start", metavar="MODEL.safetensors", help="train this model on with another schedule"
    )
    going_on.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    learning(sub)
    output(sub, "MODEL.safetensors", "model file")

    sub = verb("embed", "Map a scan onto the channels of a trained autoencoder.")
    sub.add_argument("--model", required=True, metavar="MODEL.safetensors")
    learning(sub, seed=False)
    output(sub, "RESULTS", results)

    sub = verb("convert", "Make a model of a checkpoint of the paper's own code (m3_learning).")
    sub.add_argument("checkpoint", metavar="CHECKPOINT.pkl", help="nothing in it is run")
    sub.add_argument(
        "--detector-shape",
        type=_scan_shape,
        default=(256, 256),
        metavar="KY,KX",
        help="of the patterns to use the model on; 256,256 unless given",
    )
    output(sub, "MODEL.safetensors", "model file")

    embedded = "results folder with an embedding"
    sub = verb("channels", "Rank the channels of an embedding, and say which are extrinsic.")
    sub.add_argument("results", metavar="RESULTS", help=embedded)

    sub = verb("difference", "Subtract the mean patterns of a channel's lowest and highest values.")
    sub.add_argument("--results", required=True, metavar="RESULTS", help=embedded)
    sub.add_argument("--channel", type=int, required=True, metavar="N", help="of the embedding")
    sub.add_argument(
        "--against", type=int, metavar="M", help="subtract where channel M is highest instead"
    )
    sub.add_argument(
        "--share", type=float, default=0.05, help="of the positions, on each side; 0.05 is 5 %%"
    )
    output(sub, "RESULTS", results)

    sub = verb("cluster", "Divide the probe positions into classes by their embedding.")
    sub.add_argument("results", metavar="RESULTS", help=f"{embedded}; the classes go there too")
    sub.add_argument("--method", choices=("gaussian", "hdbscan"), default="gaussian")
    sub.add_argument("--classes", type=_positive, metavar="N", help="instead of what the data say")
    sub.add_argument(
        "--channels", type=_channel_list, metavar="N,N", help="instead of all that are active"
    )
    sub.add_argument("--seed", type=_seed, default=0, help="of the random numbers")

    sub = verb("classify", "Classify every probe position from a few labels.")
    given = sub.add_mutually_exclusive_group(required=True)
    given.add_argument("--labels", metavar="LABELS", help="label image [y, x], 0 = unlabelled")
    given.add_argument("--model", metavar="MODEL.safetensors", help="a trained classifier")
    sub.add_argument("--preset", choices=("paper", "compact"), default="compact")
    sub.add_argument(
        "--neighbourhood", type=int, default=0, metavar="R", help="average (2R+1)^2 patterns"
    )
    sub.add_argument("--neighbourhood-reduce", choices=("mean", "max"), default="mean")
    sub.add_argument("--epochs", type=_positive, metavar="N", help="instead of the preset's own")
    sub.add_argument("--save-model", metavar="MODEL.safetensors", help="keep the classifier")
    learning(sub)
    output(sub, "RESULTS", results)

    sub = verb("simulate", "Make a scan with known truth.")
    sub.add_argument("spec", metavar="SPEC", help="a spec (TOML), or the name of a preset")
    output(sub, "SCAN.zarr", "folder to write; a simulated scan there is replaced")

    sub = verb("demo", "Do the main job on a small simulated scan with known truth.")
    sub.add_argument("-o", "--output", default="demo-results", metavar="DIR")
    sub.add_argument("--headless", action="store_true", help="no window, so no screenshot")
    learning(sub, seed=False)
    return parser
