"""The few-label classifier: accuracy, honesty of its own figures, models, errors."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d import (
    LabelsError,
    ModelError,
    Scan,
    ScanError,
    classify,
    load_model,
    save_model,
    train,
)
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.learn import Classification, TrainingState
from napari_ferro4d.learn.data import Neighbourhood


def three_domains(seed: int, classes=(2, 5, 9)) -> tuple[Scan, np.ndarray]:
    """Return a scan whose weak discs tell three kinds of domain apart, and their numbers."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((20, 21))
    kind = (x // 7 + y // 10) % 3
    ky, kx = np.indices((16, 16)) - 7.5
    mean = np.full((20, 21, 16, 16), 0.5)
    for number, (gy, gx) in enumerate(((-5, 0), (0, 5), (5, 0))):
        disc = np.hypot(ky - gy, kx - gx) < 2
        mean += (5.0 + 5.0 * (kind == number))[:, :, None, None] * disc
    return Scan.from_array(rng.poisson(mean).astype(np.uint8)), np.array(classes)[kind]


def some(truth: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    labels = np.zeros_like(truth)
    chosen = np.random.default_rng(seed).permutation(truth.size)[:count]
    labels.ravel()[chosen] = truth.ravel()[chosen]
    return labels


@pytest.fixture(scope="module")
def trained() -> Classification:
    """What 60 labels of `three_domains(0)` make of it."""
    scan, truth = three_domains(0)
    return classify(scan, some(truth, 60))


def test_few_labels_classify_all_positions_by_their_own_numbers(trained):
    result, truth = trained, three_domains(0)[1]
    assert result.classes == (2, 5, 9)
    assert result.prediction.dtype == np.uint8
    assert result.prediction.shape == truth.shape
    assert result.probability.shape == (3, *truth.shape)
    np.testing.assert_allclose(result.probability.sum(axis=0), 1, atol=1e-5)
    assert np.array_equal(
        np.array(result.classes)[result.probability.argmax(axis=0)], result.prediction
    )
    assert (result.prediction == truth).mean() > 0.95


def test_labels_without_meaning_validate_at_chance():
    scan, truth = three_domains(0)
    labels = some(truth, 120)
    labels[labels > 0] = np.random.default_rng(1).integers(1, 3, np.count_nonzero(labels))
    result = classify(scan, labels, epochs=100)
    assert 0.3 < result.validation_accuracy < 0.7


def test_the_stated_accuracy_and_confidence_are_about_right():
    scan, truth = three_domains(0)
    result = classify(scan, some(truth, 100))
    accuracy = (result.prediction == truth).mean()
    assert abs(result.validation_accuracy - accuracy) < 0.1
    assert abs(float(result.probability.max(axis=0).mean()) - accuracy) < 0.1


def test_large_class_numbers_are_kept():
    scan, truth = three_domains(0, (1, 300, 65535))
    result = classify(scan, some(truth, 60), epochs=5)
    assert result.prediction.dtype == np.uint16
    assert set(np.unique(result.prediction)) <= {1, 300, 65535}
    assert result.classes == (1, 300, 65535)


def test_two_labels_suffice_to_run_but_not_to_state_an_accuracy():
    scan, truth = three_domains(0)
    labels = np.zeros(truth.shape, np.uint8)
    labels[0, 0], labels[0, 10] = 1, 2
    result = classify(scan, labels, epochs=20)
    assert result.validation_accuracy is None
    assert result.prediction[0, 0] == 1
    assert result.prediction[0, 10] == 2


def test_the_model_classifies_another_scan(trained, tmp_path):
    scan, _ = three_domains(0)
    model = load_model(save_model(trained.model, tmp_path / "c.safetensors"))
    again = classify(scan, model=model)
    assert np.array_equal(again.probability, trained.probability)
    assert again.validation_accuracy is None  # the labels it was tested on are of another scan
    other, other_truth = three_domains(7)
    result = classify(other, model=model)
    assert (result.prediction == other_truth).mean() > 0.9
    assert result.classes == (2, 5, 9)


def test_the_same_seed_gives_the_same_probabilities():
    scan, truth = three_domains(0)
    labels = some(truth, 30)
    first, again, other = (classify(scan, labels, epochs=4, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.probability, again.probability)
    assert not np.array_equal(first.probability, other.probability)


@pytest.mark.parametrize("reduce", ["mean", "max"])
def test_a_neighbourhood_is_kept_in_the_model(reduce):
    scan, truth = three_domains(0)
    labels = some(truth, 40)
    result = classify(scan, labels, neighbourhood=1, neighbourhood_reduce=reduce, epochs=60)
    assert result.model.header["neighbourhood"] == {"radius": 1, "reduce": reduce}
    again = classify(scan, model=result.model)
    assert np.array_equal(again.prediction, result.prediction)
    inside = np.ones(truth.shape, bool)
    inside[:, [0, 6, 7, 13, 14, 20]] = False
    inside[[0, 9, 10, 19]] = False
    assert (result.prediction == truth)[inside].mean() > 0.95


def test_intensities_that_are_no_counts_are_learnt_too():
    scan, truth = three_domains(0)
    scaled = Scan.from_array(scan.data.compute().astype(np.float32) * 0.013)
    result = classify(scaled, some(truth, 60))
    assert (result.prediction == truth).mean() > 0.9


def test_progress_carries_the_losses_and_cancel_acts_wherever_it_comes():
    scan, truth = three_domains(0)
    seen: list[Progress] = []
    classify(scan, some(truth, 30), epochs=5, report=seen.append)
    states = [p.partial for p in seen if isinstance(p.partial, TrainingState)]
    assert len(states[-1].losses) >= 4
    for word in ("reading", "epoch", "classifying"):
        asked: list[Progress] = []

        def report(progress: Progress, word: str = word, asked: list[Progress] = asked) -> None:
            if word in progress.message:
                asked.append(progress)
                raise Cancelled

        with pytest.raises(Cancelled):
            classify(scan, some(truth, 30), epochs=5, report=report)
        # It ended there, with work left to do.
        (last,) = asked
        assert last.done < last.total


def test_labels_or_a_model_but_not_both_nor_neither(trained):
    (scan, truth), model = three_domains(0), trained.model
    for options in ({}, {"labels": truth, "model": model}):
        with pytest.raises(LabelsError, match="either labels"):
            classify(scan, **options)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.ones((3, 3), int), r"3 x 3.* 20 x 21"),
        (np.zeros((20, 21), int), "no position"),
        (np.ones((20, 21), int), "only class 1"),
        (np.ones((20, 21)), "float64"),
        (np.full((20, 21), -1), "-1"),
    ],
)
def test_unusable_labels_are_explained(labels, words):
    with pytest.raises(LabelsError, match=words):
        classify(three_domains(0)[0], labels)


