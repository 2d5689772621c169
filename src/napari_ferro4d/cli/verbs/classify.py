"""``ferro4d classify``: a class for every probe position, from a few labels."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ferro4d.cli.parser import (
    add_device,
    add_output,
    add_scan,
    add_seed,
    open_options,
    positive,
)
from napari_ferro4d.cli.terminal import print_document, progress_bar, say
from napari_ferro4d.errors import ScanError

from .verb_steps import opened, written

if TYPE_CHECKING:
    from napari_ferro4d.learn import Classification, Model

_TRAINING = ("preset", "neighbourhood", "neighbourhood_reduce", "epochs", "symmetry")
"""Options that say how to train."""

_SEVERAL_FILES = ("mib", "empad")
"""Formats in which any of several files opens a scan."""

_HEADERS = (".hdr", ".xml")
"""How the names of their headers end."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    add_scan(parser, "+")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--labels", metavar="LABELS", help="label image [y, x], 0 = unlabelled")
    given.add_argument(
        "--model", metavar="MODEL.safetensors", help="a trained classifier, for one scan or many"
    )
    # Without defaults, to tell what was given: none of these is for a model trained before.
    training = parser.add_argument_group("training, with --labels")
    training.add_argument("--preset", choices=("fast", "paper"), help="fast by default")
    training.add_argument(
        "--neighbourhood", type=int, metavar="R", help="average (2R+1)^2 patterns; 0 by default"
    )
    training.add_argument("--neighbourhood-reduce", choices=("mean", "max"), help="mean by default")
    training.add_argument("--epochs", type=positive, metavar="N", help="paper: instead of its own")
    training.add_argument(
        "--symmetry",
        action="append",
        metavar="OPERATION",
        help='what becomes of the classes of a turned pattern, such as "rot90: 1->2, 2->1, 3->3"',
    )
    parser.add_argument("--save-model", metavar="MODEL.safetensors", help="keep the classifier")
    add_device(parser)
    add_seed(parser)
    add_output(
        parser, text="results folder (OME-Zarr), new or to be added to; of many scans, their folder"
    )


def run(args: argparse.Namespace) -> int:
    """Train a classifier on the labels, or take a trained one, and write what it says."""
    from napari_ferro4d.learn import check_model_target, load_model, save_model
    from napari_ferro4d.results import check_target

    if args.model:
        _check_options(args)
    folders = [path for path in args.scan if _holds_scans(args, path)]
    many = len(args.scan) > 1 or bool(folders)
    if many and args.labels:
        raise ScanError(
            "labels are of one scan; train on that with --save-model, then apply the model to the "
            "others with --model."
        )
    given = [_scans_in(args, path) if path in folders else [path] for path in args.scan]
    args.scan = [path for paths in given for path in paths]
    targets = _targets(args) if many else [args.output]
    for target in targets:
        check_target(target)
    if args.save_model:
        check_model_target(args.save_model)
    model = load_model(args.model) if args.model else None
    documents: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    for path, target in zip(args.scan, targets, strict=True):
        args.output = target
        try:
            document, result = _one(args, path, model)
        except ScanError as error:
            if not many:
                raise
            message = str(error) if str(Path(path)) in str(error) else f"{path}: {error}"
            say(message)
            errors.append({"scan": path, "error": message})
            continue
        documents.append(document)
        if result.warning:
            say(f"{path}: {result.warning}")
    if args.save_model and documents:
        save_model(result.model, args.save_model)
        documents[0]["model"] = args.save_model
    if many and args.json:
        documents = [{"scans": documents, "errors": errors}]
    codes = [print_document(document, as_json=args.json) for document in documents]
    return 2 if errors else max(codes, default=0)


def _check_options(args: argparse.Namespace) -> None:
    """Refuse what says how to train, where nothing is trained."""
    given = [f"--{name.replace('_', '-')}" for name in _TRAINING if getattr(args, name) is not None]
    if given:
        raise ScanError(
            f"{args.model}: is trained already; leave out {', '.join(given)}, or train anew with "
            "--labels."
        )


