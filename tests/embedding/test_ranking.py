"""Which channels say something: ranked, and held against maps of thickness, tilt and shift."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_ferro4d.embedding import proxies, rank
from napari_ferro4d.errors import ScanError
from napari_ferro4d.open import open_scan
from napari_ferro4d.scan import Scan
from napari_ferro4d.simulate import ScanTruth, preset, truth, write_scan

# --- simulated scans, whose truth is known


@pytest.fixture(scope="module", params=["ermno3-domains-small", "ermno3-vortex-small"])
def simulated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Scan, ScanTruth, dict[str, np.ndarray]]:
    """Return a preset at half its resolution, its truth, and its proxies."""
    spec = preset(request.param)
    spec = replace(spec, scan=replace(spec.scan, shape=(32, 32), step=2.8))
    path = write_scan(spec, tmp_path_factory.mktemp("simulated") / "scan.zarr")
    scan = open_scan(path)
    return scan, truth(path), dict(proxies(scan))


def _noisy(image: np.ndarray, share: float = 0.2) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, share * image.std(), image.shape)
    return image.astype(float) + noise


Simulated = tuple[Scan, ScanTruth, dict[str, np.ndarray]]


def test_what_only_follows_thickness_tilt_or_descan_is_extrinsic(simulated: Simulated) -> None:
    _, known, maps = simulated
    shapes = [known.thickness, *known.tilt, *known.shift]
    for one in rank(np.stack([_noisy(image) for image in shapes]), maps):
        assert one.active
        assert one.extrinsic in ("thickness", "tilt_y", "tilt_x", "shift_y", "shift_x")
        assert abs(one.correlations[one.extrinsic]) >= 0.7
    (exact,) = rank(known.thickness[None], maps)
    assert exact.extrinsic == "thickness"


def test_what_shows_polarity_or_walls_is_not_extrinsic(simulated: Simulated) -> None:
    _, known, maps = simulated
    polarity = known.polarization[0]
    for one in rank(np.stack([_noisy(polarity), _noisy(known.wall), polarity]), maps):
        assert one.active
        assert one.extrinsic is None


def test_the_proxies_of_shape_do_not_see_polarity(simulated: Simulated) -> None:
    _, known, maps = simulated
    (polarity,) = rank(known.polarization[:1], maps)
    for name in ("thickness", "tilt_y", "tilt_x", "shift_y", "shift_x"):
        assert abs(polarity.correlations[name]) < 0.25, name
    # ... which the vertical centre of mass does, the polar axis being vertical.
    assert abs(polarity.correlations["com_y"]) > 0.25


def test_proxies_follow_what_they_are_named_after(simulated: Simulated) -> None:
    _, known, maps = simulated

    def strength(image: np.ndarray, *names: str) -> float:
        (one,) = rank(image[None], maps)
        return max(abs(one.correlations[name]) for name in names)

    assert strength(known.thickness, "thickness") > 0.9
    assert strength(known.shift[0], "shift_y") > 0.9
    assert strength(known.shift[1], "shift_x") > 0.9
    # The bend is in one direction; where the disk hardly changes along it, the other half tells.
    assert strength(known.tilt[0], "tilt_y", "tilt_x") > 0.75


def test_a_wall_across_a_wedge_is_no_thickness() -> None:
    # Polarity and thickness correlate by 0.87, less what noise makes of it; one of them has a wall.
    x = np.indices((64, 64))[1]
    rng = np.random.default_rng(0)
    thickness = x + rng.normal(0, 0.5, x.shape)
    polarity = np.sign(x - 31.5) + rng.normal(0, 0.05, x.shape)
    reports = rank(np.stack([polarity, x**1.5]), {"thickness": thickness})
    wall, wedge = sorted(reports, key=lambda one: one.channel)
    assert abs(wall.correlations["thickness"]) > 0.72
    assert wall.extrinsic is None
    assert wedge.extrinsic == "thickness"


def test_ranks_agree_with_scipy() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    channels, proxy = rng.integers(0, 9, (2, 20, 30)), rng.normal(size=(20, 30))
    for one in rank(channels, {"com_y": proxy}):
        wanted = spearmanr(channels[one.channel].ravel(), proxy.ravel()).statistic
        assert one.correlations["com_y"] == pytest.approx(wanted)


def test_unknown_values_and_proxies_do_not_disturb_the_others() -> None:
    y, x = np.indices((32, 32)).astype(float)
    x[3:6, 4:9] = np.nan
    maps = {"thickness": y, "tilt_y": np.full((32, 32), np.nan)}
    first, second = rank(np.stack([x, y]), maps)
    assert (first.channel, second.channel) == (0, 1)
    assert np.isnan(first.correlations["tilt_y"])
    assert second.extrinsic == "thickness"


def test_noise_and_constants_come_last() -> None:
    rng = np.random.default_rng(0)
    stack = np.stack([rng.normal(size=(40, 40)), np.ones((40, 40)), np.indices((40, 40))[0]])
    reports = rank(stack)
    assert reports[0].channel == 2
    assert [one.active for one in reports] == [True, False, False]


def test_a_proxy_of_another_shape_is_refused() -> None:
    with pytest.raises(ScanError, match="'thickness' has shape"):
        rank(np.zeros((1, 4, 4)), {"thickness": np.zeros((4, 5))})


def test_proxies_of_a_small_disk_leave_out_the_tilt() -> None:
    counts = np.random.default_rng(0).poisson(1.0, (6, 7, 16, 16)).astype(np.uint8)
    counts[:, :, 7:10, 7:10] = 200
    maps = proxies(Scan.from_array(counts))
    assert np.isnan(maps["tilt_y"]).all()
    for name in ("thickness", "shift_y", "com_y", "dark_field"):
        assert np.isfinite(maps[name]).all(), name


def test_proxies_of_missing_patterns_are_unknown() -> None:
    counts = np.full((4, 5, 24, 24), 1, np.uint16)
    counts[:, :, 8:16, 8:16] = 50
    missing = np.zeros((4, 5), bool)
    missing[2, 3] = True
    counts[2, 3] = 0
    maps = proxies(replace(Scan.from_array(counts), missing=missing))
    for name, image in maps.items():
        assert (np.isnan(image) == missing).all(), name


def test_the_shift_is_where_the_disk_lies() -> None:
    # A flat disk that moves by whole pixels, and one that is brighter on one side: the first has
    # no tilt, the second hardly any shift.
    ky, kx = np.indices((48, 48)) - 24.0
    moved = np.zeros((1, 9, 48, 48), np.uint16)
    tilted = np.zeros((1, 9, 48, 48), np.uint16)
    for n, step in enumerate(np.linspace(-1, 1, 9)):
        moved[0, n] = 1000 * (np.hypot(ky - round(2 * step) / 2, kx) <= 10.2)
        tilted[0, n] = (1000 * (1 + 0.03 * step * ky)) * (np.hypot(ky, kx) <= 10.2)
    shifts, tilts = (proxies(Scan.from_array(one)) for one in (moved, tilted))
    assert np.ptp(shifts["tilt_y"]) < 0.02 < 0.1 < np.ptp(shifts["shift_y"])
    assert np.ptp(tilts["shift_y"]) < 0.1 * np.ptp(tilts["tilt_y"])
    assert shifts["shift_y"][0, -1] > shifts["shift_y"][0, 0]
    assert tilts["tilt_y"][0, -1] > tilts["tilt_y"][0, 0]
