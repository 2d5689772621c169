"""``ferro4d convert``: a model of a checkpoint of the paper's own code."""

from __future__ import annotations

import argparse

from napari_ferro4d.cli.parser import add_output, shape
from napari_ferro4d.cli.terminal import print_document


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT.pkl", help="nothing in it is run")
    parser.add_argument(
        "--detector-shape",
        type=shape,
        default=(256, 256),
        metavar="KY,KX",
        help="of the patterns to use the model on; 256,256 unless given",
    )
    add_output(parser, "MODEL.safetensors", "model file")


def run(args: argparse.Namespace) -> int:
    """Convert the checkpoint, and write the model."""
    from napari_ferro4d.learn import check_model_target, convert, save_model

    check_model_target(args.output)
    model = convert(args.checkpoint, detector=args.detector_shape)
    said = {k: v for k, v in model.header["converted"].items() if k in ("epoch", "beta", "loss")}
    written = save_model(model, args.output)
    document = {"model": str(written), "network": model.header["network"], **said}
    return print_document(document, as_json=args.json)
