"""Identification of what was simulated with another model than the candidates."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.simulated_patterns import OPTICS, ymno3_table
from napari_ferro4d.match import candidates_of, identify, identify_scan
from napari_ferro4d.simulate.diffraction import load_table, table_patterns

TILTS = (-0.6, -0.3, 0.0, 0.3, 0.6)


@pytest.fixture(scope="module")
def candidates():
    return candidates_of(
        ymno3_table(), OPTICS, thickness=np.arange(50, 76, 5), tilt_y=TILTS, tilt_x=(-0.4, 0, 0.4)
    )


def drawn(rng, pattern, counts):
    return rng.poisson(counts * pattern / pattern.sum()).astype(float)


def read(counts, candidates, **keys):
    """Identify one pattern of counts with the turn known."""
    keys = {"rotation_known": True} | keys
    return identify({1: counts}, {1: counts.sum()}, candidates, **keys).classes[1]


def test_every_part_of_a_simulated_experiment_gets_its_sign():
    from napari_ferro4d.simulate.scans import prepare, preset, scan

    # Bent and wedge-shaped, amorphous layer, point spread, dead and hot pixels, drift and descan.
    spec = preset("ermno3-domains-small")
    simulation = prepare(spec)
    made = scan(spec)
    rows = [simulation.specimen.row(y) for y in range(made.shape[0])]
    labels = np.array([np.where(row.wall, 0, row.labels) for row in rows]).astype(int)
    tile = (np.arange(64)[:, None] // 22) * 3 + np.arange(64)[None] // 22
    regions = np.where(labels > 0, labels + 2 * tile, 0)
    bad = simulation.detector.dead | simulation.detector.hot
    states = candidates_of(
        load_table("ermno3"),
        simulation.optics,
        thickness=np.arange(62, 87, 6),
        tilt_y=np.arange(-1.2, 1.3, 0.4),
        tilt_x=(-0.8, 0, 0.8),
    )
    found = identify_scan(made, regions, states, rotation_known=True, bad=bad, blur=0.6)
    assert len(found.classes) > 10
    for label, reading in found.classes.items():
        here = regions == label
        assert reading.probability[1 if label % 2 else -1] > 0.99
        assert reading.decisive
        thickness = np.mean([row.thickness[one].sum() for row, one in zip(rows, here, strict=True)])
        assert abs(reading.best.thickness - thickness * len(rows) / here.sum()) < 7
    for pair in found.pairs:
        assert (pair.opposite > 0.98) == ((pair.first + pair.second) % 2 == 1)


def test_a_simulation_of_the_sister_compound_still_gives_the_sign(candidates):
    rng = np.random.default_rng(15)
    table = load_table("ermno3")
    for counts in (1e3, 1e5):
        for sign, state in ((1, "+P"), (-1, "-P")) * 4:
            place = rng.uniform(-0.5, 0.5), rng.uniform(-0.4, 0.4), rng.uniform(55, 70)
            where = (np.array([value]) for value in place)
            reading = read(
                drawn(rng, table_patterns(table, state, OPTICS, *where)[0], counts), candidates
            )
            assert reading.probability[sign] > 0.9
            assert reading.explained < 0.9 or counts < 1e4