def test_unusable_models_are_explained(trained):
    (scan, _), model = three_domains(0), trained.model
    other = Scan.from_array(np.ones((4, 4, 32, 16), np.uint8))
    with pytest.raises(ModelError, match=r"32 x 16 .* 16 x 16"):
        classify(other, model=model)
    with pytest.raises(ModelError, match="kind 'autoencoder'"):
        classify(scan, model=train(scan, embedding=3, epochs=1))
    header = {k: v for k, v in model.header.items() if k != "classes"}
    with pytest.raises(ModelError, match="incomplete"):
        classify(scan, model=type(model)("classifier", header, model.weights))


@pytest.mark.parametrize(
    "options", [{"preset": "huge"}, {"epochs": 0}, {"neighbourhood": -1}, {"device": "cuda:77"}]
)
def test_impossible_options_are_explained(options):
    scan, truth = three_domains(0)
    with pytest.raises(ScanError):
        classify(scan, some(truth, 30), **options)


def test_a_neighbourhood_leaves_out_what_the_file_lacks():
    missing = np.zeros((4, 4), bool)
    missing[2:] = True
    counts = np.where(missing[:, :, None, None], 0, 9) * np.ones((4, 4, 8, 8), np.uint16)
    scan = Scan.from_array(counts.astype(np.uint16), missing=missing)
    mean = Neighbourhood(1, "mean").of(scan).data.compute()
    assert np.all(mean[:3] == 9)  # row 2 itself is missing, but its neighbours are whole
