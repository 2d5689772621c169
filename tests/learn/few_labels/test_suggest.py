"""Which positions to label next: a first grid, boundaries, doubt, and when to stop."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.labelled_scans import counting, some, striped, three_domains, wavy_domains
from napari_ferro4d import LabelsError, Scan, ScanError, classify, suggest
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.learn import METHODS, Suggestion
from napari_ferro4d.learn.data import Neighbourhood
from napari_ferro4d.learn.few_labels import at_boundaries, prepare


def distinct_and_free(found: Suggestion, free: np.ndarray) -> bool:
    """Return whether every position is suggested once, and can be labelled."""
    places = [tuple(place) for place in found.positions.tolist()]
    return len(set(places)) == len(places) and all(free[place] for place in places)


def corners(truth: np.ndarray) -> np.ndarray:
    """Return labels in the four corners, and in the middle of each side."""
    labels = np.zeros_like(truth)
    y, x = np.array(truth.shape) - 1
    places = np.ix_([0, y // 2, y], [0, x // 2, x])
    labels[places] = truth[places]
    return labels


def test_without_labels_a_first_grid_covers_the_scan():
    scan, truth = three_domains(0)
    found = suggest(scan, budget=20)
    assert found.positions.shape == (20, 2)
    assert found.positions.dtype.kind == "i"
    assert found.message == ""
    assert distinct_and_free(found, np.ones(truth.shape, bool))
    # Every quarter of the scan and every kind of pattern has its share.
    quarters = 2 * (found.positions[:, 0] >= 10) + (found.positions[:, 1] >= 10)
    assert np.bincount(quarters, minlength=4).min() >= 2
    kinds = truth[tuple(found.positions.T)]
    assert min(np.count_nonzero(kinds == number) for number in (2, 5, 9)) >= 4
    assert np.array_equal(
        suggest(scan, np.zeros(truth.shape, int), budget=20).positions, found.positions
    )


def test_with_one_class_what_is_unlike_it_comes_first():
    scan, truth = three_domains(0)
    labels = np.where(some((truth == 5).astype(int), 60) > 0, 5, 0)
    found = suggest(scan, labels, budget=6)
    assert "labels are of one class; these positions are unlike them" in found.message
    assert distinct_and_free(found, labels == 0)
    assert (truth[tuple(found.positions[:3].T)] != 5).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("labelled", [False, True])
def test_positions_without_a_pattern_are_never_suggested(method, labelled):
    scan, truth = three_domains(0)
    missing = np.zeros(truth.shape, bool)
    missing[5:] = True
    missing[:, 10:12] = True
    gappy = Scan.from_array(scan.data.compute(), missing=missing)
    labels = np.zeros_like(truth)
    if labelled:
        labels[0, :3], labels[2, 13:16], labels[4, 18] = 2, 5, 9
        labels[12] = 5
    found = suggest(gappy, labels, budget=40, method=method, step=4)
    free = (labels == 0) & ~missing
    assert distinct_and_free(found, free)
    assert len(found.positions) > 10 or "is to be gained" in found.message


@pytest.mark.parametrize("method", METHODS)
def test_more_than_there_is_gives_what_there_is(method):
    scan, truth = wavy_domains(0)
    labels = truth.copy()
    labels[10:13, 10:14] = 0
    found = suggest(scan, labels, budget=50, method=method)
    assert distinct_and_free(found, labels == 0)
    if "is to be gained" in found.message:
        return
    assert len(found.positions) == 12
    assert "only" in found.message


@pytest.mark.parametrize("method", METHODS)
def test_where_all_is_labelled_nothing_is_suggested(method):
    scan, truth = three_domains(0)
    with pytest.raises(LabelsError, match="every position with a pattern is labelled"):
        suggest(scan, truth, method=method)


def test_a_map_without_doubt_ends_the_work():
    scan, truth = striped(nx=64, wall=30, ny=40)
    labels = truth.copy()
    labels[10:30:10, 5:20:5] = 0
    found = suggest(scan, labels)
    assert len(found.positions) <= 1
    assert "is to be gained" in found.message


def test_the_papers_algorithm_takes_the_middle_between_neighbours_of_different_classes():
    scan, _ = striped(nx=16, wall=8)
    labels = np.zeros(scan.scan_shape, int)
    labels[0, 0], labels[0, 4], labels[4, 0], labels[4, 4] = 1, 2, 1, 1
    found = suggest(scan, labels, budget=3, method="boundary", step=4)
    # The diagonal is as long as sqrt(2) steps, which is allowed, and the widest.
    assert found.positions.tolist()[0] == [2, 2]
    assert sorted(found.positions.tolist()) == [[0, 2], [2, 2], [2, 4]]
    assert found.message == ""


def test_one_pass_does_not_know_what_it_suggested_and_fills_up_with_doubt():
    scan, _ = striped(nx=16, wall=8)
    labels = np.zeros(scan.scan_shape, int)
    labels[5, 0], labels[5, 15] = 1, 2
    found = suggest(scan, labels, budget=6, method="boundary", step=15)
    assert found.positions[0].tolist() == [5, 7]
    assert len(found.positions) == 6
    assert "there were only 1 positions" in found.message


def test_iterated_it_closes_in_on_a_straight_boundary():
    scan, _ = striped(nx=32, wall=20)
    labels = np.zeros(scan.scan_shape, int)
    labels[5, 0], labels[5, 31] = 1, 2
    task, _ = prepare(scan, labels, Neighbourhood(0), None, None)
    found, _ = at_boundaries(task, 31, 4, iterated=True)
    away = [abs(x + 0.5 - 20) for _, x in found]
    assert found[0] == (5, 15)
    assert away[-1] <= 1.5
    assert away[-1] < away[0]


@pytest.mark.parametrize("method", ["boundary", "boundary-iterated"])
@pytest.mark.parametrize("gap", [1, 31])
def test_where_there_is_no_boundary_it_says_so_and_does_not_hang(method, gap):
    scan, _ = striped()
    labels = np.zeros(scan.scan_shape, int)
    labels[5, 0], labels[5, gap] = 1, 2
    found = suggest(scan, labels, budget=5, method=method, step=1)
    assert len(found.positions) == 5
    assert distinct_and_free(found, labels == 0)
    assert found.message


def test_doubt_is_asked_about_first_and_once():
    scan, truth = striped()
    labels = np.zeros_like(truth)
    labels[2, 2], labels[9, 29] = 1, 2
    found = suggest(scan, labels, budget=10)
    assert len(found.positions) == 10
    assert distinct_and_free(found, labels == 0)
    apart = found.positions[:, None] - found.positions[None]
    between = np.hypot(apart[..., 0], apart[..., 1])[np.triu_indices(10, 1)]
    assert np.median(between) > 5


def test_a_scan_that_is_the_same_everywhere_has_a_first_grid_too():
    scan = Scan.from_array(np.ones((9, 9, 8, 8), np.uint8))
    found = suggest(scan, budget=9)
    assert len(found.positions) == 9
    assert distinct_and_free(found, np.ones((9, 9), bool))


def test_labels_as_suggested_are_worth_more_than_labels_at_random():
    scan, truth = wavy_domains(0)
    labels = np.zeros_like(truth)
    for _ in range(3):
        y, x = suggest(scan, labels, budget=10).positions.T
        labels[y, x] = truth[y, x]
    assert np.count_nonzero(labels) == 30
    right = (classify(scan, labels).prediction == truth)[labels == 0].mean()
    assert right > 0.97


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_suggests_the_same(method):
    scan, truth = wavy_domains(0)
    labels = some(truth, 20)
    first, again = (suggest(scan, labels, method=method, seed=3, step=5) for _ in range(2))
    assert np.array_equal(first.positions, again.positions)
    first, again = (suggest(scan, method=method, seed=3) for _ in range(2))
    assert np.array_equal(first.positions, again.positions)


def test_another_seed_draws_other_positions():
    scan, _ = three_domains(0)
    first, other = (suggest(scan, method="random", seed=seed) for seed in (0, 1))
    assert not np.array_equal(first.positions, other.positions)


@pytest.mark.parametrize("shape", [(1, 2), (2, 2), (1, 12), (12, 1)])
def test_the_smallest_scans(shape):
    scan = Scan.from_array(np.random.default_rng(0).poisson(4, (*shape, 16, 16)).astype(np.uint8))
    labels = np.zeros(shape, int)
    assert distinct_and_free(suggest(scan, labels, budget=2), labels == 0)
    labels[0, 0] = 1
    assert distinct_and_free(suggest(scan, labels, budget=2), labels == 0)
    if labels.size > 2:
        labels[-1, -1] = 2
        for method in METHODS:
            assert distinct_and_free(suggest(scan, labels, budget=2, method=method), labels == 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": 0}, "budget of 0"),
        ({"method": "guess"}, "guess"),
        ({"method": "boundary", "step": 0}, "step of 0"),
        ({"step": float("nan")}, "step of nan"),
    ],
)
def test_impossible_options_are_explained(options, words):
    with pytest.raises(ScanError, match=words):
        suggest(striped()[0], **options)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.ones((3, 3), int), "3 x 3"),
        (np.ones((12, 32)), "float64"),
        (np.full((12, 32), -4), "-4"),
    ],
)
def test_unusable_labels_are_explained(labels, words):
    with pytest.raises(LabelsError, match=words):
        suggest(striped()[0], labels)


def test_it_can_be_cancelled_while_it_reads():
    seen, _ = counting("reading")

    def report(progress: Progress) -> None:
        seen.append(progress)
        raise Cancelled

    with pytest.raises(Cancelled):
        suggest(wavy_domains(9)[0], report=report)
    assert len(seen) == 1
