"""The few-label classifier: accuracy, honesty of its own figures, models, errors.

What the preset ``"fast"`` is made of is tested in ``few_labels/``.
"""

from __future__ import annotations

import numpy as np
import pytest

from helpers.labelled_scans import some, three_domains
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
    result = classify(scan, labels)
    assert 0.3 < result.validation_accuracy < 0.7
    low, high = result.held_out.accuracy_range
    assert low < 0.5 < high
    # Nor is it sure of what it cannot know.
    assert result.confidence.mean() < 0.8
    assert result.held_out.calibration_error < 0.15


def test_the_stated_accuracy_and_confidence_are_about_right():
    scan, truth = three_domains(0)
    result = classify(scan, some(truth, 100))
    accuracy = (result.prediction == truth).mean()
    assert abs(result.validation_accuracy - accuracy) < 0.1
    assert abs(float(result.confidence.mean()) - accuracy) < 0.1


def test_large_class_numbers_are_kept():
    scan, truth = three_domains(0, (1, 300, 65535))
    result = classify(scan, some(truth, 60))
    assert result.prediction.dtype == np.uint16
    assert set(np.unique(result.prediction)) <= {1, 300, 65535}
    assert result.classes == (1, 300, 65535)


def test_two_labels_suffice_to_run_but_not_to_state_an_accuracy():
    scan, truth = three_domains(0)
    labels = np.zeros(truth.shape, np.uint8)
    labels[0, 0], labels[0, 10] = 1, 2
    result = classify(scan, labels)
    assert result.held_out is None
    assert result.validation_accuracy is None
    assert "too few labels apart from each other" in result.why_no_figure
    assert result.prediction[0, 0] == 1
    assert result.prediction[0, 10] == 2


def test_the_model_classifies_another_scan(trained, tmp_path):
    scan, _ = three_domains(0)
    model = load_model(save_model(trained.model, tmp_path / "c.safetensors"))
    again = classify(scan, model=model)
    # Not bit for bit: on their own scan, the labels are seeds of the spatial model.
    assert (again.prediction == trained.prediction).mean() > 0.99
    assert again.spatial_strength == trained.spatial_strength
    # The labels that the model was tested on may be of another scan.
    assert again.validation_accuracy is None
    assert "trained before" in again.why_no_figure
    other, other_truth = three_domains(7)
    result = classify(other, model=model)
    assert (result.prediction == other_truth).mean() > 0.9
    assert result.classes == (2, 5, 9)


def test_the_same_seed_gives_the_same_probabilities():
    scan, truth = three_domains(0)
    labels = some(truth, 60)
    first, again, other = (classify(scan, labels, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.probability, again.probability)
    assert not np.array_equal(first.probability, other.probability)


@pytest.mark.parametrize("reduce", ["mean", "max"])
def test_a_neighbourhood_is_kept_in_the_model(reduce):
    scan, truth = three_domains(0)
    labels = some(truth, 40)
    result = classify(scan, labels, neighbourhood=1, neighbourhood_reduce=reduce)
    assert result.model.header["neighbourhood"] == {"radius": 1, "reduce": reduce}
    again = classify(scan, model=result.model)
    assert (again.prediction == result.prediction).mean() > 0.99
    inside = np.ones(truth.shape, bool)
    inside[:, [0, 6, 7, 13, 14, 20]] = False
    inside[[0, 9, 10, 19]] = False
    assert (result.prediction == truth)[inside].mean() > 0.95


def test_intensities_that_are_no_counts_are_learnt_too():
    scan, truth = three_domains(0)
    scaled = Scan.from_array(scan.data.compute().astype(np.float32) * 0.013)
    result = classify(scaled, some(truth, 60))
    assert (result.prediction == truth).mean() > 0.9


@pytest.mark.parametrize("word", ["reading", "learning"])
def test_cancel_acts_wherever_it_comes(word):
    scan, truth = three_domains(3)
    asked: list[Progress] = []

    def report(progress: Progress) -> None:
        if word in progress.message:
            asked.append(progress)
            raise Cancelled

    with pytest.raises(Cancelled):
        classify(scan, some(truth, 30), report=report)
    # It ended there, with work left to do.
    (last,) = asked
    assert last.done < last.total


def test_the_papers_network_reports_its_losses_and_can_be_cancelled():
    rng = np.random.default_rng(0)
    scan = Scan.from_array(rng.poisson(3.0, (4, 5, 16, 16)).astype(np.uint8))
    labels = np.where(np.indices((4, 5)).sum(axis=0) % 2, 1, 2)
    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        seen.append(progress)
        if isinstance(progress.partial, TrainingState) and progress.partial.epoch == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        classify(scan, labels, preset="paper", epochs=3, report=report)
    state = seen[-1].partial
    assert isinstance(state, TrainingState)
    assert len(state.losses) == 2
    assert np.isfinite(state.losses).all()


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
    for lost in ("classes", "temperature", "network", "spatial_strength"):
        header = {k: v for k, v in model.header.items() if k != lost}
        with pytest.raises(ModelError, match="incomplete"):
            classify(scan, model=type(model)("classifier", header, model.weights))
    weights = {k: v for k, v in model.weights.items() if k != "head.plain"}
    with pytest.raises(ModelError, match="incomplete"):
        classify(scan, model=type(model)("classifier", model.header, weights))
    old = {**model.header, "preset": "compact"}
    with pytest.raises(ModelError, match="compact, which is no more; train it again with fast"):
        classify(scan, model=type(model)("classifier", old, model.weights))


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "huge"},
        {"preset": "compact"},
        {"preset": "paper", "epochs": 0},
        {"epochs": 5},
        {"neighbourhood": -1},
        {"neighbourhood_reduce": "median"},
        {"device": "cuda:77"},
    ],
)
def test_impossible_options_are_explained(options):
    scan, truth = three_domains(0)
    with pytest.raises(ScanError):
        classify(scan, some(truth, 30), **options)


def test_applying_a_model_checks_the_device_too(trained):
    with pytest.raises(ScanError, match="cuda:77"):
        classify(three_domains(0)[0], model=trained.model, device="cuda:77")


def test_labels_on_positions_without_a_pattern_are_left_out_and_said():
    scan, truth = three_domains(0)
    missing = np.zeros(truth.shape, bool)
    missing[8:11] = True
    gappy = Scan.from_array(np.where(missing[..., None, None], 0, scan.data), missing=missing)
    labels = some(truth, 60)
    labels[9, 3:6] = 5
    result = classify(gappy, labels)
    assert f"{np.count_nonzero(labels[missing])} labels are on positions" in result.warning
    assert not result.prediction[missing].any()
    assert np.isnan(result.probability[:, missing]).all()
    assert np.isnan(result.novelty[missing]).all()
    assert np.isfinite(result.probability[:, ~missing]).all()
    assert (result.prediction == truth)[~missing].mean() > 0.95
    with pytest.raises(LabelsError, match="no position"):
        classify(gappy, np.where(missing, truth, 0))


def test_a_neighbourhood_leaves_out_what_the_file_lacks():
    missing = np.zeros((4, 4), bool)
    missing[2:] = True
    counts = np.where(missing[:, :, None, None], 0, 9) * np.ones((4, 4, 8, 8), np.uint16)
    scan = Scan.from_array(counts.astype(np.uint16), missing=missing)
    mean = Neighbourhood(1, "mean").of(scan).data.compute()
    assert np.all(mean[:3] == 9)  # row 2 itself is missing, but its neighbours are whole
