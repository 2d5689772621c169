"""Make docs/images/compare.png: +P and -P, their difference, correlation and variation.

The upper row is calculated for one tilt and thickness. The lower row is the mean patterns of both
domains of the preset ermno3-domains-small, a bent wedge with noise and an imperfect detector.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_ferro4d.reduce import reduce_scan, region_means
from napari_ferro4d.simulate import Beams
from napari_ferro4d.simulate._scan import prepare, scan
from napari_ferro4d.simulate._table_file import load_table
from napari_ferro4d.simulate.compare import compare, on_detector
from napari_ferro4d.simulate.presets import preset
from napari_ferro4d.simulate.table import table_patterns

FIGURE = Path(__file__).parent.parent / "docs" / "images" / "compare.png"
NM = 75.0


def main() -> None:
    """Simulate, compare and draw."""
    import matplotlib.pyplot as plt

    simulation = prepare(preset("ermno3-domains-small"))
    optics, table = simulation.optics, load_table("ermno3")
    keys = {"k_step": optics.k_step, "disk_radius": optics.disk_radius}
    one = np.zeros(1)
    simulated = [
        table_patterns(table, state, optics, one, one, one + NM)[0] for state in ("+P", "-P")
    ]
    made = scan(simulation.spec)
    rows = [simulation.specimen.row(y) for y in range(made.shape[0])]
    labels = np.array([np.where(row.wall, 0, row.labels) for row in rows]).astype(int)
    (means,) = reduce_scan(made, [region_means(made, labels)], None, "")
    bad = simulation.detector.dead | simulation.detector.hot
    counts = [float(means[n][~bad].sum() * np.count_nonzero(labels == n)) for n in (1, 2)]
    listed = Beams(table.computed[0].hkl, table.computed[0].g)
    beams = on_detector(listed, optics.detector_shape, **keys)
    found = [
        compare(*simulated, reflections=beams, **keys),
        compare(
            means[1],
            means[2],
            reflections=beams,
            counts_a=counts[0],
            counts_b=counts[1],
            bad=bad,
            **keys,
        ),
    ]
    plt.rcParams.update({"font.size": 9})
    figure, axes = plt.subplots(
        2, 5, figsize=(11, 4.4), layout="compressed", sharex=True, sharey=True
    )
    half = optics.detector_shape[0] / 2 * optics.k_step
    frame = {"extent": (-half, half, half, -half)}
    patterns = [simulated, [np.where(bad, np.nan, means[n]) for n in (1, 2)]]
    rows_named = [f"simulated, {NM:g} nm", "simulated scan, means"]
    for row, name, pair, one_of in zip(axes, rows_named, patterns, found, strict=True):
        for axis, pattern, title in zip(row, pair, ("+P", "\u2212P"), strict=False):
            shown = np.sqrt(np.clip(pattern, 0, None) / np.nansum(pattern))
            axis.imshow(shown, cmap="inferno", vmax=np.nanpercentile(shown, 99.5), **frame)
            axis.set_title(title)
        limit = np.nanmax(np.abs(one_of.difference))
        axes_maps = zip(
            row[2:],
            (one_of.difference, one_of.correlation, one_of.variation),
            ("difference", "correlation", "variation"),
            ("RdBu_r", "viridis", "magma"),
            ((-limit, limit), (-1, 1), (0, np.nanmax(one_of.variation))),
            strict=True,
        )
        for axis, values, title, colours, (low, high) in axes_maps:
            drawn = axis.imshow(values, cmap=colours, vmin=low, vmax=high, **frame)
            axis.set_title(title)
            figure.colorbar(drawn, ax=axis, shrink=0.7, aspect=15, format="%.2g")
        row[0].set_ylabel(f"{name}\n1/Å")
        for hkl, label in (((0, 0, 4), "004"), ((0, 0, 2), "002")):
            index = beams.hkl.tolist().index(list(hkl))
            y, x = beams.g[index]
            row[0].annotate(
                label,
                (x, y),
                (x + 0.35, y - 0.1),
                color="w",
                arrowprops={"color": "w", "width": 0.3, "headwidth": 3, "headlength": 3},
            )
            print(
                name,
                label,
                f"{found[rows_named.index(name)].reflections.asymmetry[index]:+.3f}",
                f"± {found[rows_named.index(name)].reflections.error[index]:.4f}",
            )
    figure.savefig(FIGURE, dpi=110)


if __name__ == "__main__":
    main()
