"""What the command line shares: one line for a slip, groups of options, numbers as text."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from napari_ferro4d.io import OpenOptions

EMBEDDED = "results folder with an embedding"
"""How the help calls what several verbs take."""


class OneLineParser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, where argparse prints the usage too."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with exit code 2."""
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`.\n")


# --- the scan, and how it is opened


def add_scan(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Add the scan, or several, and all that can be said about it."""
    parser.add_argument("scan", metavar="SCAN", nargs=nargs, help="the 4D-STEM file or folder")
    add_open_options(parser)


def add_open_options(parser: argparse.ArgumentParser) -> None:
    """Add what `open_scan` can be told, for `open_options` to collect."""
    hints = parser.add_argument_group("what the file does not say")
    hints.add_argument("--format", help="format of the file, where its name does not tell")
    hints.add_argument("--scan-shape", type=shape, metavar="Y,X", help="probe positions")
    hints.add_argument("--scan-step", type=float, metavar="NM", help="nm between positions")
    hints.add_argument("--k-step", type=float, metavar="INV_ANGSTROM", help="1/angstrom per pixel")
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
    hints.add_argument("--detector-shape", type=shape, metavar="KY,KX", help="of a headerless file")
    hints.add_argument(
        "--offset", type=int, default=0, metavar="BYTES", help="before the first pattern"
    )
    hints.add_argument("--gap", type=int, default=0, metavar="BYTES", help="between two patterns")
    hints.add_argument(
        "--saturation", type=float, metavar="COUNT", help="from which on a pixel is saturated"
    )
    group = parser.add_argument_group("corrections, applied as patterns are read")
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
        "--bin", type=positive, default=1, metavar="N", help="sum N x N detector pixels"
    )


def open_options(args: argparse.Namespace) -> OpenOptions:
    """Return what was said about the scan."""
    from napari_ferro4d.io import OpenOptions

    # The centre that verbs take is that of the analysis, which "mean" may stand for, too.
    names = {one.name for one in fields(OpenOptions)} - {"centre"}
    return OpenOptions(**{name: getattr(args, name) for name in names})


# --- what several verbs take


def add_pass(parser: argparse.ArgumentParser) -> None:
    """Add what a pass over all counts takes: a beam centre, a look for saturation, a cluster."""
    parser.add_argument(
        "--centre",
        type=_centre,
        metavar="KY,KX|mean",
        help="beam centre in pixels, or of the mean pattern",
    )
    parser.add_argument(
        "--flag-saturation",
        action="store_true",
        help="count the saturated detector pixels of every pattern, in the same pass",
    )
    parser.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="run on this dask cluster")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the device that networks run on."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:i")


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add the seed."""
    parser.add_argument("--seed", type=_seed, default=0, help="of the random numbers")


def add_output(
    parser: argparse.ArgumentParser,
    metavar: str = "RESULTS",
    text: str = "results folder (OME-Zarr), new or to be added to",
) -> None:
    """Add where to write."""
    parser.add_argument("-o", "--output", required=True, metavar=metavar, help=text)


# --- numbers as text


def shape(text: str) -> tuple[int, int]:
    """Read the size of a scan or a detector, such as ``256,256`` or ``256x256``."""
    return _pair(text.replace("x", ","), int, "a scan shape Y,X such as 256,256")


def positive(text: str) -> int:
    """Read a whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _pair(text: str, kind: Callable[[str], Any], wanted: str) -> tuple[Any, Any]:
    try:
        first, second = (kind(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None
    return first, second


def _centre(text: str) -> tuple[float, float] | str:
    return text if text == "mean" else _pair(text, float, "a beam centre KY,KX in pixels")


def _crop(text: str) -> tuple[tuple[int | None, int | None], ...]:
    found = re.fullmatch(r"(\d{0,9}):(\d{0,9}),(\d{0,9}):(\d{0,9})", text.replace(" ", ""))
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a part of the detector KY0:KY1,KX0:KX1 such as 32:224,32:224"
        )
    top, bottom, left, right = (int(number) if number else None for number in found.groups())
    return (top, bottom), (left, right)


def _seed(text: str) -> int:
    if not (text.isdecimal() and len(text) < 20 and int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to 2^63 - 1")
    return int(text)
