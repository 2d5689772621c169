"""What verbs do alike: open the scan that was given, and write what was found."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from napari_ferro4d.cli.parser import open_options
from napari_ferro4d.cli.terminal import progress_bar, say

if TYPE_CHECKING:
    from napari_ferro4d.reduce import Saturation
    from napari_ferro4d.results import LabelResult, MapResult
    from napari_ferro4d.scan import Scan


def opened(args: argparse.Namespace, path: str | None = None) -> Scan:
    """Open the scan at `path`, by default the one that was given, as was said about it."""
    from napari_ferro4d.open import open_with_options

    # Looking for bad pixels is the only part of opening that takes long.
    with progress_bar() if args.bad_pixels == "auto" else nullcontext() as report:
        return open_with_options(path or args.scan, open_options(args), report)


def written(
    args: argparse.Namespace,
    scan: Scan,
    command: str,
    parameters: Mapping[str, Any],
    maps: Sequence[MapResult] = (),
    labels: Sequence[LabelResult] = (),
    found: Saturation | None = None,
) -> dict[str, Any]:
    """Write results and their provenance, and return what was written, to be printed.

    Parameters
    ----------
    args : Namespace
        ``output`` is the folder.
    scan : Scan
        What the results are of.
    command : str
        The verb.
    parameters : mapping
        How they were made, as JSON types.
    maps, labels : sequence
        The results.
    found : Saturation, optional
        The saturated pixels, if they were counted.
    """
    from napari_ferro4d.results import provenance, saturation_result, write_results

    counted: dict[str, Any] = {}
    if found is not None:
        maps = [*maps, saturation_result(found, scan)]
        counted = {
            "saturation": found.limit,
            "saturated_patterns": found.patterns,
            "saturated_pixels": found.pixels,
        }
    entry = provenance(command, {**parameters, **counted}, scan)
    folder = write_results(args.output, maps=maps, labels=labels, provenance=[entry])
    if found is not None and found.patterns:
        say(f"{found.patterns} of {found.total} patterns have saturated pixels.")
    document: dict[str, Any] = {
        "results": str(folder),
        "maps": [f"maps/{one.name}" for one in maps],
    }
    if labels:
        document["labels"] = [f"labels/{one.name}" for one in labels]
    return {**document, **counted}
