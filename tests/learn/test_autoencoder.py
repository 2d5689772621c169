"""The autoencoder, from scan to embedding: what it learns, resume, cancel, model files, errors."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.training_scans import same
from napari_ferro4d import (
    ModelError,
    Scan,
    ScanError,
    classify,
    embed,
    load_model,
    open_scan,
    save_model,
    train,
)
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.learn import Model, Phase, TrainingState, active_channels, finished, morans_i
from napari_ferro4d.learn.model_files import OPTIMIZER


def two_domains(seed: int, shape: tuple[int, int] = (16, 18)) -> tuple[Scan, np.ndarray]:
    """Return a scan of discs whose +g/-g asymmetry tells two domains apart, and the domains.

    Thickness, which varies down the scan, changes the discs more than the domains do.
    """
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    plus = x < shape[1] / 2 + np.sin(y / 3)
    ky, kx = np.indices((32, 32)) - 15.5
    mean = np.full((*shape, 32, 32), 0.2)
    thickness = 1 + 0.5 * np.cos(3 * y / shape[0])
    for gy, strength in ((-10, 1.2), (0, 1.0), (10, 0.8)):
        disc = np.hypot(ky - gy, kx) < 3
        intensity = np.where(plus, strength, 2 - strength) * (thickness if gy else 2 - thickness)
        mean += 12 * intensity[:, :, None, None] * disc
    return Scan.from_array(rng.poisson(mean).astype(np.uint16)), plus


def separation(channel: np.ndarray, domains: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    auc = roc_auc_score(domains.ravel(), channel.ravel())
    return max(auc, 1 - auc)


def moving_disc() -> Scan:
    """Return patterns of a disc that moves: one parameter, but far from one linear component."""
    ky, kx = np.indices((16, 16))
    places = np.linspace(3, 12, 150)[:, None, None]
    discs = 40.0 / (1 + np.exp(2 * (np.hypot(ky - 7.5, kx - places) - 2.5)))
    return Scan.from_array(np.random.default_rng(0).poisson(discs[None]).astype(np.uint16))


@pytest.fixture(scope="module")
def scan() -> Scan:
    return two_domains(0)[0]


@pytest.fixture(scope="module")
def trained(scan, tmp_path_factory) -> tuple[Model, Path]:
    """A model of two epochs, and its last checkpoint."""
    path = tmp_path_factory.mktemp("trained") / "run.safetensors"
    return train(scan, embedding=4, epochs=2, checkpoint=path), path


@pytest.fixture(scope="module")
def model(trained) -> Model:
    return trained[0]


@pytest.fixture(scope="module")
def checkpoint(trained) -> Path:
    return trained[1]


def test_a_channel_tells_domains_apart_also_on_a_scan_not_trained_on(scan):
    other, plus = two_domains(1, (12, 20))
    model = train(scan, embedding=8, epochs=6)
    embedding = embed(other, model)
    assert embedding.channels.shape == (8, 12, 20)
    assert embedding.channels.dtype == np.float32
    assert embedding.channels.min() >= 0
    assert max(separation(embedding.channels[i], plus) for i in embedding.active) > 0.95


def test_training_improves_on_principal_components():
    states = []
    train(moving_disc(), embedding=2, epochs=60, report=lambda p: states.append(p.partial))
    losses = states[-1].losses
    assert len(losses) == 60
    assert min(losses[-5:]) < 0.7 * losses[0]


def test_the_header_tells_everything_needed_to_use_the_model(scan, model):
    header = model.header
    assert header["preset"] == "compact"
    assert header["network"] == {"embedding": 4, "size": 32}
    assert header["preprocess"]["detector"] == [32, 32]
    assert header["scans"][0]["signature"] == scan.signature
    assert sum(phase["epochs"] for phase in header["schedule"]) == 2
    assert len(header["history"]["losses"]) == 2
    assert header["versions"]["torch"] == str(torch.__version__)


def test_the_same_seed_gives_the_same_model_and_another_seed_another(scan, model):
    again, other = (train(scan, embedding=4, epochs=2, seed=s) for s in (0, 4))
    assert same(model, again)
    assert not same(model, other)


def test_training_leaves_torchs_random_numbers_and_threads_alone(scan):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    train(scan, embedding=4, epochs=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_resuming_a_cancelled_training_gives_the_uninterrupted_one(scan, model, tmp_path):
    path = tmp_path / "run.safetensors"

    def stop_in_the_second_epoch(progress: Progress) -> None:
        if "epoch 2" in progress.message and progress.done % 5 == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(scan, embedding=4, epochs=2, checkpoint=path, report=stop_in_the_second_epoch)
    assert len(load_model(path).header["history"]["losses"]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]
    whole, resumed = model, train(scan, embedding=4, epochs=2, resume=path)
    assert same(resumed, whole)
    assert resumed.header == whole.header
    assert not any(name.startswith(OPTIMIZER) for name in resumed.weights)
    # Without a number of epochs the checkpoint's own schedule goes on.
    assert same(train(scan, embedding=4, resume=path), whole)


def test_a_finished_checkpoint_is_the_model_and_a_finished_model_is_no_checkpoint(
    scan, model, checkpoint, tmp_path
):
    assert same(train(scan, embedding=4, epochs=2, resume=checkpoint), model)
    path = save_model(model, tmp_path / "finished.safetensors")
    with pytest.raises(ModelError, match="finished, not a checkpoint"):
        train(scan, embedding=4, epochs=4, resume=path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "the seed 0, not 1"),
        ({"embedding": 6}, "an embedding of 4, not 6"),
        ({"preset": "paper"}, "the preset compact, not paper"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(scan, checkpoint, change, words):
    with pytest.raises(ModelError, match=words):
        train(scan, **{"embedding": 4, "epochs": 3, "resume": checkpoint, **change})
    with pytest.raises(ModelError, match="other scans"):
        train(two_domains(1)[0], embedding=4, epochs=3, resume=checkpoint)


def test_training_resumes_on_the_same_counts_under_another_name(scan, checkpoint, tmp_path):
    np.save(tmp_path / "moved.npy", scan.data.compute())
    moved = open_scan(tmp_path / "moved.npy")
    assert moved.signature == scan.signature
    more = train(moved, embedding=4, epochs=3, resume=checkpoint)
    assert len(more.header["history"]["losses"]) == 3


def test_a_model_tells_by_which_schedule_each_of_its_epochs_ran(scan, tmp_path):
    path = tmp_path / "run.safetensors"
    first, second = (Phase(1, 1e-3, l1=1e-3),), (Phase(2, 1e-4, l1=1e-2),)
    train(scan, embedding=4, schedule=first, checkpoint=path)
    header = train(scan, embedding=4, schedule=second, resume=path).header
    assert [Phase.from_json(phase) for phase in header["schedule"]] == list(second)
    (left,) = header["schedules_left"]
    assert left["epochs"] == 1
    assert [Phase.from_json(phase) for phase in left["schedule"]] == list(first)
    assert "schedules_left" not in train(scan, embedding=4, schedule=first, resume=path).header


def test_progress_tells_epochs_losses_and_the_time_left(scan):
    seen: list[Progress] = []
    train(scan, embedding=4, epochs=3, report=seen.append)
    training = [p for p in seen if isinstance(p.partial, TrainingState)]
    assert training[-1].done == training[-1].total
    assert training[-1].partial.epoch == 3
    assert len(training[-1].partial.losses) == 3
    assert any("epoch 2 of 3, loss" in p.message for p in training)
    assert any("reading" in p.message for p in seen)


@pytest.mark.parametrize("when", ["reading", "epoch", "embedding"])
def test_cancel_acts_wherever_it_comes(scan, tmp_path, when):
    asked: list[Progress] = []

    def report(progress: Progress) -> None:
        if when in progress.message:
            asked.append(progress)
            raise Cancelled

    threads = threading.active_count()

    def work() -> None:
        model = train(
            scan, embedding=4, epochs=1, report=report, checkpoint=tmp_path / "a.safetensors"
        )
        embed(scan, model, report=report)

    with pytest.raises(Cancelled):
        work()
    # It ended there, with work left to do.
    (last,) = asked
    assert last.done < last.total
    assert threading.active_count() <= threads
    if when != "embedding":
        assert not list(tmp_path.iterdir())


def test_the_papers_preset_can_be_cancelled_within_its_first_pattern():
    scan = Scan.from_array(np.random.default_rng(0).poisson(2.0, (1, 2, 32, 32)).astype(np.uint8))
    before_any_step: list[Progress] = []

    def report(progress: Progress) -> None:
        if isinstance(progress.partial, TrainingState) and progress.done == 0:
            before_any_step.append(progress)
            if len(before_any_step) == 3:
                raise Cancelled

    with pytest.raises(Cancelled):
        train(scan, preset="paper", epochs=1, report=report)
    assert len(before_any_step) == 3


def test_a_model_file_embeds_as_the_model_does(scan, model, tmp_path):
    loaded = load_model(save_model(model, tmp_path / "m.safetensors"))
    assert np.array_equal(embed(scan, loaded).channels, embed(scan, model).channels)


def test_the_embedding_does_not_depend_on_how_the_file_is_cut(scan, model):
    import dask.array as da

    cut = Scan.from_array(da.from_array(scan.data.compute(), chunks=(5, 7, 32, 32)))
    np.testing.assert_allclose(
        embed(cut, model).channels, embed(scan, model).channels, rtol=1e-4, atol=1e-5
    )


def test_only_channels_that_vary_are_active(scan, model):
    weights = {name: value.copy() for name, value in model.weights.items()}
    weights["linear_encoder.bias"][2] = -1e6
    weights["linear_encoder.weight"][0] = 0
    weights["encoder.7.weight"][0] = 0
    silenced = type(model)(model.kind, model.header, weights)
    assert sorted(embed(scan, silenced).active) == [1, 3]


def test_channels_of_noise_are_not_active_and_structure_comes_first():
    y, x = np.indices((24, 30)) / 24
    noise = np.random.default_rng(0).normal(size=(3, 24, 30))
    channels = np.stack([noise[0], y, noise[1], x + 0.5 * noise[2], 0 * x]).astype(np.float32)
    assert active_channels(channels) == (1, 3)
    assert abs(morans_i(noise[0])[0]) < 4 / morans_i(noise[0])[1] ** 0.5
    # Too few positions to tell: everything that varies.
    assert active_channels(channels[:, :2, :2]) == (0, 1, 2, 3)


def test_positions_that_the_file_lacks_are_neither_learnt_nor_mapped():
    scan, plus = two_domains(0)
    missing = np.zeros(scan.scan_shape, bool)
    missing[-1, 3:] = True
    counts = scan.data.compute()
    counts[missing] = 0
    padded = Scan.from_array(counts, missing=missing)
    channels = embed(padded, train(padded, embedding=4, epochs=1)).channels
    assert np.isnan(channels[:, missing]).all()
    assert np.isfinite(channels[:, ~missing]).all()
    labels = np.where(plus, 1, 2).astype(np.uint8)
    found = classify(padded, labels)
    assert (found.prediction[missing] == 0).all()
    assert (found.prediction[~missing] > 0).all()


def test_several_scans_train_one_model():
    scans = [two_domains(seed)[0] for seed in (0, 1)]
    header = train(scans, embedding=4, epochs=1).header
    assert [s["signature"] for s in header["scans"]] == [s.signature for s in scans]


@pytest.mark.parametrize("shape", [(1, 5, 8, 8), (1, 1, 3, 5), (2, 2, 70, 40)])
def test_odd_scans_train_and_embed(shape):
    scan = Scan.from_array(np.random.default_rng(0).poisson(3.0, shape).astype(np.uint8))
    embedding = embed(scan, train(scan, embedding=3, epochs=2))
    assert embedding.channels.shape == (3, *shape[:2])
    assert np.isfinite(embedding.channels).all()


def test_a_scan_of_another_detector_is_refused_with_both_shapes(scan, model):
    other = Scan.from_array(np.ones((2, 2, 16, 24), np.uint8))
    with pytest.raises(ModelError, match=r"16 x 24 .* 32 x 32"):
        embed(other, model)
    with pytest.raises(ScanError, match=r"16 x 24 .* 32 x 32"):
        train([scan, other])


def test_a_changed_model_is_refused(scan, model):
    with pytest.raises(ModelError, match="kind 'classifier'"):
        embed(scan, type(model)("classifier", model.header, model.weights))
    with pytest.raises(ModelError, match="how to prepare"):
        embed(scan, type(model)("autoencoder", {"preset": "compact"}, model.weights))
    wider = {**model.header, "network": {"embedding": 9, "size": 32}}
    with pytest.raises(ModelError, match="do not fit"):
        embed(scan, type(model)("autoencoder", wider, model.weights))
    broken = {**model.weights, "linear_encoder.bias": np.full(4, np.nan, np.float32)}
    with pytest.raises(ModelError, match="not finite"):
        embed(scan, type(model)("autoencoder", model.header, broken))


@pytest.mark.parametrize("value", [np.nan, -2.0])
def test_impossible_counts_stop_training_and_embedding(scan, model, value):
    counts = scan.data.compute().astype(np.float32)
    counts[5, 5, 5, 5] = value
    bad = Scan.from_array(counts)
    for work in (lambda: train(bad, epochs=1), lambda: embed(bad, model)):
        with pytest.raises(ScanError, match="some counts are"):
            work()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "huge"}, "compact"),
        ({"embedding": 0}, "1 or more"),
        ({"epochs": 0}, "1 or more"),
        ({"device": "cuda:77"}, "cuda:77"),
    ],
)
def test_impossible_options_are_explained(scan, options, words):
    with pytest.raises(ScanError, match=words):
        train(scan, **options)


def test_no_scan_is_explained():
    with pytest.raises(ScanError, match="no scan"):
        train([])


def test_a_finished_model_carries_no_optimiser(model, checkpoint):
    stored = load_model(checkpoint)
    assert any(name.startswith(OPTIMIZER) for name in stored.weights)
    assert set(finished(stored).weights) == set(model.weights)
