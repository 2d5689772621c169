"""``ferro4d demo``: the main job on a simulated scan, scored against its known truth.

A person would label the positions that are suggested; here they are labelled from the truth, fifty
at most. Nothing else of the truth is used but for the scores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ferro4d.cli.demo_folder import Log, clear_results, simulated, spec_in_words, write_table
from napari_ferro4d.cli.display import virtual_display
from napari_ferro4d.cli.parser import add_device
from napari_ferro4d.cli.terminal import print_document, progress_bar
from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Cancelled, Report

if TYPE_CHECKING:
    from napari_ferro4d.learn import Classification
    from napari_ferro4d.scan import Scan

PRESET = "ermno3-domains-small"
LABELS = 50
COM_RADIUS = 18.0
"""Pixels. The polar axis is 11.4 angstrom long, so that its first two reflections lie 11.7 and 23.4
pixels from the direct beam: the first counts as a whole, the second not at all."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("-o", "--output", default="demo-results", metavar="DIR")
    parser.add_argument("--headless", action="store_true", help="no window, so no screenshot")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Run the demo, and print its scores."""
    with progress_bar() as report:
        document = run_demo(
            Path(args.output), headless=args.headless, device=args.device, report=report
        )
    return print_document(document, as_json=args.json)


def run_demo(
    folder: Path,
    *,
    headless: bool = False,
    device: str = "auto",
    seed: int = 0,
    report: Report | None = None,
) -> dict[str, Any]:
    """Simulate a scan, run centre of mass, autoencoder and classifier on it, and score them.

    What is done is said in one line per step on standard error, and is on disk before the next
    step starts.

    Parameters
    ----------
    folder : Path
        Where to leave ``scan.zarr``, ``results.zarr``, the two models, ``labels.tif``,
        ``domains.csv``, ``scores.json``, ``figure.png`` and ``screenshot.png``. A scan of an
        earlier run is taken as it is; the rest is replaced.
    headless : bool
        Open no window, so make no screenshot.
    device : str
        Where to train: ``auto``, ``cpu``, ``cuda`` or ``cuda:i``.
    seed : int
        Of the training, and of the draw of the labels.
    report : callable, optional
        Receives `Progress`; may raise `Cancelled`.

    Returns
    -------
    dict
        The scores, the seconds each step took, and the files written.

    Raises
    ------
    ScanError
        If the folder cannot be written, or no window can be opened.
    Cancelled
        If it was interrupted; says what was done by then.
    """
    if folder.is_file():
        raise ScanError(f"{folder}: is a file; choose a folder for the demo's results.")
    folder.mkdir(parents=True, exist_ok=True)
    log = Log(4 if headless else 5)
    try:
        scores = _run(folder, headless, device, seed, report, log)
    except (KeyboardInterrupt, Cancelled) as stopped:
        kept = f"{folder} keeps {', '.join(log.files)}" if log.files else "nothing was written"
        raise Cancelled(f"interrupted; {kept}.") from stopped
    return {**scores, **log.seconds, "folder": str(folder), "files": log.files}


def _run(
    folder: Path, headless: bool, device: str, seed: int, report: Report | None, log: Log
) -> dict[str, Any]:
    from napari_ferro4d.cli.demo_scores import (
        CLASSES,
        COLOURS,
        accuracy,
        asked_labels,
        best_channel,
        panels,
        separation,
        wall_distance,
    )
    from napari_ferro4d.domains import domain_table, walls
    from napari_ferro4d.learn import classify, embed, save_model, train
    from napari_ferro4d.open import open_scan
    from napari_ferro4d.reduce import com
    from napari_ferro4d.results import (
        LabelResult,
        check_target,
        classification_results,
        com_parameters,
        com_results,
        draw_panels,
        embedding_result,
        provenance,
        write_results,
        write_tiff,
    )
    from napari_ferro4d.simulate import preset, truth

    results = folder / "results.zarr"
    check_target(results)
    spec = preset(PRESET)
    log.start("scan", spec_in_words(spec))
    path = simulated(spec, folder / "scan.zarr", report, log)
    scan, known = open_scan(path), truth(path)
    clear_results(results, scan)

    log.start("com", f"centre of mass within {COM_RADIUS:g} pixels, descan removed")
    maps = com(scan, mask_radius=COM_RADIUS, descan="robust", report=report)
    done = provenance("demo com", com_parameters(maps, COM_RADIUS, "robust"), scan)
    write_results(results, maps=com_results(maps, scan), provenance=[done])
    log.add("results.zarr")

    log.start("autoencoder", "autoencoder: train, then describe every pattern")
    learning: dict[str, Any] = {"preset": "compact", "device": device, "seed": seed}
    model = train(scan, **learning, report=report)
    embedding = embed(scan, model, device=device, report=report)
    save_model(model, folder / "autoencoder.safetensors")
    done = provenance("demo embed", learning, scan)
    write_results(results, maps=[embedding_result(embedding, scan)], provenance=[done])
    log.add("autoencoder.safetensors")

    log.start(
        "classifier", f"classifier: {LABELS} labels where suggested, a class for every position"
    )
    labels = asked_labels(scan, known.labels, LABELS, seed, report)
    style: Any = {"classes": CLASSES, "colours": COLOURS}
    result = classify(scan, labels, **style, device=device, seed=seed, report=report)
    save_model(result.model, folder / "classifier.safetensors")
    write_tiff(folder / "labels.tif", labels, scan.scan_step)
    wall = walls(result.prediction)
    probability, images = classification_results(result, scan, labels)
    of = images[0].scan
    border = LabelResult("walls", wall.astype("uint8"), scan.scan_step, {1: "wall"}, scan=of)
    images.append(border)
    done = provenance("demo classify", {**learning, "labels": LABELS}, scan)
    write_results(results, maps=probability, labels=images, provenance=[done])
    rows = domain_table(result.prediction, scan.scan_step, CLASSES)
    write_table(folder / "domains.csv", [asdict(row) for row in rows])
    log.add("classifier.safetensors", "labels.tif", "domains.csv")

    best, channel_auc = best_channel(embedding, known)
    scores = {
        "com_auc": max(separation(m, known.labels) for m in (maps.com_y, maps.com_x)),
        "autoencoder_best_channel": best,
        "autoencoder_auc": channel_auc,
        "classifier_labels": int((labels > 0).sum()),
        "classifier_accuracy": accuracy(result.prediction, labels, known),
        "classifier_held_out_accuracy": result.validation_accuracy,
        "domains": len(rows),
        "domains_in_truth": len(domain_table(known.labels)),
        "wall_distance_nm": wall_distance(wall, walls(known.labels), known.scan_step),
    }
    log.say(_accuracies(scores, result))
    (folder / "scores.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    shown = panels(maps, embedding.channels[best], labels, result, known, scores)
    draw_panels(shown, folder / "figure.png", scan.scan_step, columns=5)
    log.add("scores.json", "figure.png")
    if not headless:
        log.start("screenshot", "a napari window with all of it, and its picture")
        screenshot(results, scan, folder / "screenshot.png")
        log.add("screenshot.png")
    log.end()
    return scores


def _accuracies(scores: Mapping[str, Any], result: Classification) -> str:
    """Return both accuracies of the classifier in a line."""
    held_out = result.held_out
    told = f"held out: {result.why_no_figure}"
    if held_out is not None:
        low, high = held_out.accuracy_range
        told = (
            f"{100 * held_out.accuracy:.1f} % on labels held out, which says "
            f"{100 * low:.0f} to {100 * high:.0f} %"
        )
    return f"classifier: {100 * scores['classifier_accuracy']:.1f} % right on the truth; {told}"


def screenshot(results: Path, scan: Scan, path: Path) -> None:
    """Show results in a real napari window and save a picture of it.

    The window lives in a process of its own: whatever a graphics driver does there, the results
    are safe.

    Raises
    ------
    ScanError
        If no window could be opened.
    """
    assert scan.source is not None
    command = [
        sys.executable,
        "-m",
        "napari_ferro4d.viewer.screenshot",
        str(results),
        scan.source.path,
        str(path),
    ]
    path.unlink(missing_ok=True)
    with virtual_display() as environment:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0 or not path.is_file():
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise ScanError(
            f"{path}: no window could be opened for the screenshot ({reason[0]}); "
            "everything else is done, use --headless to do without."
        )
