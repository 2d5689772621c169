"""Make docs/images/compare.png: +P and -P, their difference, correlation and variation.

The upper row is calculated for one tilt and thickness. The lower row is the mean patterns of both
domains of the preset ermno3-domains-small, a bent wedge with noise and an imperfect detector, after
the drift of the patterns over the scan (descan) was taken out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_ferro4d.match import Comparison, compare, on_detector
from napari_ferro4d.simulate import Beams, load_table, preset, scan, table_patterns
from napari_ferro4d.simulate.scans import Simulation, prepare

FIGURE = Path(__file__).parent.parent / "docs" / "images" / "compare.png"
NM = 75.0
SHOWN = 0.8  # 1/angstrom
Array = np.ndarray[Any, np.dtype[Any]]


def main() -> None:
    """Simulate, compare and draw."""
    simulation = prepare(preset("ermno3-domains-small"))
    optics, table = simulation.optics, load_table("ermno3")
    keys = {"k_step": optics.k_step, "disk_radius": optics.disk_radius}
    beams = on_detector(
        Beams(table.computed[0].hkl, table.computed[0].g), optics.detector_shape, **keys
    )
    one = np.zeros(1)
    calculated = [
        table_patterns(table, state, optics, one, one, one + NM)[0] for state in ("+P", "-P")
    ]
    means, counts = domain_means(simulation)
    by_name = {
        f"calculated, {NM:g} nm": (calculated, compare(*calculated, reflections=beams, **keys)),
        "domains of a scan": (
            means,
            compare(*means, reflections=beams, counts_a=counts[0], counts_b=counts[1], **keys),
        ),
    }
    for name, (_, found) in by_name.items():
        print(f"{name}: overall correlation {found.overall:.3f}")
        for order in (2, 4, 6):
            i = beams.hkl.tolist().index([0, 0, order])
            table_of = found.reflections
            print(
                f"  00{order}: difference {100 * (table_of.a - table_of.b)[i]:+.2f} %, "
                f"asymmetry {table_of.asymmetry[i]:+.3f} ± {table_of.error[i]:.4f}"
            )
    draw(by_name, beams, optics.k_step, optics.detector_shape)


def domain_means(simulation: Simulation) -> tuple[list[Array], list[float]]:
    """Return the mean patterns of +P and -P without the wall, descan taken out, and their counts.

    A bad pixel of one pattern lies elsewhere in another, so that none is left in the mean.
    """
    from scipy.ndimage import shift

    made = scan(simulation.spec)
    good = (~(simulation.detector.dead | simulation.detector.hot)).astype(float)
    sums = np.zeros((2, *simulation.spec.detector.shape))
    weights = np.zeros_like(sums)
    for y in range(made.shape[0]):
        row = simulation.specimen.row(y)
        patterns = np.asarray(made.data[y])
        for x in np.flatnonzero(~row.wall):
            back, state = -row.shift[:, x], row.labels[x] - 1
            sums[state] += shift(patterns[x] * good, back, order=1)
            weights[state] += shift(good, back, order=1)
    seen = weights > 0
    means = np.divide(sums, weights, out=np.full_like(sums, np.nan), where=seen)
    return list(means), [float(one.sum()) for one in sums]


def draw(
    by_name: dict[str, tuple[list[Array], Comparison]],
    beams: Beams,
    k_step: float,
    shape: tuple[int, int],
) -> None:
    """Draw two rows of maps, each column with one scale."""
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 9})
    figure, axes = plt.subplots(
        2, 5, figsize=(11, 5.3), layout="constrained", sharex=True, sharey=True
    )
    found = [one for _, one in by_name.values()]
    limit = 100 * max(np.nanmax(np.abs(one.difference)) for one in found)
    most = max(np.nanmax(one.variation) for one in found)
    # The undiffracted disk is brighter by far.
    bright = np.sqrt(limit) * 2
    ranges = [(0, bright), (0, bright), (-limit, limit), (-1, 1), (0, most)]
    colours = ["inferno", "inferno", "RdBu_r", "viridis", "magma"]
    half = shape[0] / 2 * k_step
    for row, (name, (pair, one)) in zip(axes, by_name.items(), strict=True):
        roots = [np.sqrt(100 * np.clip(p, 0, None) / np.nansum(p)) for p in pair]
        maps = [*roots, 100 * one.difference, one.correlation, one.variation]
        for axis, values, (low, high), colour in zip(row, maps, ranges, colours, strict=True):
            axis.imshow(
                values,
                cmap=colour,
                vmin=low,
                vmax=high,
                extent=(-half, half, half, -half),
            )
            axis.set(xlim=(-SHOWN, SHOWN), ylim=(SHOWN, -SHOWN))
            axis.set(xticks=(-0.5, 0, 0.5), yticks=(-0.5, 0, 0.5))
        row[0].set_ylabel(f"{name}\n1/Å")
        for order in (2, 4):
            y, x = beams.g[beams.hkl.tolist().index([0, 0, order])]
            row[0].annotate(
                f"00{order}",
                (x, y),
                (x + 0.35, y - 0.12),
                color="w",
                arrowprops={"color": "w", "width": 0.3, "headwidth": 3, "headlength": 3},
            )
    titles = ["+P", "\u2212P", "difference", "correlation", "variation"]
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    labels = {2: "% of electrons, per pixel", 3: "", 4: ""}
    for column, label in labels.items():
        figure.colorbar(
            axes[1, column].images[0],
            ax=axes[:, column],
            location="bottom",
            shrink=0.8,
            aspect=22,
            label=label or titles[column],
        )
    figure.colorbar(
        axes[0, 0].images[0],
        ax=axes[:, :2],
        location="bottom",
        shrink=0.5,
        aspect=26,
        extend="max",
        label="square root of % of electrons, per pixel",
    )
    figure.savefig(FIGURE, dpi=90, metadata={"Software": None})


if __name__ == "__main__":
    main()
