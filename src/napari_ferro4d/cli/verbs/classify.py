"""``ferro4d classify``: a class for every probe position, from a few labels."""

from __future__ import annotations

import argparse

from napari_ferro4d.cli.parser import add_device, add_output, add_scan, add_seed, positive
from napari_ferro4d.cli.terminal import print_document, progress_bar

from .verb_steps import opened, written


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    add_scan(parser)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--labels", metavar="LABELS", help="label image [y, x], 0 = unlabelled")
    given.add_argument("--model", metavar="MODEL.safetensors", help="a trained classifier")
    parser.add_argument("--preset", choices=("paper", "compact"), default="compact")
    parser.add_argument(
        "--neighbourhood", type=int, default=0, metavar="R", help="average (2R+1)^2 patterns"
    )
    parser.add_argument("--neighbourhood-reduce", choices=("mean", "max"), default="mean")
    parser.add_argument("--epochs", type=positive, metavar="N", help="instead of the preset's own")
    parser.add_argument("--save-model", metavar="MODEL.safetensors", help="keep the classifier")
    add_device(parser)
    add_seed(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Train a classifier on the labels, or take a trained one, and write what it says."""
    from napari_ferro4d.learn import (
        check_model_target,
        classify,
        load_model,
        model_record,
        save_model,
    )
    from napari_ferro4d.results import (
        LabelResult,
        check_target,
        classification_results,
        read_label_result,
    )

    check_target(args.output)
    if args.save_model:
        check_model_target(args.save_model)
    model = load_model(args.model) if args.model else None
    scan = opened(args)
    labels = read_label_result(args.labels, scan.scan_shape) if args.labels else None
    with progress_bar() as report:
        result = classify(
            scan,
            None if labels is None else labels.data,
            model=model,
            preset=args.preset,
            neighbourhood=args.neighbourhood,
            neighbourhood_reduce=args.neighbourhood_reduce,
            epochs=args.epochs,
            classes=None if labels is None else labels.classes,
            colours=None if labels is None else labels.colours,
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
    if args.save_model:
        save_model(result.model, args.save_model)
        document["model"] = args.save_model
    document |= {
        "classes": [int(c) for c in result.classes],
        "positions_per_class": [int((result.prediction == c).sum()) for c in result.classes],
        "validation_accuracy": result.validation_accuracy,
    }
    return print_document(document, as_json=args.json)
