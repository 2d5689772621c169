"""Draw the rooms of the package in their order, for the page "How the code is laid out".

    python scripts/draw_rooms.py [OUT.png]

The order is read from `pyproject.toml`, where `make lint` checks it.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

REPOSITORY = Path(__file__).parent.parent
OUT = REPOSITORY / "docs" / "images" / "rooms.png"

DOES = {
    "errors | jobs": "what can go wrong; progress, cancel",
    "frames": "where patterns lie in a file",
    "scan": "Scan: one data model, signs, units",
    "io": "files to raw scans; io/formats: one kind of file each",
    "corrections": "dark, gain, bad pixels, crop, bin",
    "open": "open_scan",
    "reduce": "one pass over a scan gives maps",
    "learn": "data, networks, training, inference",
    "embedding": "reading channels",
    "simulate": "crystal, diffraction, scans with known truth",
    "match": "measured against simulated",
    "domains": "labels to walls and tables",
    "results": "results folder, label images, figures",
    "cli": "ferro4d, one file a verb",
    "viewer": "napari and Qt: one folder a dock",
}
STATIONS = (
    ("io", "header, counts"),
    ("corrections", "corrected as read"),
    ("open", "a lazy Scan"),
    ("learn", "a batch, a network,\na prediction"),
    ("results", "named maps"),
    ("viewer", "a label layer"),
)
"""Where one pattern comes by, and what it is there."""


def rooms() -> list[str]:
    """Return the rooms as the contract has them, the one that imports none first."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    order = next(one["layers"] for one in contracts if one["containers"] == ["napari_ferro4d"])
    return [room for room in reversed(order) if room != "__main__"]


def draw(path: Path) -> None:
    """Draw the picture."""
    names = rooms()
    figure = Figure(figsize=(7.2, 0.42 * len(names) + 0.2), dpi=110)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 10), ylim=(len(names), -0.25))
    axes.axis("off")
    for row, name in enumerate(names):
        box = FancyBboxPatch(
            (0.2, row + 0.08), 6.3, 0.72, boxstyle="round,pad=0.02", fc="#eef2f7", ec="#607d8b"
        )
        axes.add_patch(box)
        axes.text(0.4, row + 0.44, name.replace(" | ", ", "), va="center", weight="bold", size=9)
        axes.text(2.2, row + 0.44, DOES[name], va="center", size=8.5)
    places = [names.index(room) + 0.44 for room, _ in STATIONS]
    axes.annotate(
        "",
        xy=(6.9, places[-1] + 0.35),
        xytext=(6.9, places[0] - 0.5),
        arrowprops={"arrowstyle": "-|>", "color": "#d2691e", "lw": 2.5},
    )
    axes.text(7.1, places[0] - 0.5, "a file", va="center", size=9, color="#a0521a", style="italic")
    for place, (_, what) in zip(places, STATIONS, strict=True):
        axes.plot([6.5, 6.9], [place, place], color="#d2691e", lw=1.2)
        axes.plot(6.9, place, "o", color="#d2691e", ms=6)
        axes.text(7.1, place, what, va="center", size=9, color="#a0521a", style="italic")
    figure.savefig(path)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
