"""The command ``ferro4d``: thin, every verb calls one public function.

Exit codes: 0 done; 2 bad usage or bad input, said in one line on standard error; 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Cancelled

from .parser import grammar
from .terminal import fail, on_cluster, print_document, progress_bar

if TYPE_CHECKING:
    from napari_ferro4d.reduce import Saturation

__all__ = ["main"]

Document = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = grammar(_VERBS)
    args = parser.parse_args(argv)
    # Libraries explain a broken file at length and in their own words; ours is one line.
    logging.getLogger("rsciio").setLevel(logging.CRITICAL)
    try:
        document = args.run(args)
    except ScanError as error:
        return fail(str(error), 2)
    except (KeyboardInterrupt, Cancelled) as stopped:
        return fail(str(stopped) or args.interrupted(), 130)
    except OSError as error:  # a file that may not be read, a name that is too long
        return fail(f"{error.filename or 'the system'}: {error.strerror or error}.", 2)
    except MemoryError as error:
        return fail(f"there is not enough memory ({error}).", 2)
    if document is None:  # of several processes that do one work, the first tells
        return 0
    return print_document(document, as_json=args.json)


# --- the verbs


def _info(args: argparse.Namespace) -> Document:
    from napari_ferro4d.reduce import saturation_limit

    scan = _open(args)
    said = {key: v for key, v in scan.metadata.items() if isinstance(v, str | float | int)}
    try:
        saturation = saturation_limit(scan)
    except ScanError:
        saturation = None
    return {
        **said,
        "path": args.scan,
        "format": scan.source.format if scan.source else None,
        "shape": list(scan.shape),
        "dtype": str(scan.dtype),
        "scan_step_nm": _step(scan.scan_step),
        "k_step_inv_angstrom": _step(scan.k_step),
        "centre": list(scan.centre) if scan.centre else None,
        "saturation": saturation,
        "complete": scan.complete,
        "corrections": dict(scan.correction.record) if scan.correction else {},
        "signature": scan.signature,
    }


def _virtual(args: argparse.Namespace) -> Document:
    from napari_ferro4d.reduce import parse_detector, virtual, virtual_flagged
    from napari_ferro4d.results import MapResult, check_target

    check_target(args.output)
    detector = parse_detector(args.detector)
    scan = _open(args)
    found: Saturation | None = None
    with progress_bar() as report, on_cluster(args.scheduler) as client:
        how: dict[str, Any] = {"centre": args.centre, "report": report, "client": client}
        if args.flag_saturation:
            result, found = virtual_flagged(scan, detector, **how)
        else:
            result = virtual(scan, detector, **how)
    name = result.name
    if name == "virtual_mask":
        name = f"virtual_{Path(args.detector).stem}"
    of = (scan.name, scan.signature)
    maps = [MapResult(name, result.image, scan.scan_step, "counts", colormap="gray", scan=of)]
    parameters = {"detector": args.detector, "centre": result.centre}
    written = _write(args, scan, "virtual", parameters, maps=maps, found=found)
    return {**written, **_beam(result.centre)}


def _com(args: argparse.Namespace) -> Document:
    from napari_ferro4d.reduce import com, com_flagged, read_cleaning
    from napari_ferro4d.results import check_target, com_parameters, com_results

    check_target(args.output)
    scan = _open(args)
    cleaning, record = read_cleaning(scan, args.mask, args.background, args.threshold)
    found: Saturation | None = None
    with progress_bar() as report, on_cluster(args.scheduler) as client:
        how: dict[str, Any] = {
            "centre": args.centre,
            "mask_radius": args.mask_radius,
            "descan": args.descan,
            "rotation": args.rotation,
            **cleaning,
            "report": report,
            "client": client,
        }
        if args.flag_saturation:
            maps, found = com_flagged(scan, **how)
        else:
            maps = com(scan, **how)
    parameters = {**com_parameters(maps, args.mask_radius, args.descan), **record}
    results = com_results(maps, scan)
    written = _write(args, scan, "com", parameters, maps=results, found=found)
    return {**written, **_beam(maps.centre), "rotation_degrees": maps.rotation}


def _train(args: argparse.Namespace) -> Document | None:
    from .train import train_command

    return train_command(args, lambda path: _open(args, path))


def _embed(args: argparse.Namespace) -> Document:
    from napari_ferro4d.learn import embed, load_model, model_record
    from napari_ferro4d.results import check_target, embedding_result

    check_target(args.output)
    model = load_model(args.model)
    scan = _open(args)
    with progress_bar() as report:
        embedding = embed(scan, model, device=args.device, report=report)
    maps = [embedding_result(embedding, scan)]
    parameters = {"model": args.model, "trained": model_record(model)}
    written = _write(args, scan, "embed", parameters, maps=maps)
    return {**written, "active_channels": [int(channel) for channel in embedding.active]}


def _convert(args: argparse.Namespace) -> Document:
    from .convert import convert_command

    return convert_command(args)


def _channels(args: argparse.Namespace) -> Document:
    from .embedding_verbs import channels_command

    scan = _open(args) if args.scan else None
    with progress_bar() as report:
        return channels_command(args, scan, report)


def _difference(args: argparse.Namespace) -> Document:
    from .embedding_verbs import difference_command

    scan = _open(args)
    with progress_bar() as report:
        return difference_command(args, scan, report)


def _cluster(args: argparse.Namespace) -> Document:
    from .embedding_verbs import cluster_command

    return cluster_command(args)


def _classify(args: argparse.Namespace) -> Document:
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
    scan = _open(args)
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
    written = _write(args, scan, "classify", parameters, maps=maps, labels=images)
    if args.save_model:
        save_model(result.model, args.save_model)
        written["model"] = args.save_model
    counts = {int(c): int((result.prediction == c).sum()) for c in result.classes}
    return {
        **written,
        "classes": [int(c) for c in result.classes],
        "positions_per_class": list(counts.values()),
        "validation_accuracy": result.validation_accuracy,
    }


def _simulate(args: argparse.Namespace) -> Document:
    from .simulate import simulate_command

    with progress_bar() as report:
        return simulate_command(args, report)


def _demo(args: argparse.Namespace) -> Document:
    from .demo import run_demo

    with progress_bar() as report:
        return run_demo(
            Path(args.output), headless=args.headless, device=args.device, report=report
        )


# --- what the verbs share


def _open(args: argparse.Namespace, path: str | None = None) -> Any:
    from napari_ferro4d.open import open_scan

    # Looking for bad pixels is the only part of opening that takes long.
    with progress_bar() if args.bad_pixels == "auto" else nullcontext() as report:
        return open_scan(
            path or args.scan,
            format=args.format,
            scan_shape=args.scan_shape,
            scan_step=args.scan_step,
            k_step=args.k_step,
            first_frame=args.first_frame,
            flyback=args.flyback,
            snake=args.snake,
            incomplete=args.incomplete,
            dtype=args.dtype,
            detector_shape=args.detector_shape,
            offset=args.offset,
            gap=args.gap,
            dark=args.dark,
            gain=args.gain,
            bad_pixels=args.bad_pixels,
            crop=args.crop,
            bin=args.bin,
            saturation=args.saturation,
            report=report,
        )


def _write(
    args: argparse.Namespace,
    scan: Any,
    command: str,
    parameters: Document,
    maps: Sequence[Any] = (),
    labels: Sequence[Any] = (),
    found: Saturation | None = None,
) -> Document:
    from napari_ferro4d.results import MapResult, provenance, write_results

    counted: Document = {}
    if found is not None:
        of = (scan.name, scan.signature)
        saturated = MapResult(
            "saturated", found.image, scan.scan_step, "pixels", colormap="magma", scan=of
        )
        maps = [*maps, saturated]
        counted = {
            "saturation": found.limit,
            "saturated_patterns": found.patterns,
            "saturated_pixels": found.pixels,
        }
    entry = provenance(command, {**parameters, **counted}, scan)
    folder = write_results(args.output, maps=maps, labels=labels, provenance=[entry])
    if found is not None and found.patterns:
        print(
            f"ferro4d: {found.patterns} of {found.total} patterns have saturated pixels.",
            file=sys.stderr,
        )
    written: Document = {"results": str(folder), "maps": [f"maps/{one.name}" for one in maps]}
    if labels:
        written["labels"] = [f"labels/{one.name}" for one in labels]
    return {**written, **counted}


def _step(step: tuple[float, float] | None) -> float | list[float] | None:
    # One number says it all unless the two directions differ.
    if step is None:
        return None
    return step[0] if step[0] == step[1] else list(step)


def _beam(centre: tuple[float, float] | None) -> Document:
    return {} if centre is None else {"centre": [float(c) for c in centre]}


_VERBS: dict[str, Callable[[argparse.Namespace], Document | None]] = {
    "info": _info,
    "virtual": _virtual,
    "com": _com,
    "train": _train,
    "embed": _embed,
    "convert": _convert,
    "channels": _channels,
    "difference": _difference,
    "cluster": _cluster,
    "classify": _classify,
    "simulate": _simulate,
    "demo": _demo,
}


if __name__ == "__main__":
    sys.exit(main())
