"""Training the paper's classifier: what labels are worth, and which of them judge it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from napari_ferro4d import ModelError
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.learn import Symmetry, TrainingState
from napari_ferro4d.learn.data import Augment
from napari_ferro4d.learn.networks import PaperClassifier
from napari_ferro4d.learn.training import (
    FIRST_HALF,
    LEARN,
    NEITHER,
    SECOND_HALF,
    Lesson,
    TrainedClassifier,
    train_classifier,
)

CPU = torch.device("cpu")
SIZE = 16


def bright_side(seed: int, sides: str) -> np.ndarray:
    """Return log(1 + counts) that are three times as many on one side: l(eft), r, u(p) or d."""
    mean = np.full((len(sides), SIZE, SIZE), 2.0)
    where = {"l": np.s_[:, :8], "r": np.s_[:, 8:], "u": np.s_[:8], "d": np.s_[8:]}
    for pattern, side in zip(mean, sides, strict=True):
        pattern[where[side]] = 6.0
    return np.log1p(np.random.default_rng(seed).poisson(mean).astype(np.float32))


def lesson(sides: str, targets, part=None, evidence=None, areas=None) -> Lesson:
    patterns, targets = bright_side(0, sides), np.array(targets)
    return Lesson(
        patterns,
        targets,
        np.ones(len(targets)) if evidence is None else np.array(evidence, float),
        np.full(len(targets), LEARN) if part is None else np.array(part),
        np.ones(targets.max() + 1) if areas is None else np.array(areas, float),
        patterns,
    )


def trained(what: Lesson, epochs: int = 40, **options) -> TrainedClassifier:
    augment = Augment(tuple(range(1, len(what.areas) + 1)))
    return train_classifier(what, augment, epochs=epochs, device=CPU, **options)


def probability(result: TrainedClassifier, patterns: np.ndarray) -> np.ndarray:
    network = PaperClassifier(result.logits.shape[1], SIZE)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in result.weights.items()})
    with torch.inference_mode():
        return network(torch.from_numpy(patterns)[:, None]).softmax(dim=1).numpy()


def test_the_network_learns_and_says_what_the_labels_held_out_are():
    part = [LEARN] * 12 + [FIRST_HALF, SECOND_HALF] * 2 + [NEITHER, NEITHER]
    result = trained(lesson("lr" * 9, [0, 1] * 9, part))
    found = probability(result, bright_side(1, "lr"))
    assert found[0, 0] > 0.8
    assert found[1, 1] > 0.8
    judged = np.isin(part, [FIRST_HALF, SECOND_HALF])
    assert np.isnan(result.logits[~judged]).all()
    assert (result.logits[judged].argmax(axis=1) == [0, 1, 0, 1]).all()
    assert len(result.losses) == len(result.validation) == 40
    assert min(result.validation) < 0.5 * result.validation[0]


def test_a_label_held_out_or_left_out_teaches_nothing():
    part = [LEARN] * 8 + [FIRST_HALF, SECOND_HALF, NEITHER, NEITHER]
    right = lesson("lr" * 6, [0, 1] * 6, part)
    wrong = dataclasses.replace(right, targets=np.array([0, 1] * 5 + [1, 0]))
    assert trained(right, epochs=3).losses == trained(wrong, epochs=3).losses
    held_wrong = dataclasses.replace(right, targets=np.array([0, 1] * 4 + [1, 0, 0, 1]))
    result = trained(held_wrong)
    # The network is that of an early epoch, but it is not led to say what is wrong.
    assert probability(result, bright_side(1, "l"))[0, 0] > 0.4


def test_each_half_is_judged_at_the_epoch_that_the_other_half_chooses():
    # The first half is wrong: its loss grows from the first epochs on. So it chooses an early
    # epoch, at which the second half is not yet told apart well; the second half chooses a late
    # one, which is sure that the first is wrong.
    part = [LEARN] * 12 + [FIRST_HALF] * 2 + [SECOND_HALF] * 2
    result = trained(lesson("lr" * 8, [0, 1] * 6 + [1, 0, 0, 1], part), epochs=150)
    margin = np.abs(np.diff(result.logits, axis=1))[:, 0]
    assert margin[12:14].min() > 4 * margin[14:].max()
    assert (result.logits[12:14].argmax(axis=1) == [0, 1]).all()


def test_without_labels_held_out_the_last_epoch_is_kept_and_nothing_judged():
    result = trained(lesson("lr" * 6, [0, 1] * 6), epochs=30)
    assert result.validation == ()
    assert np.isnan(result.logits).all()
    assert probability(result, bright_side(1, "l"))[0, 0] > 0.8
    lonely = trained(lesson("lr" * 6, [0, 1] * 6, [LEARN] * 11 + [FIRST_HALF]), epochs=3)
    assert np.isnan(lonely.logits).all()  # no other half chooses an epoch for it
    assert len(lonely.validation) == 3


def test_sixty_labels_of_a_stroke_weigh_as_much_as_their_evidence():
    # Twenty labels say that bright on the left is class 1, four better ones that it is class 2.
    def left_is_first(evidence: float) -> float:
        sides, targets = "l" * 24 + "r" * 24, [0] * 20 + [1] * 4 + [1] * 20 + [0] * 4
        weights = [evidence] * 20 + [1.0] * 4
        result = trained(lesson(sides, targets, evidence=weights * 2), epochs=40)
        return float(probability(result, bright_side(1, "llll"))[:, 0].mean())

    assert left_is_first(1.0) > 0.7
    assert left_is_first(0.05) < 0.35


def test_classes_weigh_as_their_area_however_many_labels_they_have():
    # Nothing tells the classes apart: what is left is how much they weigh.
    def second(areas) -> float:
        # Few epochs, so that it does not learn the labelled patterns by heart.
        result = trained(lesson("l" * 24, [0] * 20 + [1] * 4, areas=areas), epochs=20)
        return float(probability(result, bright_side(1, "llll"))[:, 1].mean())

    assert second([1, 1]) == pytest.approx(0.5, abs=0.1)
    assert second([1, 4]) == pytest.approx(0.8, abs=0.1)


def test_turned_patterns_teach_what_no_label_shows():
    symmetry = Symmetry.parse("rot90: 1->2, 2->3, 3->4, 4->1")
    # Bright to the right, up, left and down are the classes 1 to 4; labelled are 1, 2 and, wrongly
    # sided, no others: one pattern each of 3 and 4 lies in the set only to be named.
    what = lesson("rrrrrruuuuuuld", [0] * 6 + [1] * 6 + [2, 3], evidence=[1] * 12 + [1e-6] * 2)
    augment = Augment((1, 2, 3, 4), symmetry=symmetry)
    result = train_classifier(what, augment, epochs=120, device=CPU)
    assert probability(result, bright_side(1, "ruld")).argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_the_same_seed_gives_the_same_network():
    what = lesson("lr" * 6, [0, 1] * 6, [LEARN] * 8 + [FIRST_HALF, SECOND_HALF] * 2)
    first, again, other = (trained(what, epochs=3, seed=seed) for seed in (1, 1, 2))
    assert first.losses == again.losses
    for name, values in first.weights.items():
        assert np.array_equal(values, again.weights[name])
    assert first.losses != other.losses


def test_progress_carries_the_losses_and_cancel_acts():
    what = lesson("lr" * 6, [0, 1] * 6, [LEARN] * 8 + [FIRST_HALF, SECOND_HALF] * 2)
    seen: list[Progress] = []
    trained(what, epochs=5, report=seen.append)
    assert seen[-1].done == seen[-1].total == 5
    last = [p.partial for p in seen if isinstance(p.partial, TrainingState)][-1]
    assert len(last.losses) >= len(last.validation) == 4

    def cancel(progress: Progress) -> None:
        if progress.done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        trained(what, epochs=5, report=cancel)


def test_a_loss_that_is_no_longer_finite_is_explained():
    what = lesson("lr" * 6, [0, 1] * 6)
    what.patterns[3, 2, 2] = np.inf
    with pytest.raises(ModelError, match="hot pixels"):
        train_classifier(what, Augment((1, 2), shots=0), epochs=2, device=CPU)
