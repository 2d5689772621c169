"""How a user's decisions and a machine's prediction combine."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_ferro4d.viewer.session import contradictions, decisions, shown, training_labels

labels = arrays(np.uint8, (3, 4), elements=st.integers(0, 3))
classes = arrays(np.uint8, (3, 4), elements=st.integers(1, 3))


@given(classes, labels)
def test_nothing_painted_leaves_the_decisions_as_they_were(machine, decided):
    np.testing.assert_array_equal(decisions(shown(machine, decided), machine, decided), decided)


@given(classes, labels, classes, st.integers(0, 2), st.integers(0, 3), st.integers(1, 3))
def test_what_is_painted_is_shown_with_every_later_prediction(
    machine, decided, later, y, x, painted
):
    now = shown(machine, decided)
    if now[y, x] == painted:
        return
    now[y, x] = painted
    after = decisions(now, machine, decided)
    assert after[y, x] == painted
    assert shown(later, after)[y, x] == painted
    others = np.ones(now.shape, bool)
    others[y, x] = False
    np.testing.assert_array_equal(after[others], decided[others])


def test_a_decision_is_kept_when_the_machine_comes_to_agree():
    machine, decided = np.array([[2]]), np.array([[2]])
    assert decisions(np.array([[2]]), machine, decided).item() == 2


def test_painting_back_the_class_of_the_machine_is_a_decision_too():
    machine, decided = np.array([[1]]), np.array([[2]])
    assert decisions(np.array([[1]]), machine, decided).item() == 1


def test_erasing_takes_a_decision_back():
    machine, decided = np.array([[1]]), np.array([[2]])
    assert decisions(np.array([[0]]), machine, decided).item() == 0


def test_corrections_win_over_what_was_painted_to_begin_with():
    painted, decided = np.array([[1, 1, 0]], np.uint8), np.array([[0, 2, 2]], np.uint8)
    np.testing.assert_array_equal(training_labels(painted, decided), [[1, 2, 2]])
    np.testing.assert_array_equal(training_labels(None, decided), decided)


def test_class_numbers_beyond_255_are_kept():
    machine, decided = np.array([[1]], np.uint8), np.array([[300]], np.uint16)
    assert shown(machine, decided).item() == 300


def test_a_decision_contradicts_only_what_was_painted_otherwise():
    painted, decided = np.array([[1, 1, 0, 2]]), np.array([[2, 1, 2, 0]])
    assert contradictions(painted, decided) == 1
    assert contradictions(None, decided) == contradictions(painted, None) == 0
