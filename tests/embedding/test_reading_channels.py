"""Reading an embedding: the values of channels, patterns of their extremes, clusters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_ferro4d.embedding import (
    cluster,
    difference,
    gate,
    histogram,
    log_difference,
    mean_pattern,
    within,
)
from napari_ferro4d.errors import ScanError
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.scan import Scan

# --- histogram, ranges, gates


def test_a_histogram_has_a_peak_for_every_population() -> None:
    rng = np.random.default_rng(0)
    means = np.array([0.0, 2.0, 5.0])
    values = rng.normal(means[rng.integers(0, 3, (128, 128))], 0.3)
    found = histogram(values)
    assert found.counts.shape == (200,)
    assert found.counts.sum() == 128 * 128
    assert found.edges[0] == values.min()
    assert found.edges[-1] == values.max()
    assert np.allclose(found.peaks, means, atol=0.15)


@pytest.mark.parametrize("seed", range(20))
def test_noise_on_one_population_makes_no_second_peak(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(64, 64))
    assert len(histogram(values).peaks) == 1


def test_a_rectified_channel_has_a_peak_at_zero() -> None:
    values = np.maximum(np.random.default_rng(1).normal(-0.5, 1, (64, 64)), 0)
    assert abs(histogram(values).peaks[0]) < 0.02


def test_a_histogram_leaves_out_what_is_unknown() -> None:
    assert histogram([[1.0, np.nan], [2.0, 2.0]], bins=2).counts.tolist() == [1, 2]
    with pytest.raises(ScanError, match="no finite value"):
        histogram(np.full((2, 2), np.nan))


def test_a_constant_channel_has_one_peak() -> None:
    assert histogram(np.full((4, 4), 3.0)).peaks == pytest.approx((3.0,), abs=0.01)


def test_a_gate_takes_the_pairs_inside_its_polygon() -> None:
    # A triangle: a > 0, b > 0, a + b < 1. Independently: the three inequalities.
    a, b = np.random.default_rng(0).uniform(-1, 1, (2, 30, 40))
    a[3, 4] = np.nan
    wanted = (a > 0) & (b > 0) & (a + b < 1)
    assert (gate(a, b, [(0, 0), (1, 0), (0, 1)]) == wanted).all()


def test_a_gate_may_be_concave() -> None:
    corners = [(0, 0), (4, 0), (4, 4), (2, 1), (0, 4)]  # a notch from above
    assert gate([[1, 2, 3]], [[2.0, 2.0, 2.0]], corners).tolist() == [[True, False, True]]


@pytest.mark.parametrize("polygon", [[(0, 0), (1, 1)], [(0, 0), (1, 1), (np.nan, 0)], [1, 2, 3]])
def test_what_is_no_polygon_is_refused(polygon: list) -> None:
    with pytest.raises(ScanError, match="gate"):
        gate(np.zeros((2, 2)), np.zeros((2, 2)), polygon)


# --- patterns of a channel's extremes


def _poisson(positions: int = 400, seed: int = 0) -> tuple[Scan, np.ndarray]:
    """Return a scan whose patterns have more counts in pixel (1, 2) on the right half."""
    expected = np.full((1, positions, 4, 5), 3.0)
    expected[0, positions // 2 :, 1, 2] = 12.0
    counts = np.random.default_rng(seed).poisson(expected).astype(np.uint16)
    return Scan.from_array(counts), np.arange(float(positions))[None]


def test_top_minus_bottom_is_the_mean_of_the_extreme_positions() -> None:
    scan, channel = _poisson()
    counts = np.asarray(scan.data).astype(float)
    found = difference(scan, channel, share=0.05)
    assert found.high_positions.sum() == found.low_positions.sum() == 20
    assert (found.high == counts[0, -20:].mean(axis=0)).all()
    assert (found.low == counts[0, :20].mean(axis=0)).all()
    assert (found.difference == found.high - found.low).all()
    assert np.allclose(
        found.error, np.sqrt((counts[0, -20:].sum(axis=0) + counts[0, :20].sum(axis=0)) / 20**2)
    )
    assert found.error.dtype == np.float64


def test_top_of_one_channel_minus_top_of_another() -> None:
    scan, channel = _poisson()
    counts = np.asarray(scan.data).astype(float)
    other = -np.abs(channel - 100)  # highest about position 100
    found = difference(scan, channel, against=other, share=0.05)
    assert (found.high == counts[0, -20:].mean(axis=0)).all()
    assert set(np.flatnonzero(found.low_positions)) <= set(range(89, 112))
    assert np.allclose(found.low, counts[found.low_positions].mean(axis=0))


def test_positions_high_in_both_channels_are_in_neither_group() -> None:
    scan, channel = _poisson()
    other = np.roll(channel, 10)  # shares ten of its highest twenty
    found = difference(scan, channel, against=other, share=0.05)
    assert not (found.high_positions & found.low_positions).any()
    assert found.high_positions.sum() == found.low_positions.sum() == 10


def test_all_positions_with_the_value_at_the_border_are_taken() -> None:
    # Rectified: 300 of 400 are zero. Any 20 of them would be a choice of place, not of value.
    scan, channel = _poisson()
    found = difference(scan, np.maximum(channel - 299, 0), share=0.05)
    assert found.low_positions.sum() == 300
    assert found.high_positions.sum() == 20


def test_a_channel_that_is_on_in_few_positions_has_a_difference() -> None:
    patterns = np.ones((10, 20, 4, 4), np.uint16)
    wall = np.zeros((10, 20), bool)
    wall[:4, 7] = True  # 2 % of the positions
    patterns[wall, 1, 2] = 9
    for channel, (high, low) in ((wall * 2.5, (wall, ~wall)), (wall * -2.5, (~wall, wall))):
        found = difference(Scan.from_array(patterns), channel)
        assert np.array_equal(found.high_positions, high)
        assert np.array_equal(found.low_positions, low)
        assert abs(found.difference[1, 2]) == 8


def test_missing_and_unknown_positions_are_in_no_group() -> None:
    scan, channel = _poisson()
    missing = np.zeros(scan.scan_shape, bool)
    missing[0, -5:] = True
    channel[0, :5] = np.nan
    found = difference(replace(scan, missing=missing), channel, share=0.05)
    assert not found.high_positions[0, -5:].any()
    assert not found.low_positions[0, :5].any()
    assert found.low_positions[0, 5]


@pytest.mark.parametrize("errors", ["counting", "scatter"])
def test_the_error_is_the_spread_of_repeated_measurements(errors: str) -> None:
    # 200 scans of the same specimen: how far their differences scatter, against what one says.
    # The mean of 20 pixels and 200 repetitions is known to about 1 %.
    made = [_poisson(80, seed) for seed in range(200)]
    found = [difference(scan, channel, share=0.25, errors=errors) for scan, channel in made]
    spread = np.std([one.difference for one in found], axis=0, ddof=1)
    said = np.sqrt(np.mean([one.error**2 for one in found], axis=0))
    assert np.allclose(said, spread, rtol=0.25)
    assert np.mean(said / spread) == pytest.approx(1, abs=0.04)


def test_scatter_sees_what_counting_does_not() -> None:
    # The two halves of each group differ: scatter is larger than counting alone explains.
    counts = np.full((1, 40, 3, 3), 100, np.uint16)
    counts[0, ::2] = 140
    scan, channel = Scan.from_array(counts), np.arange(40.0)[None]
    scatter = difference(scan, channel, share=0.5, errors="scatter")
    counting = difference(scan, channel, share=0.5)
    assert np.allclose(scatter.error, np.sqrt(2 * 20**2 / 19))  # variance 400, 20 - 1 degrees
    assert np.allclose(counting.error, np.sqrt(2 * 120 / 20))
    assert (scatter.difference == counting.difference).all()


def test_the_logarithm_of_a_difference_shows_weak_pixels() -> None:
    counts = np.zeros((1, 2, 3, 3), np.uint16)
    counts[0, 0, 0, 0], counts[0, 1, 0, 0] = 1000, 1010
    counts[0, 1, 2, 2] = 5
    found = difference(Scan.from_array(counts), np.array([[0.0, 1.0]]), share=0.5)
    assert found.difference.argmax() == 0
    assert log_difference(found).argmax() == 8
    assert log_difference(found)[2, 2] == pytest.approx(np.log(6))


def test_the_mean_of_a_range_of_values_is_that_of_its_positions() -> None:
    scan, channel = _poisson()
    chosen = within(channel, 100, 120)
    mean, error = mean_pattern(scan, chosen)
    counts = np.asarray(scan.data).astype(float)[chosen]
    assert len(counts) == 21
    assert (mean == counts.mean(axis=0)).all()
    assert np.allclose(error, np.sqrt(counts.sum(axis=0)) / 21)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"share": 0}, "share"),
        ({"share": 0.6}, "share"),
        ({"share": float("nan")}, "share"),
        ({"channel": np.zeros((1, 400))}, "no contrast"),
        ({"channel": np.zeros((2, 200))}, "shape"),
        ({"channel": np.full((1, 400), np.nan)}, "finite"),
        ({"against": np.arange(400.0)[None]}, "same probe positions"),
        ({"errors": "guess"}, "errors"),
    ],
)
def test_differences_that_cannot_be_made_are_refused(keys: dict, said: str) -> None:
    scan, channel = _poisson()
    with pytest.raises(ScanError, match=said):
        difference(scan, **{"channel": channel, **keys})


def test_an_empty_mask_has_no_mean() -> None:
    scan, _ = _poisson()
    with pytest.raises(ScanError, match="no probe position"):
        mean_pattern(scan, np.zeros(scan.scan_shape, bool))


def test_a_difference_can_be_cancelled() -> None:
    def stop(progress: Progress) -> None:
        raise Cancelled

    scan, channel = _poisson()
    with pytest.raises(Cancelled):
        difference(scan, channel, report=stop)


# --- clusters


def _three_regions(noise: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.indices((48, 60))
    region = np.where(y < 18, 1, np.where(x < 35, 2, 3))
    clean = np.stack([region == 1, region == 2, 0.5 * (region == 3)]).astype(float)
    noisy = clean + np.random.default_rng(0).normal(0, noise, clean.shape)
    constant = np.full((1, 48, 60), 7.0)
    return np.concatenate([noisy, constant]), region


@pytest.mark.parametrize("method", ["gaussian", "hdbscan"])
def test_clusters_are_the_regions(method: str) -> None:
    channels, region = _three_regions(0.08)
    found = cluster(channels, method=method)
    assert found.classes == 3
    assert found.labels.dtype == np.uint16
    sizes = np.bincount(found.labels.ravel())[1:]
    assert (np.diff(sizes) <= 0).all()  # the largest is number 1
    there = found.labels > 0
    assert there.mean() > 0.9
    for number in (1, 2, 3):
        assert len(np.unique(region[found.labels == number])) == 1
    assert (found.probability[there] > 0).all()
    assert (found.probability[~there] == 0).all()


def test_what_bends_smoothly_does_not_hide_how_many_domains_there_are() -> None:
    y, x = np.indices((48, 60)) / 30
    domain = np.where(x + 0.1 * y > 1, 1.0, -1.0)
    smooth = [np.sin(2 * x + y), np.cos(3 * y - x), 0.7 * domain + 0.5 * np.sin(y + 2 * x)]
    noise = np.random.default_rng(0).normal(0, 0.05, (4, 48, 60))
    channels = np.stack([domain, *smooth]) + noise
    found = cluster(channels)
    assert 2 <= found.classes <= 4
    for number in range(1, found.classes + 1):
        share = (domain[found.labels == number] > 0).mean()
        assert max(share, 1 - share) > 0.99


def test_the_number_of_classes_can_be_given() -> None:
    channels, _ = _three_regions()
    assert cluster(channels, classes=2).classes == 2
    assert cluster(channels, classes=3).classes == 3


def test_the_same_seed_gives_the_same_classes() -> None:
    rng = np.random.default_rng(3)
    channels = rng.normal(size=(4, 90, 90)) + (np.indices((90, 90))[0] > 40)  # more than are fitted
    first, second = (cluster(channels, seed=5) for _ in range(2))
    assert (first.labels == second.labels).all()
    assert (first.probability == second.probability).all()


@pytest.mark.parametrize("method", ["gaussian", "hdbscan"])
def test_unknown_positions_belong_to_no_class(method: str) -> None:
    channels, _ = _three_regions()
    channels[:, 5, 7:20] = np.nan
    found = cluster(channels, method=method)
    assert (found.labels[5, 7:20] == 0).all()
    assert (found.probability[5, 7:20] == 0).all()
    assert found.labels[6, 7] > 0


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"method": "kmeans"}, "gaussian or hdbscan"),
        ({"method": "hdbscan", "classes": 3}, "itself"),
        ({"classes": 0}, "0 classes"),
        ({"classes": 10**6}, "not possible"),
        ({"channels": np.zeros((2, 3))}, "stack of maps"),
        ({"channels": np.arange(4.0)[None, None], "method": "hdbscan"}, "needs 5 probe positions"),
        ({"channels": np.ones((2, 5, 5))}, "nothing to divide"),
        ({"channels": np.full((2, 5, 5), np.nan)}, "nothing to divide"),
    ],
)
def test_what_cannot_be_clustered_is_refused(keys: dict, said: str) -> None:
    with pytest.raises(ScanError, match=said):
        cluster(**{"channels": _three_regions()[0], **keys})
