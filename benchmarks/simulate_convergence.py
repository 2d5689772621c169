"""Convergence of the simulated patterns, and how +P and -P differ over thickness and tilt.

    python benchmarks/simulate_convergence.py [FOLDER]

Draws the figures of docs/simulate.md into FOLDER, by default docs/images, and prints the numbers
quoted there. Takes about three minutes on one core, and needs the extra ``simulate``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from napari_ferro4d.simulate import (
    Crystal,
    plane_wave_intensities,
    reference,
    structure,
    wavelength,
)

PER_MRAD = 1e-3 / wavelength(200)
NEAR_AXIS = np.array([[0.3, -0.5]]) * PER_MRAD  # mrad to 1/angstrom, off every symmetry
Array = np.ndarray[Any, np.dtype[Any]]


def main(folder: Path) -> None:
    """Draw all figures."""
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    for name, draw in (
        ("simulate-convergence.png", convergence),
        ("simulate-polarity.png", polarity),
        ("simulate-reference.png", patterns),
    ):
        figure = draw()
        figure.savefig(folder / name, dpi=90, metadata={"Software": None})
        plt.close(figure)
        print(f"{folder / name} after {time.monotonic() - start:.0f} s", flush=True)


def beams(crystal: Crystal, k_t: Array, nm: Any, **options: Any) -> tuple[dict[Any, int], Array]:
    """Return the index of every beam by its hkl, and the intensities ``[n, T, beam]``."""
    found, intensity, _ = plane_wave_intensities(crystal, k_t, nm, g_kept=1.2, **options)
    return {tuple(hkl): i for i, hkl in enumerate(found.hkl.tolist())}, intensity


def convergence() -> plt.Figure:
    """Error of the ten strongest beams of 30 nm ErMnO3 over the three numerical settings."""
    crystal = structure("ermno3+")

    def strongest(**options: Any) -> Array:
        index, intensity = beams(crystal, NEAR_AXIS, [30.0], absorption=0.0, **options)
        return np.array([intensity[0, 0, index[hkl]] for hkl in shown])

    shown = [(0, 0, 0)]
    index, first = beams(crystal, NEAR_AXIS, [30.0], absorption=0.0, sampling=0.08)
    order = np.argsort(-first[0, 0])
    names = {number: hkl for hkl, number in index.items()}
    shown = [names[i] for i in order[:10]]

    slices = [6.2, 3.1, 2.1, 1.6, 1.0, 0.5]
    fine = strongest(slice_thickness=0.25, sampling=0.08)
    by_slice = [np.abs(strongest(slice_thickness=s, sampling=0.08) - fine).max() for s in slices]
    grids = [0.16, 0.12, 0.1, 0.08, 0.06, 0.05, 0.04]
    finest = strongest(sampling=0.03)
    by_grid = [np.abs(strongest(sampling=s) - finest).max() for s in grids]
    cuts = [1.2, 1.6, 2.0, 2.4, 2.8, 3.2]
    many = strongest(method="scattering-matrix", g_max=3.6)
    sliced = [strongest(method="scattering-matrix", g_max=g) for g in cuts]
    by_beams = [np.abs(b - many).max() for b in sliced]
    to_multislice = [np.abs(b - finest).max() for b in sliced]

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.1), layout="constrained", sharey=True)
    for axis, x, y, label in (
        (axes[0], slices, by_slice, "slice thickness (Å)"),
        (axes[1], grids, by_grid, "grid of the wave (Å)"),
        (axes[2], cuts, by_beams, "longest beam (1/Å)"),
    ):
        axis.semilogy(x, 100 * np.array(y), "o-", color="C0")
        axis.set_xlabel(label)
        axis.grid(alpha=0.3, which="both")
    axes[0].set_ylabel("largest error, % of incident")
    axes[0].set_title("multislice")
    axes[1].set_title("multislice")
    axes[2].set_title("scattering matrix")
    axes[2].semilogy(cuts, 100 * np.array(to_multislice), "s--", color="C1", label="to multislice")
    axes[2].lines[0].set_label("to 3.6/Å")
    axes[2].legend(fontsize=8)
    print("slices ", dict(zip(slices, np.round(100 * np.array(by_slice), 3), strict=True)))
    print("grid   ", dict(zip(grids, np.round(100 * np.array(by_grid), 3), strict=True)))
    print("beams  ", dict(zip(cuts, np.round(100 * np.array(by_beams), 3), strict=True)))
    print("to ms  ", dict(zip(cuts, np.round(100 * np.array(to_multislice), 3), strict=True)))
    return figure


def polarity() -> plt.Figure:
    """Difference of the disks 00l between +P and -P, over thickness and tilt along c."""
    crystal, radius, step = structure("ermno3+"), 1.8, 0.4
    nm, tilts = np.arange(20, 121, 1.0), np.arange(-3.2, 3.3, 0.4)
    down = np.arange(-5.2, 5.3, step)
    right = np.arange(0, 2.01, step)
    grid = np.stack(np.meshgrid(down, right, indexing="ij"), axis=-1)
    k_t = grid.reshape(-1, 2) * PER_MRAD
    index, intensity = beams(crystal, k_t, nm, method="scattering-matrix")
    rocking = intensity.reshape(*grid.shape[:2], *intensity.shape[1:])

    def disk(l: int, tilt: float) -> Array:  # noqa: E741
        """Mean of the disk 00l of +P over thickness; left and right of it are equal."""
        inside = np.hypot(grid[..., 0] - tilt, grid[..., 1]) <= radius + 1e-9
        weight = inside * np.where(grid[..., 1] < 1e-9, 1.0, 2.0)
        return np.einsum("yx,yxt->t", weight, rocking[..., index[0, 0, l]]) / weight.sum()

    def difference(l: int, tilt: float) -> Array:  # noqa: E741
        """Of +P less -P: the mirror image of +P under the mirrored tilt."""
        return disk(l, tilt) - disk(-l, -tilt)

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained")
    for number, l in enumerate((2, 4, 6)):  # noqa: E741
        change, total = difference(l, 0.0), disk(l, 0.0) + disk(-l, 0.0)
        axes[0].plot(nm, 100 * change, color=f"C{number}", label=f"00{l}")
        axes[1].plot(nm, change / total, color=f"C{number}", label=f"00{l}")
    sparse = np.stack(np.meshgrid(np.arange(-3, 4), np.arange(4), indexing="ij"), axis=-1) * 0.6
    sparse = sparse[np.hypot(*np.moveaxis(sparse, -1, 0)) <= radius + 1e-9]
    check = np.arange(20, 121, 5.0)
    by_hkl, exact = beams(crystal, sparse * PER_MRAD, check)
    weight = np.where(sparse[:, 1] < 1e-9, 1.0, 2.0)
    weight /= weight.sum()
    for number, l in enumerate((2, 4, 6)):  # noqa: E741
        up, dn = (weight @ exact[..., by_hkl[0, 0, s * l]] for s in (1, -1))
        axes[0].plot(check, 100 * (up - dn), ".", color=f"C{number}")
        axes[1].plot(check, (up - dn) / (up + dn), ".", color=f"C{number}")
        print(f"multislice 00{l}", dict(zip(check, np.round(100 * (up - dn), 2), strict=True)))
    for axis, label in zip(axes, ("I(+P) - I(-P), % of incident", "the same / sum"), strict=False):
        axis.set(xlabel="thickness (nm)", title=label)
        axis.axhline(0, color="k", lw=0.5)
        axis.axvline(75, color="k", lw=0.5, ls=":")
        axis.legend(fontsize=8)

    def size(l: int) -> Array:  # noqa: E741
        pairs = [(np.abs(difference(l, t)) + np.abs(difference(-l, t))) / 2 for t in tilts]
        return np.array(pairs)

    ratio = np.log2(size(4) / size(2))
    extent = (nm[0] - 0.5, nm[-1] + 0.5, tilts[0] - 0.2, tilts[-1] + 0.2)
    image = axes[2].imshow(
        ratio, extent=extent, aspect="auto", origin="lower", cmap="RdBu_r", vmin=-3, vmax=3
    )
    axes[2].set(xlabel="thickness (nm)", ylabel="tilt along c (mrad)", title="log2 |Δ004| / |Δ002|")
    axes[2].axvline(75, color="k", lw=0.5, ls=":")
    figure.colorbar(image, ax=axes[2])
    at = int(np.flatnonzero(nm == 75)[0])
    for l in (2, 4, 6, 8):  # noqa: E741
        print(f"00{l} at 75 nm by tilt", np.round(100 * size(l)[:, at], 2).tolist())
    print("share of thickness and tilt where 004 is stronger:", np.mean(ratio > 0).round(2))
    near = ratio[np.abs(tilts) < 2.1][:, np.abs(nm - 75) < 10.1]
    print("the same within 10 nm of 75 nm and 2 mrad:", np.mean(near > 0).round(2))
    return figure


def patterns() -> plt.Figure:
    """+P, -P and their difference at 75 nm."""
    options = {"thickness": 75, "k_step": 0.0125, "detector_shape": (128, 128)}
    options["method"] = "scattering-matrix"
    plus, minus = (reference(f"ermno3{sign}", **options).patterns[0] for sign in "+-")
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.9), layout="constrained")
    half = 64 * 0.0125
    for axis, image, title in zip(axes, (plus, minus), ("+P", "-P"), strict=False):
        axis.imshow(np.sqrt(image), cmap="magma", extent=(-half, half, half, -half))
        axis.set_title(title)
    change, limit = plus - minus, np.abs(plus - minus).max()
    axes[2].imshow(
        change, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=(-half, half, half, -half)
    )
    axes[2].set_title("+P less -P")
    for axis in axes:
        axis.set_xlabel("1/Å")
    return figure


if __name__ == "__main__":
    images = Path(__file__).parent.parent / "docs" / "images"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else images)
