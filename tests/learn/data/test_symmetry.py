"""What becomes of patterns and classes when a pattern is turned or mirrored."""

from __future__ import annotations

import pickle
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ferro4d import LabelsError
from napari_ferro4d.learn import Symmetry

TURNS = ["rot90", "rot180", "rot270"]
MIRRORS = ["mirror-x", "mirror-y", "mirror-diagonal", "mirror-antidiagonal"]

# Right, up, left, down, then the diagonals: where each goes is elementary, and written down here.
RIGHT, UP, LEFT, DOWN = 1, 2, 3, 4
OF_DIRECTIONS = {
    "rot90": "rot90: 1->2, 2->3, 3->4, 4->1",
    "rot180": "rot180: 1->3, 2->4, 3->1, 4->2",
    "rot270": "rot270: 1->4, 2->1, 3->2, 4->3",
    "mirror-x": "mirror-x: 1->3, 2->2, 3->1, 4->4",
    "mirror-y": "mirror-y: 1->1, 2->4, 3->3, 4->2",
    "mirror-diagonal": "mirror-diagonal: 1->4, 2->3, 3->2, 4->1",
    "mirror-antidiagonal": "mirror-antidiagonal: 1->2, 2->1, 3->4, 4->3",
}


def pattern_of(direction: int, size: int = 9) -> np.ndarray:
    """Return a pattern with one bright spot in a direction: ky down, kx right."""
    pattern = np.zeros((size, size))
    ky, kx = {RIGHT: (0, 1), UP: (-1, 0), LEFT: (0, -1), DOWN: (1, 0)}[direction]
    pattern[size // 2 + 3 * ky, size // 2 + 3 * kx] = 1
    return pattern


@pytest.mark.parametrize("name", OF_DIRECTIONS)
def test_a_spot_goes_where_its_class_goes(name):
    symmetry = Symmetry.parse(OF_DIRECTIONS[name])
    for operation, direction in product(symmetry.operations, (RIGHT, UP, LEFT, DOWN)):
        turned = operation.turn(pattern_of(direction))
        assert np.array_equal(turned, pattern_of(operation.becomes[direction]))


def test_turning_is_counterclockwise_as_drawn():
    drawn = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 0]])  # a spot on the right
    (_, turn, _, _) = Symmetry.parse(OF_DIRECTIONS["rot90"]).operations
    assert turn.turn(drawn).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]  # goes up


@given(st.sets(st.sampled_from(sorted(OF_DIRECTIONS)), min_size=1))
def test_the_operations_are_a_group_with_patterns_and_classes_alike(names):
    symmetry = Symmetry.parse([OF_DIRECTIONS[name] for name in names])
    pattern = np.arange(25).reshape(5, 5)
    images = {tuple(o.turn(pattern).ravel()): o.becomes for o in symmetry.operations}
    assert len(images) == len(symmetry.operations)
    assert 8 % len(images) == 0
    assert symmetry.operations[0].becomes == {n: n for n in (1, 2, 3, 4)}
    for one, other in product(symmetry.operations, repeat=2):
        both = other.turn(one.turn(pattern))
        becomes = {n: other.becomes[one.becomes[n]] for n in (1, 2, 3, 4)}
        assert images[tuple(both.ravel())] == becomes


@given(st.permutations([1, 2, 3, 4, 5, 6]), st.sampled_from(TURNS + MIRRORS))
def test_an_operation_is_accepted_if_doing_it_over_and_over_comes_back(after, name):
    becomes = dict(zip(range(1, 7), after, strict=True))
    order = {"rot90": 4, "rot270": 4}.get(name, 2)
    comes_back = all(_repeated(becomes, n, order) == n for n in becomes)
    line = f"{name}: " + ", ".join(f"{a}->{b}" for a, b in becomes.items())
    if comes_back:
        assert len(Symmetry.parse(line).operations) == order
    else:
        with pytest.raises(LabelsError, match=f"{name} contradicts itself: done {order} times"):
            Symmetry.parse(line)


def _repeated(becomes: dict[int, int], number: int, times: int) -> int:
    for _ in range(times):
        number = becomes[number]
    return number


@given(st.permutations([1, 2, 3, 4]), st.permutations([1, 2, 3, 4]))
def test_a_turn_and_a_mirror_are_accepted_together_if_they_mirror_the_turn(turn, mirror):
    rotated, mirrored = (dict(zip((1, 2, 3, 4), p, strict=True)) for p in (turn, mirror))
    consistent = (
        all(_repeated(rotated, n, 4) == n for n in rotated)
        and all(mirrored[mirrored[n]] == n for n in mirrored)
        # A mirror between two turns undoes one of them.
        and all(rotated[mirrored[rotated[n]]] == mirrored[n] for n in rotated)
    )
    lines = [
        f"{name}: " + ", ".join(f"{a}->{b}" for a, b in becomes.items())
        for name, becomes in (("rot90", rotated), ("mirror-y", mirrored))
    ]
    if consistent:
        assert len(Symmetry.parse(lines).operations) == 8
    else:
        with pytest.raises(LabelsError, match="contradict"):
            Symmetry.parse(lines)