def _holds_scans(args: argparse.Namespace, path: str) -> bool:
    """Return whether `path` is a folder to look for scans in, and not a scan itself."""
    from napari_ferro4d.open import is_scan

    return bool(args.model and not args.format and Path(path).is_dir() and not is_scan(path))


def _scans_in(args: argparse.Namespace, folder: str) -> list[str]:
    """Return the scans in a folder, one file for each.

    A scan may lie in several files, each of which opens it: a header and its data, the numbered
    files of one acquisition. The first is taken, and a header only where there is nothing else.
    """
    from napari_ferro4d.open import is_scan, open_with_options

    files = sorted(one for one in Path(folder).iterdir() if is_scan(one))
    if not files:
        raise ScanError(f"{folder}: holds no 4D-STEM scan; give a scan, or a folder of scans.")
    data = [one for one in files if one.suffix.lower() not in _HEADERS]
    stems = {one.stem for one in data}
    headers = [one for one in files if one not in data and one.stem not in stems]
    options = open_options(args).uncorrected()
    found: dict[str, str] = {}
    for one in data + headers:
        same = str(one)
        with suppress(ScanError):  # said when its turn comes
            scan = open_with_options(one, options)
            if scan.source and scan.source.format in _SEVERAL_FILES:
                same = scan.signature
        found.setdefault(same, str(one))
    return sorted(found.values())


def _targets(args: argparse.Namespace) -> list[str]:
    """Return a results folder for each of several scans, named after it."""
    folder = Path(args.output)
    if folder.is_file():
        raise ScanError(f"{folder}: is a file; choose a folder for the results of many scans.")
    names = [f"{Path(path).stem}.zarr" for path in args.scan]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ScanError(
            f"{folder}: {twice[0]} would hold results of several scans of that name; classify "
            "them one at a time."
        )
    return [str(folder / name) for name in names]


def _one(
    args: argparse.Namespace, path: str, model: Model | None
) -> tuple[dict[str, Any], Classification]:
    """Classify one scan, and write the results."""
    from napari_ferro4d.learn import Symmetry, classify, model_record
    from napari_ferro4d.results import LabelResult, classification_results, read_label_result

    scan = opened(args, path)
    labels = read_label_result(args.labels, scan.scan_shape) if args.labels else None
    with progress_bar() as report:
        result = classify(
            scan,
            None if labels is None else labels.data,
            model=model,
            preset=args.preset or "fast",
            neighbourhood=args.neighbourhood or 0,
            neighbourhood_reduce=args.neighbourhood_reduce or "mean",
            epochs=args.epochs,
            classes=None if labels is None else labels.classes,
            colours=None if labels is None else labels.colours,
            symmetry=Symmetry.parse(args.symmetry) if args.symmetry else None,
            device=args.device,
            seed=args.seed,
            report=report,
        )
    maps, images = classification_results(result, scan)
    if labels is not None:
        # A copy for the record. It is not called "labels": those are the user's own to replace.
        style = (scan.scan_step, labels.classes, labels.colours, images[0].scan)
        images.append(LabelResult("trained_on", labels.data, *style))
    parameters = {"labels": args.labels, "model": args.model, "trained": model_record(result.model)}
    document = written(args, scan, "classify", parameters, maps=maps, labels=images)
    return document | _figures(result), result


def _figures(result: Classification) -> dict[str, Any]:
    """Return what is said of the map, as JSON types."""
    held_out = result.held_out
    figures: dict[str, Any] = {
        "classes": [int(c) for c in result.classes],
        "positions_per_class": [int((result.prediction == c).sum()) for c in result.classes],
        "validation_accuracy": result.validation_accuracy,
        "spatial_strength": result.spatial_strength,
    }
    if held_out is not None:
        figures |= {
            "validation_accuracy_range": list(held_out.accuracy_range),
            "balanced_accuracy": held_out.balanced_accuracy,
            "calibration_error": held_out.calibration_error,
            "confusion": held_out.confusion.tolist(),
        }
    if result.why_no_figure:
        figures["why_no_figure"] = result.why_no_figure
    if result.disagreements:
        figures["disagreements"] = [
            [one.y, one.x, one.label, one.predicted, round(one.probability, 3)]
            for one in result.disagreements
        ]
    if result.warning:
        figures["warning"] = result.warning
    return figures
