"""The command ``ferro4d``: its verbs, and what becomes of an error.

Exit codes: 0 done; 2 bad usage or bad input, said in one line on standard error; 130 interrupted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Cancelled

from .parser import OneLineParser
from .terminal import fail

VERBS = {
    "info": "Say what a file holds.",
    "virtual": "Make a virtual image.",
    "com": "Map the centre of mass of every pattern.",
    "train": "Train the autoencoder.",
    "embed": "Map a scan onto the channels of a trained autoencoder.",
    "convert": "Make a model of a checkpoint of the paper's own code (m3_learning).",
    "channels": "Rank the channels of an embedding, and say which are extrinsic.",
    "difference": "Subtract the mean patterns of a channel's lowest and highest values.",
    "cluster": "Divide the probe positions into classes by their embedding.",
    "suggest": "Say which probe positions to label next.",
    "classify": "Classify every probe position from a few labels.",
    "simulate": "Make a scan with known truth.",
    "demo": "Do the main job on a small simulated scan with known truth.",
}
"""Each verb has a file of its name in `verbs`, with `add_options` and `run`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    description = "Map ferroelectric domains from 4D-STEM scans."
    parser = OneLineParser(prog="ferro4d", description=description, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=version("napari-ferro4d"))
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", title="commands", parser_class=_VerbParser
    )
    for name, text in VERBS.items():
        commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    args = parser.parse_args(argv)
    # Libraries explain a broken file at length and in their own words; ours is one line.
    logging.getLogger("rsciio").setLevel(logging.CRITICAL)
    try:
        code: int = args.run(args)
    except ScanError as error:
        return fail(str(error), 2)
    except (KeyboardInterrupt, Cancelled) as stopped:
        return fail(str(stopped) or "interrupted; nothing was written.", 130)
    except OSError as error:  # a file that may not be read, a name that is too long
        return fail(f"{error.filename or 'the system'}: {error.strerror or error}.", 2)
    except MemoryError as error:
        return fail(f"there is not enough memory ({error}).", 2)
    return code


class _VerbParser(OneLineParser):
    """The options of one verb, added when the command line turns out to be about it.

    So the command starts no slower for having many.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Load the file of the verb, and read what is for it."""
        verb = import_module(f"{__package__}.verbs.{self.prog.rpartition(' ')[2]}")
        self.add_argument("--json", action="store_true", help="print one JSON document")
        verb.add_options(self)
        self.set_defaults(run=verb.run)
        return super().parse_known_args(args, namespace)
