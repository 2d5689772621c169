"""Checkpoints and model files: the best and the last epoch, full disks, and files that lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.training_scans import counts, model_of_two_epochs, same, stop_after
from napari_ferro4d import ModelError, Scan, ScanError, embed, load_model, save_model, train
from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.learn import Model, Phase, TrainingState, finished
from napari_ferro4d.learn.model_files import BEST

GIB = 2**30


@pytest.fixture(scope="module")
def scan() -> Scan:
    return Scan.from_array(counts())


@pytest.fixture(scope="module")
def model() -> Model:
    return model_of_two_epochs()


def test_a_checkpoint_keeps_the_best_epoch_of_its_phase_beside_the_last(scan, tmp_path):
    path = tmp_path / "c.safetensors"
    # It learns, then a learning rate that is far too high spoils it.
    phases = [Phase(2, 1e-3), Phase(4, 1e-3, cycle=(0.3, 3))]
    kept: dict[int, Model] = {}

    def report(progress) -> None:
        state = progress.partial
        if isinstance(state, TrainingState) and state.epoch and path.exists():
            now = load_model(path)
            kept[len(now.header["history"]["losses"])] = finished(now)
            if state.epoch == 5:
                raise Cancelled

    with pytest.raises(Cancelled):
        train(scan, embedding=4, schedule=phases, device="cpu", checkpoint=path, report=report)
    checkpoint = load_model(path)
    losses = checkpoint.header["history"]["losses"]
    best = checkpoint.header["best"]["epoch"]
    # Of the phase that it is in: losses of another are weighed differently.
    assert best == 3 + int(np.argmin(losses[2:]))
    assert best < len(losses)
    assert same(finished(checkpoint, best=True), kept[best])
    assert same(finished(checkpoint), kept[len(losses)])
    assert not any(name.startswith(BEST) for name in finished(checkpoint, best=True).weights)
    # The best beside it disturbs nobody who embeds with the checkpoint itself.
    np.testing.assert_array_equal(
        embed(scan, checkpoint, device="cpu").channels,
        embed(scan, kept[len(losses)], device="cpu").channels,
    )


def test_a_best_epoch_that_was_the_last_is_still_there_after_going_on(scan, tmp_path):
    path = tmp_path / "c.safetensors"
    # The first epoch of the phase is its best: what follows is spoilt by the learning rate.
    phases = [Phase(4, 1e-3, cycle=(0.3, 3))]

    options = {"embedding": 4, "schedule": phases, "device": "cpu", "checkpoint": path}
    with pytest.raises(Cancelled):
        train(scan, **options, report=stop_after(1, path))
    first = load_model(path)
    assert first.header["best"]["epoch"] == 1
    assert not any(name.startswith(BEST) for name in first.weights)
    with pytest.raises(Cancelled):
        train(scan, **options, resume=path, report=stop_after(3, path))
    later = load_model(path)
    assert later.header["best"]["epoch"] == 1 < len(later.header["history"]["losses"])
    assert same(finished(later, best=True), finished(first))


def test_a_training_may_leave_the_schedule_auto_but_not_change_to_it(scan, tmp_path):
    path = tmp_path / "c.safetensors"
    options = {"embedding": 4, "device": "cpu", "checkpoint": path}

    def go_on(schedule, epoch: int, **more) -> None:
        with pytest.raises(Cancelled):
            train(scan, **options, schedule=schedule, report=stop_after(epoch, path), **more)

    go_on("auto", 2)
    go_on("auto", 3, resume=path)
    go_on([Phase(6, 1e-3)], 5, resume=path)
    with pytest.raises(ModelError, match="began with another schedule than 'auto'"):
        train(scan, **options, schedule="auto", resume=path)
    done = train(scan, **options, schedule=[Phase(6, 1e-3)], resume=path)
    assert len(done.header["history"]["losses"]) == 6


def test_a_full_disk_is_one_error_and_leaves_the_last_good_checkpoint(scan, tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "c.safetensors"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_the_disk(progress) -> None:
        if isinstance(progress.partial, TrainingState) and progress.partial.epoch == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, hard))

    try:
        with pytest.raises(ScanError, match=r"c\.safetensors: cannot be written \(File too large"):
            train(scan, embedding=4, epochs=4, device="cpu", checkpoint=path, report=fill_the_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    good = load_model(path)
    assert len(good.header["history"]["losses"]) == 2
    resumed = train(scan, embedding=4, epochs=4, device="cpu", resume=path)
    assert same(resumed, train(scan, embedding=4, epochs=4, device="cpu"))


def lie(model: Model, **changes) -> Model:
    return Model(model.kind, {**model.header, **changes}, model.weights)


@pytest.mark.parametrize(
    "changes",
    [
        {"preset": "paper"},
        {"preset": "huge"},
        {"preset": 7},
        {"network": {"embedding": 4, "size": 1 << 40}},
        {"network": {"embedding": 60_000, "size": 60_000}},
        {"network": {"embedding": -4, "size": 16}},
        {"network": {"embedding": 10**400, "size": 16}},
        {"network": {"embedding": float("nan"), "size": 16}},
        {"network": {"embedding": 4, "size": 16, "depth": 3}},
        {"network": [4, 16]},
        {"preset": "paper", "network": {"size": 256, "filters": 60_000}},
        {"preset": "paper", "network": {"pooling": [1] * 10_000}},
        {"preset": "paper", "network": {"pooling": [0]}},
        {"preprocess": {"detector": [16, 16], "binning": 1, "size": 60_000}},
        {"preprocess": {"detector": [16, 16], "binning": 4_000, "size": 16}},
        {"preprocess": {"detector": [16, 16], "binning": 0, "size": 16}},
        {"preprocess": {"detector": [16], "binning": 1, "size": 16}},
        {"preprocess": "none"},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_a_header_that_lies_is_a_model_error_and_takes_no_memory(scan, model, changes):
    import psutil

    before = psutil.Process().memory_info().vms
    for use in (
        lambda lied: embed(scan, lied, device="cpu"),
        lambda lied: train(scan, start=lied, epochs=1, device="cpu"),
    ):
        with pytest.raises(ModelError):
            use(lie(model, **changes))
    assert psutil.Process().memory_info().vms - before < GIB


@pytest.fixture(scope="module")
def good(scan, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("good") / "c.safetensors"
    train(scan, embedding=4, epochs=1, device="cpu", checkpoint=path)
    return path


@pytest.mark.parametrize(
    "change", ["cut", "shape", "type", "optimiser", "best", "history", "phase"]
)
def test_a_damaged_checkpoint_is_refused_in_one_line(scan, good, tmp_path, change):
    path = tmp_path / "c.safetensors"
    checkpoint = load_model(good)
    header, weights = dict(checkpoint.header), dict(checkpoint.weights)
    if change == "cut":
        path.write_bytes(good.read_bytes()[:-100])
    else:
        name = next(iter(weights))
        if change == "shape":
            weights[name] = weights[name][..., :-1]
        elif change == "type":
            weights["linear_encoder.bias"] = np.full(4, np.inf, np.float32)
        elif change == "optimiser":
            weights["optimizer.0.exp_avg"] = np.zeros(3, np.float32)
        elif change == "best":
            header["best"] = {"epoch": "one"}
        elif change == "history":
            header["history"] = {"losses": [0.5, 0.4]}
        else:
            header["schedule"] = [{"epochs": 10**30, "learning_rate": "fast"}]
        save_model(Model(checkpoint.kind, header, weights), path)
    with pytest.raises(ModelError) as caught:
        train(
            scan,
            embedding=4,
            epochs=3 if change in ("cut", "optimiser") else None,
            device="cpu",
            resume=path,
        )
    assert "\n" not in str(caught.value)
