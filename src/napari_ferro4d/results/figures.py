"""Figures of results: maps side by side, each with a scale bar and what it shows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_ferro4d.io import atomic_file


@dataclass(frozen=True, eq=False)
class Panel:
    """One map of a figure.

    Parameters
    ----------
    title : str
        Said above it.
    image : array
        ``[y, x]`` numbers, or uint8 ``[y, x, 3]`` colours.
    unit : str
        Unit of the values, said at the colour bar.
    colormap : str
        Of matplotlib.
    limits : tuple of float, optional
        Values of the darkest and the brightest colour.
    classes : mapping, optional
        For a label image: name and colour by class number, said in a legend.
    key : array, optional
        For colours: uint8 ``[y, x, 3]``, what they mean, drawn beside the map.
    """

    title: str
    image: np.ndarray
    unit: str = ""
    colormap: str = "viridis"
    limits: tuple[float, float] | None = None
    classes: dict[int, tuple[str, Any]] = field(default_factory=dict)
    key: np.ndarray | None = None


def draw_panels(
    panels: Sequence[Panel],
    path: str | os.PathLike[str],
    scan_step: tuple[float, float] | None = None,
    columns: int = 4,
) -> None:
    """Draw maps side by side into an image file.

    Parameters
    ----------
    panels : sequence of Panel
        The maps, all of one scan.
    path : path
        The file to write, atomically; its ending tells the format (.png, .pdf, .svg).
    scan_step : tuple of float, optional
        Distance between probe positions ``(y, x)`` in nm, for the scale bars; without it they
        count probe positions.
    columns : int
        Maps per row.

    Raises
    ------
    ScanError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure

    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(2.9 * columns, 2.75 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels, strict=False):
        # A frame, so that a map that is mostly empty has an end.
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        _draw(figure, axes, panel, scan_step or (1.0, 1.0))
        _scale_bar(axes, panel.image.shape[:2], scan_step)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _draw(figure: Any, axes: Any, panel: Panel, step: tuple[float, float]) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    axes.set_title(panel.title, fontsize=9)
    shown = {"interpolation": "nearest", "aspect": step[0] / step[1]}
    if panel.image.ndim == 3:
        axes.imshow(panel.image, **shown)
        if panel.key is not None:
            beside = axes.inset_axes((1.03, 0.78, 0.22, 0.22))
            beside.imshow(panel.key)
            beside.set_axis_off()
    elif panel.classes:
        numbers = sorted(panel.classes)
        edges = [numbers[0] - 0.5, *(number + 0.5 for number in numbers)]
        palette = ListedColormap([panel.classes[number][1] for number in numbers])
        norm = BoundaryNorm(edges, palette.N)
        masked = np.ma.masked_equal(panel.image, 0)
        axes.imshow(masked, cmap=palette, norm=norm, **shown)
        keys = [Patch(color=colour, label=name) for name, colour in panel.classes.values()]
        axes.legend(
            handles=keys,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            fontsize=7,
            frameon=False,
            handlelength=1,
        )
    else:
        low, high = panel.limits or (None, None)
        image = axes.imshow(panel.image, cmap=panel.colormap, vmin=low, vmax=high, **shown)
        # Beside the map, not taken from it: all maps stay of one size.
        bar = figure.colorbar(image, cax=axes.inset_axes((1.03, 0.15, 0.04, 0.7)))
        bar.ax.tick_params(labelsize=7)
        bar.ax.set_title(panel.unit, fontsize=7, loc="left")


def _scale_bar(axes: Any, shape: tuple[int, int], scan_step: tuple[float, float] | None) -> None:
    from matplotlib.font_manager import FontProperties
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    step, unit = (scan_step[1], "nm") if scan_step else (1.0, "positions")
    length = round_length(0.3 * shape[1] * step)
    bar = AnchoredSizeBar(
        axes.transData,
        length / step,
        f"{length:g} {unit}",
        "lower left",
        pad=0.3,
        frameon=True,
        size_vertical=shape[0] * 0.01,
        fontproperties=FontProperties(size=7),
    )
    bar.patch.set_alpha(0.7)
    bar.patch.set_linewidth(0)
    axes.add_artist(bar)


def round_length(most: float) -> float:
    """Return the largest of 1, 2 or 5 times a power of ten that is at most `most`.

    >>> round_length(37.0), round_length(0.3)
    (20.0, 0.2)
    """
    power = 10.0 ** np.floor(np.log10(most))
    return float(next(factor * power for factor in (5, 2, 1) if factor * power <= most * 1.0001))
