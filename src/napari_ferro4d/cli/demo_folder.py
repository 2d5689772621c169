"""The folder of the demo: what is there already, what is added, and what is said of it."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ferro4d.jobs import Report
    from napari_ferro4d.scan import Scan
    from napari_ferro4d.simulate import Spec


def spec_in_words(spec: Spec) -> str:
    """Say in a line which scan it is."""
    positions, pixels = (" x ".join(map(str, s)) for s in (spec.scan.shape, spec.detector.shape))
    return f"scan {spec.source}: {positions} probe positions, {pixels} pixels"


def simulated(spec: Spec, path: Path, report: Report | None, log: Log) -> Path:
    """Simulate the scan, unless the same one is there already."""
    from napari_ferro4d.simulate import write_scan

    if _made_of(path) == _would_be_made_of(spec):
        log.say("it is there already")
    else:
        write_scan(spec, path, report)
    log.add(path.name)
    return path


def _made_of(path: Path) -> Any:
    try:
        about = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
        return about["attributes"]["ferro4d_simulation"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _would_be_made_of(spec: Spec) -> Any:
    from napari_ferro4d.simulate import prepare
    from napari_ferro4d.simulate import simulation_record as contents

    about = {**contents(prepare(spec)), "version": metadata.version("napari-ferro4d")}
    return json.loads(json.dumps(about))


def clear_results(results: Path, scan: Scan) -> None:
    """Remove what an earlier demo made of another scan; a folder holds results of one."""
    from napari_ferro4d.io import is_results
    from napari_ferro4d.results import read_results

    if not is_results(results):
        return
    entries = read_results(results).provenance
    ours = all(entry["command"].split()[0] == "demo" for entry in entries)
    if ours and any(entry["scan_signature"] != scan.signature for entry in entries):
        shutil.rmtree(results)


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows that have the same keys as comma-separated values."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


class Log:
    """Says what is being done, and remembers how long it took and what is on disk."""

    def __init__(self, steps: int) -> None:
        self.seconds: dict[str, float] = {}
        self.files: list[str] = []
        self._steps, self._name = steps, ""
        self._began = self._last = time.monotonic()

    def start(self, name: str, text: str) -> None:
        """End the step before, and say what the next one does."""
        self._lap()
        self._name = name
        self.say(f"step {len(self.seconds) + 1} of {self._steps}: {text}")

    def say(self, text: str) -> None:
        """Print a line on standard error at once."""
        # Also where nobody looks at a terminal, so that a log tells how far it is.
        since = time.monotonic() - self._began
        print(f"[{since:4.0f} s] {text}", file=sys.stderr, flush=True)

    def add(self, *files: str) -> None:
        """Remember files that are complete."""
        self.files += files

    def end(self) -> None:
        """End the last step."""
        self._lap()
        self._name = ""
        self.say("done")

    def _lap(self) -> None:
        now = time.monotonic()
        if self._name:
            self.seconds[f"seconds_{self._name}"] = round(now - self._last, 1)
        self._last = now
