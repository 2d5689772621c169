"""The command ``ferro4d``: thin, every verb calls one public function.

Exit codes: 0 done; 2 bad usage or bad input, said in one line on standard error; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from .errors import ScanError
from .jobs import Cancelled, Progress, Report

__all__ = ["main"]

Document = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    # Libraries explain a broken file at length and in their own words; ours is one line.
    logging.getLogger("rsciio").setLevel(logging.CRITICAL)
    try:
        document = args.run(args)
    except ScanError as error:
        return _fail(str(error), 2)
    except (KeyboardInterrupt, Cancelled):
        return _fail(args.interrupted, 130)
    except BrokenPipeError:
        # The reader of our output went away (`ferro4d info ... | head`), which is not an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if args.json:
        print(json.dumps(document))
    else:
        _print(document)
    return 0


def _fail(message: str, code: int) -> int:
    print("ferro4d: " + " ".join(message.split()), file=sys.stderr)
    return code


def _print(document: Document) -> None:
    width = max((len(key) for key in document), default=0)
    for key, value in document.items():
        shown = "not known" if value is None else value
        if isinstance(shown, float):
            shown = f"{shown:.4g}"
        if isinstance(shown, list):
            shown = (
                ", ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in shown) or "none"
            )
        print(f"{key.replace('_', ' '):{width}}  {shown}")


# --- the verbs


def _info(args: argparse.Namespace) -> Document:
    scan = _open(args)
    return {
        "path": args.scan,
        "format": scan.source.format if scan.source else None,
        "shape": list(scan.shape),
        "dtype": str(scan.dtype),
        "scan_step_nm": _step(scan.scan_step),
        "k_step_inv_angstrom": _step(scan.k_step),
        "centre": list(scan.centre) if scan.centre else None,
        "complete": scan.complete,
        "signature": scan.signature,
        **{
            key: value
            for key, value in scan.metadata.items()
            if isinstance(value, str | float | int)
        },
    }


def _virtual(args: argparse.Namespace) -> Document:
    from .io import MapResult, check_target
    from .reduce import parse_detector, virtual

    check_target(args.output)
    detector = parse_detector(args.detector)
    scan = _open(args)
    with _progress() as report, _cluster(args.scheduler) as client:
        result = virtual(scan, detector, report=report, client=client)
    name = result.name
    if name == "virtual_mask":
        name = f"virtual_{Path(args.detector).stem}"
    maps = [MapResult(name, result.image, scan.scan_step, "counts", colormap="gray")]
    parameters = {"detector": args.detector, "centre": result.centre}
    return {**_write(args, scan, "virtual", parameters, maps=maps), **_beam(result.centre)}


def _com(args: argparse.Namespace) -> Document:
    from .io import check_target
    from .io.maps import com_results
    from .reduce import com

    check_target(args.output)
    scan = _open(args)
    with _progress() as report, _cluster(args.scheduler) as client:
        maps = com(
            scan,
            mask_radius=args.mask_radius,
            descan=args.descan,
            rotation=args.rotation,
            report=report,
            client=client,
        )
    parameters = {
        "centre": maps.centre,
        "mask_radius": args.mask_radius,
        "descan": args.descan,
        "rotation": maps.rotation,
    }
    results = com_results(maps, scan.scan_step)
    written = _write(args, scan, "com", parameters, maps=results)
    return {**written, **_beam(maps.centre), "rotation_degrees": maps.rotation}


def _train(args: argparse.Namespace) -> Document:
    from .io import save_model
    from .io.model import check_model_target
    from .learn import train

    target = check_model_target(args.output)
    checkpoint = target.with_name(target.stem + ".checkpoint.safetensors")
    scans = [_open(args, path) for path in args.scan]
    args.interrupted = f"interrupted; the last whole epoch is in {checkpoint}, go on with --resume."
    with _progress() as report:
        model = train(
            scans,
            preset=args.preset,
            embedding=args.embedding,
            epochs=args.epochs,
            device=args.device,
            seed=args.seed,
            checkpoint=checkpoint,
            resume=checkpoint if args.resume else None,
            report=report,
        )
    save_model(model, target)
    checkpoint.unlink(missing_ok=True)
    return {"model": str(target), "preset": args.preset, **_history(model.header)}


def _embed(args: argparse.Namespace) -> Document:
    from .io import check_target, load_model
    from .io.maps import embedding_result
    from .learn import embed

    check_target(args.output)
    model = load_model(args.model)
    scan = _open(args)
    with _progress() as report:
        embedding = embed(scan, model, device=args.device, report=report)
    maps = [embedding_result(embedding.channels, scan.scan_step)]
    written = _write(args, scan, "embed", {"model": args.model}, maps=maps)
    return {**written, "active_channels": [int(channel) for channel in embedding.active]}


def _classify(args: argparse.Namespace) -> Document:
    from .io import check_target, load_model, read_labels, save_model
    from .io.maps import classification_results
    from .io.model import check_model_target
    from .learn import classify

    check_target(args.output)
    if args.save_model:
        check_model_target(args.save_model)
    model = load_model(args.model) if args.model else None
    scan = _open(args)
    labels = read_labels(args.labels, scan.scan_shape) if args.labels else None
    with _progress() as report:
        result = classify(
            scan,
            labels,
            model=model,
            preset=args.preset,
            neighbourhood=args.neighbourhood,
            neighbourhood_reduce=args.neighbourhood_reduce,
            epochs=args.epochs,
            device=args.device,
            seed=args.seed,
            report=report,
        )
    maps, label_images = classification_results(result, scan.scan_step, labels)
    parameters = {
        "labels": args.labels,
        "model": args.model,
        "preset": args.preset,
        "neighbourhood": args.neighbourhood,
        "neighbourhood_reduce": args.neighbourhood_reduce,
        "seed": args.seed,
    }
    written = _write(args, scan, "classify", parameters, maps=maps, labels=label_images)
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


def _demo(args: argparse.Namespace) -> Document:
    from .demo import run_demo

    with _progress() as report:
        return run_demo(
            Path(args.output), headless=args.headless, device=args.device, report=report
        )


# --- what the verbs share


def _open(args: argparse.Namespace, path: str | None = None) -> Any:
    from .io import open_scan

    return open_scan(
        path or args.scan,
        format=args.format,
        scan_shape=args.scan_shape,
        scan_step=args.scan_step,
        k_step=args.k_step,
        centre=getattr(args, "centre", None),
        first_frame=args.first_frame,
        flyback=args.flyback,
        snake=args.snake,
        incomplete=args.incomplete,
        dtype=args.dtype,
        detector_shape=args.detector_shape,
        offset=args.offset,
        gap=args.gap,
    )


def _write(
    args: argparse.Namespace,
    scan: Any,
    command: str,
    parameters: Document,
    maps: Sequence[Any] = (),
    labels: Sequence[Any] = (),
) -> Document:
    from .io import provenance, write_results

    entry = provenance(command, parameters, scan)
    folder = write_results(args.output, maps=maps, labels=labels, provenance=[entry])
    written: Document = {"results": str(folder), "maps": [f"maps/{one.name}" for one in maps]}
    if labels:
        written["labels"] = [f"labels/{one.name}" for one in labels]
    return written


def _step(step: tuple[float, float] | None) -> float | list[float] | None:
    # One number says it all unless the two directions differ.
    if step is None:
        return None
    return step[0] if step[0] == step[1] else list(step)


def _beam(centre: tuple[float, float] | None) -> Document:
    return {} if centre is None else {"centre": [float(c) for c in centre]}


def _history(header: Any) -> Document:
    losses = list(header.get("history", {}).get("losses", []))
    return {"epochs": len(losses), "loss": losses[-1] if losses else None}


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Connect to a dask scheduler, if one is named."""
    if address is None:
        yield None
        return
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise ScanError(
            f"{address}: no dask scheduler answers there ({error}); start one with "
            "`dask scheduler`, or leave --scheduler out."
        ) from error
    with client:
        yield client


