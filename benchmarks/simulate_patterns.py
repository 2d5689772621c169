"""How fast simulated patterns are made, and how far they are from the calculation.

    python benchmarks/simulate_patterns.py

One core: patterns interpolated in the table by the compiled kernel, medians of five; whole scan
rows with background, point spread and noise. Then the interpolation error at 50 random tilts and
thicknesses per state.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from napari_ferro4d.simulate.crystal import (
    BORACITE_STATES,
    Crystal,
    boracite,
    boracite_cubic,
    ermno3,
)
from napari_ferro4d.simulate.diffraction import (
    Optics,
    find,
    load_table,
    spline_of,
    structure_matrix,
    table_patterns,
    wavelength,
    waves,
    zone_beams,
)
from napari_ferro4d.simulate.scans import prepare, preset, presets, simulated_row

MANGANITE = Optics(200.0, 2.0, 0.015, (128, 128))
BORACITE = Optics(300.0, 0.8, 0.0132, (128, 128))
N = 500


def places(seed: int, n: int, room: float = 1.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    tilt_y, tilt_x = rng.uniform(-room, room, (2, n))
    return tilt_y, tilt_x, rng.uniform(40, 100, n)


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def speed() -> None:
    table = load_table("ermno3")
    where = places(0, N)
    table_patterns(table, "+P", MANGANITE, *places(0, 2))
    took = [seconds(lambda: table_patterns(table, "+P", MANGANITE, *where)) for _ in range(5)]
    rate = N / statistics.median(took)
    print(f"ErMnO3, 121 beams, 128 x 128: {rate:.0f} patterns/s on one core")
    for name, optics, state in (
        ("ermno3", replace(MANGANITE, k_step=0.0075, detector_shape=(256, 256)), "+P"),
        ("boracite", BORACITE, "up"),
        ("boracite", replace(BORACITE, k_step=0.0033, detector_shape=(512, 512)), "up"),
    ):
        n = N // 5
        table = load_table(name)
        where = places(1, n, 1.0)
        table_patterns(table, state, optics, *places(0, 2, 1.0))
        took = [
            seconds(lambda t=table, s=state, o=optics, w=where: table_patterns(t, s, o, *w))
            for _ in range(5)
        ]
        size = " x ".join(map(str, optics.detector_shape))
        print(f"{name} {state}, {size}: {n / statistics.median(took):.0f} patterns/s")
    for name in presets():
        simulation = prepare(preset(name))
        n = simulation.spec.scan.shape[1]
        sum(len(counts) for _, counts in simulated_row(simulation, 0, min(n, 4)))
        took = [
            seconds(lambda s=simulation: [len(c) for _, c in simulated_row(s, 5)]) for _ in range(3)
        ]
        print(f"preset {name}: {n / statistics.median(took):.0f} whole patterns/s, noise and all")


def error(
    name: str, state: str, crystal: Crystal, zone: tuple[int, ...], up: tuple[int, ...]
) -> None:
    from scipy.ndimage import map_coordinates

    table = load_table(name)
    optics = MANGANITE if name == "ermno3" else BORACITE
    coefficients, g = spline_of(table, state)
    beams = zone_beams(crystal, table.notes["g_max"], zone, up)
    coupling = structure_matrix(crystal, beams, table.kilovolts)
    order = find(beams.g, g)
    per_mrad = 1e-3 / wavelength(table.kilovolts)
    room = (table.reach - optics.disk_radius - optics.k_step / 2) / per_mrad
    k_step, t_step = table.k_t[1] - table.k_t[0], table.thickness[1] - table.thickness[0]
    rng = np.random.default_rng(8)
    low, high = table.thickness_range
    tilts = rng.uniform(-room, room, (50, 1, 2))
    # Some beam directions in the cone of the probe stand for the pixels of the disks.
    angle, part = rng.uniform(0, 2 * np.pi, (50, 4)), np.sqrt(rng.uniform(size=(50, 4)))
    inside = part[..., None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    k_t = (tilts * per_mrad + optics.disk_radius * inside).reshape(-1, 2)
    steps = rng.integers(np.ceil(low / 1.7), np.floor(high / 1.7) + 1, 50).repeat(4)
    wanted = np.empty((200, len(g)))
    for n, wave in enumerate(waves(coupling, beams, k_t, 1.7, table.kilovolts), start=1):
        wanted[steps == n] = np.abs(wave[order][:, steps == n].T) ** 2
        if n == steps.max():
            break
    at = [(1.7 * steps - table.thickness[0]) / t_step, *(k_t.T - table.k_t[0]) / k_step]
    found = np.stack(
        [map_coordinates(one, at, order=3, mode="mirror", prefilter=False) for one in coefficients],
        axis=-1,
    ).clip(0)
    by_place = (50, 4 * len(g))
    difference = np.abs(found - wanted).reshape(by_place).sum(axis=1)
    errors = difference / wanted.reshape(by_place).sum(axis=1)
    print(
        f"{name} {state}, {len(g)} beams, up to {room:.2f} mrad and "
        f"{table.thickness_range[0]:g} to {table.thickness_range[1]:g} nm: "
        f"mean {np.mean(errors):.2%}, largest {np.max(errors):.2%}"
    )


def main() -> None:
    with threadpool_limits(1):
        speed()
        error("ermno3", "+P", ermno3(1), (1, 0, 0), (0, 0, 1))
        error("ermno3", "nonpolar", ermno3(0), (1, 0, 0), (0, 0, 1))
        error("boracite", "up", boracite(), *BORACITE_STATES["up"])
        error("boracite", "along", boracite(), *BORACITE_STATES["along"])
        error("boracite", "cubic", boracite_cubic(), (1, 0, 0), (0, 1, 0))


if __name__ == "__main__":
    main()
