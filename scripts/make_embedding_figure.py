"""Make docs/images/embedding-patterns.png: two channels, histograms, and what is in the patterns.

The channels are principal components of the patterns of the preset ermno3-domains-small: seconds of
work, and the same on every machine.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from napari_ferro4d.embedding import ChannelReport, difference, histogram, proxies, rank
from napari_ferro4d.match import compare_difference
from napari_ferro4d.open import open_scan
from napari_ferro4d.scan import Scan
from napari_ferro4d.simulate import preset, write_scan

FIGURE = Path(__file__).parent.parent / "docs" / "images" / "embedding-patterns.png"
COMPONENTS = 8
Array = np.ndarray[Any, np.dtype[Any]]


def main() -> None:
    """Simulate, find components, read two of them and draw."""
    with tempfile.TemporaryDirectory() as folder:
        scan = open_scan(write_scan(preset("ermno3-domains-small"), Path(folder) / "scan.zarr"))
        channels = components(scan)
        ranked = rank(channels, proxies(scan))
        for one in ranked:
            print(one.channel, round(one.structure, 2), one.extrinsic, dict(one.correlations))
        intrinsic = [one for one in ranked if one.extrinsic is None]
        extrinsic = next(one for one in ranked if one.extrinsic is not None)
        # Of the first two, the one that the simulation says is about polarity.
        seen = [compare(scan, channels[one.channel]) for one in intrinsic[:2]]
        best = max(range(len(seen)), key=lambda n: abs(seen[n].overall))
        draw(scan, channels, [intrinsic[best], extrinsic])


def components(scan: Scan) -> Array:
    """Return the first principal components ``[component, y, x]`` of the binned patterns."""
    counts = np.asarray(scan.data.compute(), np.float32)
    ny, nx, ky, kx = counts.shape
    binned = counts.reshape(ny, nx, ky // 4, 4, kx // 4, 4).sum(axis=(3, 5))
    values = np.log1p(binned).reshape(ny * nx, -1)
    values -= values.mean(axis=0)
    _, vectors = np.linalg.eigh(values.T @ values)
    return (values @ vectors[:, : -COMPONENTS - 1 : -1]).T.reshape(COMPONENTS, ny, nx)


def compare(scan: Scan, channel: Array) -> Any:
    """Return the comparison of a channel's difference pattern with +P less -P."""
    return compare_difference(scan, difference(scan, channel), "ermno3", rotation=(-20, 20))


def draw(scan: Scan, channels: Array, chosen: list[ChannelReport]) -> None:
    """Draw a row for each of the chosen channels."""
    figure, axes = plt.subplots(2, 4, figsize=(8.2, 4.1), layout="constrained")
    for row, one in zip(axes, chosen, strict=True):
        channel = channels[one.channel]
        compared = compare(scan, channel)
        if compared.overall < 0 and one.extrinsic is None:
            channel = -channel  # the sign of a component is arbitrary
            compared = compare(scan, channel)
        found, sure = difference(scan, channel), histogram(channel)
        row[0].imshow(channel, cmap="viridis")
        row[1].stairs(sure.counts, sure.edges, fill=True, color="0.4")
        for peak in sure.peaks:
            row[1].axvline(peak, color="tab:orange", lw=1)
        shown = np.where(np.abs(found.difference) > 3 * found.error, found.difference, np.nan)
        patterns(row[2], shown, np.nanpercentile(np.abs(found.difference), 99.7))
        patterns(row[3], compared.simulated, np.nanpercentile(np.abs(compared.simulated), 99.7))
        mark = f"extrinsic: {one.extrinsic}" if one.extrinsic else "intrinsic"
        row[0].set_title(f"channel {one.channel}, {mark}", fontsize=8)
        row[1].set_title("histogram, peaks", fontsize=8)
        row[2].set_title("highest less lowest 5 %", fontsize=8)
        row[3].set_title(f"+P less -P; correlation {compared.overall:+.2f}", fontsize=8)
    for axis in axes.ravel():
        axis.set(xticks=[], yticks=[])
    figure.savefig(FIGURE, dpi=110)


def patterns(axis: Any, image: Array, limit: float) -> None:
    """Draw the middle of a difference pattern, grey where it is not known."""
    colours = plt.get_cmap("RdBu_r").with_extremes(bad="0.85")
    ky, kx = (n // 4 for n in image.shape)
    axis.imshow(image[ky:-ky, kx:-kx], cmap=colours, vmin=-limit, vmax=limit)


if __name__ == "__main__":
    main()