@contextmanager
def _progress() -> Iterator[Report | None]:
    """Draw a progress bar on standard error, if a person is looking at it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                description=progress.message,
            )

        yield report


# --- the grammar


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


def _centre(text: str) -> tuple[float, float]:
    return _numbers(text, float, "a beam centre KY,KX in pixels")


def _rotation(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither degrees nor 'auto'") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _parser() -> _Parser:
    from importlib.metadata import version

    parser = _Parser(
        prog="ferro4d",
        description="Map ferroelectric domains from 4D-STEM scans.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=version("napari-ferro4d"))
    verbs = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def verb(name: str, run: Callable[[Any], Document], text: str, scans: str | None = None) -> Any:
        sub = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(run=run, interrupted="interrupted; nothing was written.")
        sub.add_argument("--json", action="store_true", help="print one JSON document")
        if name == "demo":
            return sub
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
        return sub

    def output(sub: Any, metavar: str, text: str) -> None:
        sub.add_argument("-o", "--output", required=True, metavar=metavar, help=text)

    def learning(sub: Any, *, seed: bool = True) -> None:
        sub.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:i")
        if seed:
            sub.add_argument("--seed", type=int, default=0, help="of the random numbers")

    def cluster(sub: Any) -> None:
        sub.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="run on this dask cluster")

    results = "results folder (OME-Zarr), new or to be added to"
    verb("info", _info, "Say what a file holds.")

    sub = verb("virtual", _virtual, "Make a virtual image.")
    sub.add_argument(
        "--detector", required=True, help="disk:R, annulus:R1,R2 (pixels) or the image of a mask"
    )
    sub.add_argument("--centre", type=_centre, metavar="KY,KX", help="beam centre, pixels")
    cluster(sub)
    output(sub, "RESULTS", results)

    sub = verb("com", _com, "Map the centre of mass of every pattern.")
    sub.add_argument("--mask-radius", type=float, metavar="R", help="only counts within R pixels")
    sub.add_argument("--descan", choices=("none", "plane", "robust"), default="none")
    sub.add_argument("--rotation", type=_rotation, default=0.0, metavar="DEG|auto")
    sub.add_argument("--centre", type=_centre, metavar="KY,KX", help="beam centre, pixels")
    cluster(sub)
    output(sub, "RESULTS", results)

    sub = verb("train", _train, "Train the autoencoder.", "+")
    sub.add_argument("--preset", choices=("paper", "compact"), default="compact")
    sub.add_argument("--embedding", type=_positive, default=32, metavar="N", help="channels")
    sub.add_argument("--epochs", type=_positive, metavar="N", help="instead of the preset's own")
    sub.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    learning(sub)
    output(sub, "MODEL.safetensors", "model file")

    sub = verb("embed", _embed, "Map a scan onto the channels of a trained autoencoder.")
    sub.add_argument("--model", required=True, metavar="MODEL.safetensors")
    learning(sub, seed=False)
    output(sub, "RESULTS", results)

    sub = verb("classify", _classify, "Classify every probe position from a few labels.")
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

    sub = verb("demo", _demo, "Do the main job on a small embedded scan with known truth.")
    sub.add_argument("-o", "--output", default="demo-results", metavar="DIR")
    sub.add_argument("--headless", action="store_true", help="no window, so no screenshot")
    learning(sub, seed=False)
    return parser


if __name__ == "__main__":
    sys.exit(main())
