"""``ferro4d classify``: a class for every probe position, from a few labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ferro4d.cli.parser import add_device, add_output, add_scan, add_seed, positive
from napari_ferro4d.cli.terminal import print_document, progress_bar, say
from napari_ferro4d.errors import ScanError

from .verb_steps import opened, written

if TYPE_CHECKING:
    from napari_ferro4d.learn import Classification, Model

_TRAINING = ("preset", "neighbourhood", "neighbourhood_reduce", "epochs", "symmetry")
"""Options that say how to train."""


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

    given = [f"--{name.replace('_', '-')}" for name in _TRAINING if getattr(args, name) is not None]
    if args.model and given:
        raise ScanError(
            f"{args.model}: is trained already; leave out {', '.join(given)}, or train anew with "
            "--labels."
        )
    if args.model and not args.format:
        args.scan = [one for path in args.scan for one in _scans_in(path)]
    many = len(args.scan) > 1
    if many and args.labels:
        raise ScanError(
            "labels are of one scan; train on that with --save-model, then apply the model to the "
            "others with --model."
        )
    targets = _targets(args) if many else [args.output]
    for target in targets:
        check_target(target)
    if args.save_model:
        check_model_target(args.save_model)
    model = load_model(args.model) if args.model else None
    documents = []
    for path, target in zip(args.scan, targets, strict=True):
        args.output = target
        document, result = _one(args, path, model)
        documents.append(document)
        if result.warning:
            say(f"{path}: {result.warning}")
    if args.save_model:
        save_model(result.model, args.save_model)
        documents[0]["model"] = args.save_model
    if many and args.json:
        return print_document({"scans": documents}, as_json=True)
    for document in documents:
        print_document(document, as_json=args.json)
    return 0


def _scans_in(path: str) -> list[str]:
    """Return a scan as it is, and the scans in a folder that is none itself."""
    from napari_ferro4d.open import is_scan

    folder = Path(path)
    if not folder.is_dir() or is_scan(folder):
        return [path]
    # Without any, opening the folder says what is wrong.
    return [str(one) for one in sorted(folder.iterdir()) if is_scan(one)] or [path]


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
    folder.mkdir(parents=True, exist_ok=True)
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
