"""How long napari's window does not answer while it trains, embeds, decodes and is drawn on.

    python benchmarks/event_loop.py [--epochs N]

Opens a real window (under Xvfb where there is no display), trains on the embedded demonstration
scan, decodes a channel, and drags the mouse over the plots of the Embedding dock. A timer in the
event loop measures how long the loop does not come round. Of each stage are printed:

- the longest gap by the clock, which on a busy machine is mostly a wait for a processor;
- the longest of the time within a gap that the window's process was at work on any thread;
- the longest that its GUI thread was at work;
- gaps of over 100 ms by the second of these, of all turns of the loop.

The first stage is the floor: napari alone, to which maps of the same size are added. The last line
says how long a process that does nothing but sleep had to wait for a processor meanwhile.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.cli import virtual_display

LIMIT_S = 0.1
MAPS = 16
A_LAYER_S = 0.03
"""Turns of the loop in which a layer was added take the GUI thread at least so long."""
ALONE, LAYERS = "napari alone, add maps", "add layers"
INSIDE = "FERRO4D_EVENT_LOOP_INSIDE"

BYSTANDER = """
import sys, time
longest, last = 0.0, time.monotonic()
while True:
    time.sleep(0.005)
    now = time.monotonic()
    late, last = now - last - 0.005, now
    if late > longest:  # else nothing is said: nobody reads before the end, and a pipe is small
        longest = late
        print(longest, flush=True)
"""


@dataclass
class Stage:
    """The gaps between two turns of the event loop in one stage of the work, in seconds."""

    clock: list[float] = field(default_factory=list)
    process: list[float] = field(default_factory=list)
    thread: list[float] = field(default_factory=list)


class Stopwatch:
    """Measures the gaps of the event loop, stage by stage."""

    def __init__(self) -> None:
        from qtpy.QtCore import QTimer

        self.stages: dict[str, Stage] = {}
        self._stage: Stage | None = None
        self._last = (0.0, 0.0, 0.0)
        self._timer = QTimer(interval=1)
        self._timer.timeout.connect(self._tick)

    def stage(self, name: str) -> None:
        """Count what follows to the stage `name`."""
        if self._stage is None:
            self._last = _now()
            self._timer.start()
        self._stage = self.stages.setdefault(name, Stage())

    def _tick(self) -> None:
        now = _now()
        clock, process, thread = (b - a for a, b in zip(self._last, now, strict=True))
        self._last = now
        assert self._stage is not None
        self._stage.clock.append(clock)
        self._stage.process.append(min(clock, process))
        self._stage.thread.append(thread)


def _now() -> tuple[float, float, float]:
    return time.monotonic(), time.process_time(), time.thread_time()


def main() -> None:
    """Measure in a process that has a display and settings of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=3)
    epochs = parser.parse_args().epochs
    if os.environ.get(INSIDE):
        measure(epochs)
        return
    with tempfile.TemporaryDirectory() as home, virtual_display() as environment:
        for name in ("CONFIG", "DATA", "CACHE", "STATE", "RUNTIME"):
            folder = Path(home, name.lower())
            folder.mkdir(mode=0o700)
            variable = "XDG_RUNTIME_DIR" if name == "RUNTIME" else f"XDG_{name}_HOME"
            environment[variable] = str(folder)
        environment["NAPARI_CONFIG"] = str(Path(home, "config", "napari", "settings.yaml"))
        environment[INSIDE] = "1"
        subprocess.run([sys.executable, *sys.argv], env=environment, check=True)


def measure(epochs: int) -> None:
    """Work through all stages and print what was measured."""
    bystander = subprocess.Popen(
        [sys.executable, "-S", "-c", BYSTANDER], stdout=subprocess.PIPE, text=True
    )
    watch = Stopwatch()
    napari_alone(watch)
    work(watch, epochs)
    bystander.terminate()
    said, _ = bystander.communicate()
    print("| stage | s | longest gap, ms | process at work | GUI thread at work | over 100 ms |")
    print("|---|---|---|---|---|---|")
    watch.stages.pop("")
    for name, stage in watch.stages.items():
        longest = [1000 * max(one) for one in (stage.clock, stage.process, stage.thread)]
        over = sum(one > LIMIT_S for one in stage.process)
        numbers = " | ".join(f"{one:.0f}" for one in longest)
        print(f"| {name} | {sum(stage.clock):.1f} | {numbers} | {over} of {len(stage.clock)} |")
    for name in (ALONE, LAYERS):
        adding = [one for one in watch.stages[name].thread if one > A_LAYER_S]
        print(
            f"{name}: GUI thread at work for each, median of {len(adding)}: "
            f"{1000 * statistics.median(adding):.0f} ms, least {1000 * min(adding):.0f} ms"
        )
    print(f"an idle process waited up to {1000 * float(said.split()[-1]):.0f} ms for a processor")


