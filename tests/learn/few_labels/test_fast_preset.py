"""A classifier learnt on one scan: turned patterns, other scans, what it looks at."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.labelled_scans import DISCS, some, striped, three_domains
from napari_ferro4d import LabelsError, ModelError, Scan, classify, load_model, save_model, train
from napari_ferro4d.learn import Classification, Symmetry, looks_at


@pytest.fixture(scope="module")
def trained() -> Classification:
    scan, truth = three_domains(0)
    return classify(scan, some(truth, 60))


@pytest.mark.parametrize("operation", ["mirror-y", "rot180"])
@pytest.mark.parametrize("seed", [0, 1])
def test_declared_symmetry_makes_no_map_worse_and_is_recorded(operation, seed, tmp_path):
    # Upside down, the upper disc of class 1 is the lower one of class 2.
    scan, truth = striped()
    labels = some(truth, 8, seed)
    symmetry = Symmetry.parse(f"{operation}: 1->2, 2->1")
    plain, turned = (classify(scan, labels, symmetry=one) for one in (None, symmetry))
    right = [(one.prediction == truth)[labels == 0].mean() for one in (plain, turned)]
    assert right[1] >= right[0] - 0.005
    assert plain.model.header["symmetry"] == []
    assert turned.model.header["symmetry"] == symmetry.to_json()
    model = load_model(save_model(turned.model, tmp_path / "m.safetensors"))
    assert Symmetry.from_json(model.header["symmetry"]) == symmetry
    assert (classify(scan, model=model).prediction == truth).mean() > 0.97


def test_one_side_of_a_scan_teaches_what_the_other_looks_like():
    scan, truth = striped()
    labels = np.zeros_like(truth)
    labels[:, 0:8:2] = 1
    labels[5, 30] = 2
    symmetry = Symmetry.parse("mirror-y: 1->2, 2->1")
    assert (classify(scan, labels, symmetry=symmetry).prediction == truth).mean() > 0.98


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mirror-y: 2->9, 9->2", "class 5 is labelled"),
        ("mirror-y: 2->9, 9->2, 5->7, 7->5", "no position is labelled 7"),
    ],
)
def test_a_symmetry_that_does_not_fit_the_classes_is_refused(line, words):
    scan, truth = three_domains(0)
    with pytest.raises(LabelsError, match=words):
        classify(scan, some(truth, 60), symmetry=Symmetry.parse(line))


def test_the_same_kind_of_scan_gives_no_warning(trained):
    scan, truth = three_domains(7)
    result = classify(scan, model=trained.model)
    assert result.warning == ""
    assert (result.novelty > 1).mean() < 0.1
    assert result.novelty.dtype == np.float32
    assert (result.prediction == truth).mean() > 0.95


def rings(ny: int = 12, nx: int = 14) -> Scan:
    ky, kx = np.indices((16, 16)) - 7.5
    mean = 0.5 + 20 * (np.abs(np.hypot(ky, kx) - 3) < 1)
    counts = np.random.default_rng(0).poisson(np.broadcast_to(mean, (ny, nx, 16, 16)))
    return Scan.from_array(counts.astype(np.uint8))


def test_a_scan_of_another_kind_is_warned_of(trained):
    result = classify(rings(), model=trained.model)
    assert "are unlike all that the model was trained on" in result.warning
    assert "train on them" in result.warning
    assert np.median(result.novelty) > 1


def test_what_is_new_in_a_part_of_a_scan_shows_in_the_novelty_map(trained):
    scan, _ = three_domains(7)
    counts = scan.data.compute()
    counts[3:8, 4:9] = rings(5, 5).data.compute()
    result = classify(Scan.from_array(counts), model=trained.model)
    new = np.zeros(scan.scan_shape, bool)
    new[3:8, 4:9] = True
    assert (result.novelty[new] > 1).mean() > 0.6
    assert (result.novelty[~new] > 1).mean() < 0.1


def test_a_disc_where_none_was_before_is_new(trained):
    scan, _ = three_domains(7)
    ky, kx = np.indices((16, 16)) - 7.5
    extra = np.random.default_rng(1).poisson(40 * (np.hypot(ky, kx + 5) < 2), scan.shape)
    result = classify(Scan.from_array(scan.data.compute() + extra), model=trained.model)
    assert np.median(result.novelty) > 1
    assert result.warning


def test_it_looks_at_the_disc_that_tells_the_class(trained):
    maps = looks_at(trained.model)
    assert maps.shape == (3, 16, 16)
    assert maps.dtype == np.float32
    for one, (gy, gx) in zip(maps, DISCS, strict=True):
        ky, kx = np.array(np.unravel_index(one.argmax(), one.shape)) - 7.5
        assert np.hypot(ky - gy, kx - gx) < 2
    # What speaks for one class speaks against the others.
    assert np.abs(maps.sum(axis=0)).max() < 0.05 * np.abs(maps).max()


def test_an_autoencoder_looks_at_nothing():
    with pytest.raises(ModelError, match="kind 'autoencoder'"):
        looks_at(train(rings(4, 4), embedding=2, epochs=1))


def test_a_model_survives_its_file(trained, tmp_path):
    model = load_model(save_model(trained.model, tmp_path / "m.safetensors"))
    scan, _ = three_domains(7)
    for name in ("prediction", "probability", "novelty"):
        before, after = (getattr(classify(scan, model=m), name) for m in (trained.model, model))
        assert np.array_equal(before, after)
    assert np.array_equal(looks_at(model), looks_at(trained.model))
