"""``ferro4d embed``: the channels of a trained autoencoder over a scan."""

from __future__ import annotations

import argparse

from napari_ferro4d.cli.parser import add_device, add_output, add_scan
from napari_ferro4d.cli.terminal import print_document, progress_bar

from .verb_steps import opened, written


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    add_scan(parser)
    parser.add_argument("--model", required=True, metavar="MODEL.safetensors")
    add_device(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Embed the scan, and write all channels."""
    from napari_ferro4d.learn import embed, load_model, model_record
    from napari_ferro4d.results import check_target, embedding_result

    check_target(args.output)
    model = load_model(args.model)
    scan = opened(args)
    with progress_bar() as report:
        embedding = embed(scan, model, device=args.device, report=report)
    maps = [embedding_result(embedding, scan)]
    parameters = {"model": args.model, "trained": model_record(model)}
    document = written(args, scan, "embed", parameters, maps=maps)
    document["active_channels"] = [int(channel) for channel in embedding.active]
    return print_document(document, as_json=args.json)