def napari_alone(watch: Stopwatch) -> None:
    """Add maps to a viewer without our docks, as a plugin would, between two turns of the loop."""
    import napari
    from qtpy.QtCore import QTimer

    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(1400, 900)
    wait(lambda: False, 1.0)
    maps = np.random.default_rng(0).random((MAPS, 64, 64), np.float32)
    for number, one in enumerate(maps):
        if number == 1:  # the first shader has been compiled
            watch.stage(ALONE)
        keywords = {"name": f"map {number}", "contrast_limits": (0, 1), "visible": not number}
        QTimer.singleShot(0, partial(viewer.add_image, one, **keywords))
        wait(lambda: False, 0.3)
    watch.stage("")
    viewer.close()


def work(watch: Stopwatch, epochs: int) -> None:
    """Train, embed, add the layers, decode, and drag over plots in a real window."""
    import napari

    from napari_ferro4d.simulate import demo_scan_path

    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(1400, 900)
    viewer.open(demo_scan_path(), plugin="napari-ferro4d")
    training: Any = viewer.window.add_plugin_dock_widget("napari-ferro4d", "Autoencoder")[1]
    wait(lambda: False, 2.0)
    training.form.device.choose("cpu")
    training.form.epochs.value = epochs
    stages = {"starting": "start", "training": "train", "embedding": "embed"}

    def progressed(progress: Any) -> None:
        for word, name in stages.items():
            if word in progress.message:
                watch.stage(name)

    training.row.progressed.connect(progressed)
    training.row.running.connect(lambda running: running or watch.stage(LAYERS))
    watch.stage("idle")
    wait(lambda: False, 2.0)
    watch.stage("start")
    training.train_button.click()
    wait(lambda: not training.row.busy and not training.session._steps, 3600)
    watch.stage("open Embedding")
    embedding: Any = viewer.window.add_plugin_dock_widget("napari-ferro4d", "Embedding")[1]
    wait(lambda: False, 1.0)
    watch.stage("rank channels")
    wait(lambda: not embedding._rankings, 60)
    embedding.tabs.setCurrentWidget(embedding.traverse)
    for name in ("first decode", "second decode"):
        wait(lambda: False, 1.0)
        watch.stage(name)
        embedding.traverse.run.click()
        wait(lambda: not embedding.row.busy, 120)
        if embedding.traverse.patterns is None:
            raise SystemExit(embedding.row.text)
    watch.stage("slider")
    for step in range(0, embedding.traverse.slider.maximum() + 1, 2):
        embedding.traverse.slider.setValue(step)
        wait(lambda: False, 0.05)
    for panel, plot in (
        (embedding.range, embedding.range.histogram),
        (embedding.classes, embedding.classes.plane),
    ):
        watch.stage("")
        embedding.tabs.setCurrentWidget(panel)
        wait(lambda: False, 1.0)
        watch.stage("drag a range" if panel is embedding.range else "draw a lasso")
        drag(plot)
    watch._timer.stop()
    viewer.close()


def drag(plot: Any) -> None:
    """Draw the mouse over a plot with its button held."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    points = [QPoint(x, plot.height() // 2) for x in range(60, plot.width() - 20, 4)]
    QTest.mousePress(plot, Qt.MouseButton.LeftButton, pos=points[0])
    for point in points:
        QTest.mouseMove(plot, point)
        wait(lambda: False, 0.02)
    QTest.mouseRelease(plot, Qt.MouseButton.LeftButton, pos=points[-1])


def wait(done: Callable[[], bool], seconds: float) -> None:
    """Let the window do its work until something is done, or for so long."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, end = QEventLoop(), time.monotonic() + seconds
    timer = QTimer(interval=5)
    timer.timeout.connect(lambda: loop.quit() if done() or time.monotonic() > end else None)
    timer.start()
    loop.exec()
    timer.stop()


if __name__ == "__main__":
    main()