def test_horizontal_becomes_vertical_in_all_copies():
    symmetry = Symmetry.parse("rot90: 1->2, 2->1, 7->7")
    horizontal = pattern_of(RIGHT) + pattern_of(LEFT)
    vertical = pattern_of(UP) + pattern_of(DOWN)
    none = np.zeros((9, 9))
    patterns, labels = symmetry.copies(
        np.stack([horizontal, vertical, none]), np.array([1, 2, 7], np.uint8)
    )
    assert labels.tolist() == [1, 2, 7, 2, 1, 7, 1, 2, 7, 2, 1, 7]
    assert labels.dtype == np.uint8
    expected = {1: horizontal, 2: vertical, 7: none}
    for pattern, label in zip(patterns, labels.tolist(), strict=True):
        assert np.array_equal(pattern, expected[label])


def test_the_beam_stays_where_it_is():
    pattern = np.zeros((12, 12))
    pattern[7, 4], pattern[7, 6] = 9, 1  # the beam, off the middle, and a spot on its right
    for operation in Symmetry.parse("rot90: 1->1; mirror-y: 1->1").operations:
        turned = operation.turn(pattern, centre=(7.0, 4.0))
        assert turned[7, 4] == 9
        assert turned.sum() == 10
        # To half a pixel, where the beam is between pixels.
        turned = operation.turn(pattern, centre=(7.4, 4.2))
        assert turned[6:9, 3:6].max() == 9
    up = Symmetry.parse("rot90: 1->1").operations[1].turn(pattern, (7.0, 4.0))
    assert up[5, 4] == 1


def test_a_symmetry_is_kept_in_a_header_and_sent_to_a_process():
    symmetry = Symmetry.parse(["rot90: 1->2, 2->1, 3->3", "Mirror-Y : 3 -> 3 , 1->1, 2→2"])
    assert symmetry.to_json() == ["rot90: 1->2, 2->1, 3->3", "mirror-y: 1->1, 2->2, 3->3"]
    assert Symmetry.from_json(symmetry.to_json()) == symmetry
    assert Symmetry.parse("; ".join(symmetry.to_json())) == symmetry
    assert pickle.loads(pickle.dumps(symmetry)) == symmetry


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "no operation"),
        ("rot90 1->2", "is no operation of a symmetry; write"),
        ("rot90: 1=2", "write what it is"),
        ("rot90:", "write what it is"),
        ("rot45: 1->1", '"rot45".*known are rot90, rot180'),
        ("identity: 1->1", "known are"),
        ("rot90: 0->0", "0 is unlabelled"),
        ("rot90: 1->1, 1->2, 2->2", "maps class 1 twice"),
        ("rot90: 1->3, 2->3, 3->1", "class 3 of both class 1 and class 2"),
        ("rot90: 1->2", "does not say what becomes of class 2"),
        (["rot90: 1->2, 2->1", "mirror-y: 1->1, 2->2, 3->3"], "3, but rot90 does not say"),
        ("rot90: 1->2, 2->3, 3->1", "done 4 times .* makes class 2 of class 1"),
        ("mirror-x: 1->2, 2->3, 3->1", "done 2 times .* makes class 3 of class 1"),
        (
            ["rot90: 1->2, 2->1", "rot180: 1->2, 2->1"],
            "rot90 and rot180 contradict each other: of class 1, two ways to do rot180",
        ),
        (["mirror-x: 1->2, 2->1", "mirror-x: 1->1, 2->2"], "mirror-x is given twice"),
    ],
)
def test_what_cannot_be_meant_is_explained(lines, words):
    with pytest.raises(LabelsError, match=words):
        Symmetry.parse(lines)


def test_labels_that_do_not_fit_are_explained():
    symmetry = Symmetry.parse("rot90: 1->2, 2->1")
    symmetry.check({1, 2}, k_step=(0.01, 0.01))
    with pytest.raises(LabelsError, match="class 3 is labelled"):
        symmetry.check({1, 2, 3})
    with pytest.raises(LabelsError, match="no position is labelled 2"):
        symmetry.check({1})
    with pytest.raises(LabelsError, match="no squares"):
        symmetry.check({1, 2}, k_step=(0.01, 0.02))
    Symmetry.parse("mirror-x: 1->1").check({1}, k_step=(0.01, 0.02))


def test_only_a_square_can_be_laid_on_its_side():
    wide = np.arange(8).reshape(2, 4)
    with pytest.raises(LabelsError, match="rot90 lays a pattern on its side, and 2 x 4 pixels"):
        Symmetry.parse("rot90: 1->1").copies(wide[None], np.array([1]))
    turned, _ = Symmetry.parse("rot180: 1->1").copies(wide[None], np.array([1]))
    assert turned[1].tolist() == [[7, 6, 5, 4], [3, 2, 1, 0]]
