"""The course of a training: what is told of it, schedules, starts, and what is refused."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from helpers.training_scans import counts, model_of_two_epochs, same, stop_after
from napari_ferro4d import ModelError, Scan, ScanError, embed, load_model, train
from napari_ferro4d.cli import main
from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.learn import Model, Phase, TrainingState
from napari_ferro4d.learn.compute import ALONE
from napari_ferro4d.learn.data import Preprocess, read_patterns
from napari_ferro4d.learn.training import (
    AUTOMATIC,
    Automatic,
    ChannelMonitor,
    first,
    most_epochs,
    onward,
    total_epochs,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scan() -> Scan:
    return Scan.from_array(counts())


@pytest.fixture(scope="module")
def model() -> Model:
    return model_of_two_epochs()


def states_of(*args, **options) -> tuple[Model, list[TrainingState]]:
    states: list[TrainingState] = []

    def report(progress) -> None:
        if isinstance(progress.partial, TrainingState):
            states.append(progress.partial)

    return train(*args, **options, device="cpu", report=report), states


# Progress and history


def test_the_state_tells_every_term_rate_and_active_channel(scan):
    phases = [Phase(2, 1e-3, l1=0.01, divergence=1e-3), Phase(1, 5e-4, l1=0.02, similarity=0.1)]
    trained, states = states_of(scan, embedding=4, schedule=phases)
    last = states[-1]
    assert last.epoch == last.epochs == 3
    assert last.learning_rates == (1e-3, 1e-3, 5e-4)
    assert len(last.active) == 3
    for epoch, phase in enumerate([phases[0], phases[0], phases[1]]):
        term = {name: values[epoch] for name, values in last.terms.items()}
        total = term["reconstruction"] + phase.l1 * term["activity"]
        total += phase.similarity * term["similarity"] - phase.divergence * term["divergence"]
        assert last.losses[epoch] == pytest.approx(total, rel=1e-5)
    assert last.thumbnails.dtype == np.float32
    assert last.thumbnails.shape[1:] == (8, 10)
    history = trained.header["history"]
    assert history["losses"] == list(last.losses)
    assert history["active"] == list(last.active)
    assert trained.header["divergence"] == "code"
    # In a scan no larger than the grid, they are the channels that `embed` finds active.
    assert last.active[-1] == len(embed(scan, trained, device="cpu").active)


def test_a_look_at_the_channels_embeds_few_patterns():
    large = Scan.from_array(np.ones((90, 100, 2, 2), np.uint8))
    how = Preprocess((2, 2), 1, 2)
    monitor = ChannelMonitor(read_patterns([large, large], how), ALONE, CPU)
    assert monitor.every == 1
    assert len(monitor.patterns) <= 2 * 32 * 32
    small = Scan.from_array(np.ones((9, 10, 2, 2), np.uint8))
    monitor = ChannelMonitor(read_patterns([small], how), ALONE, CPU)
    # All positions, but then not after every epoch: a quarter of the patterns per epoch, no more.
    assert len(monitor.patterns) / monitor.every <= 0.25 * 90


# Schedules


def test_auto_raises_sparsity_until_it_silences_no_more_channels():
    how = Automatic(1e-3, 1e-4, l1=0.1, factor=2, raises=5, least=1, most=4, last=3, still=0.9)
    phases, active, alike = first(how), [], []
    course = [(9, 0.5), (9, 0.95), (7, 0.95), (7, 0.5), (7, 0.95), (7, 0.2), (6, 0.2), (6, 0.2)]
    for count, like in course:
        assert total_epochs(phases) > len(active)
        active.append(count)
        alike.append(like)
        phases = onward(how, phases, active, alike)
        assert total_epochs(phases) <= most_epochs(how, phases)
    # Two epochs; one, which silenced two channels; two, which silenced none: the last phase.
    assert [(p.epochs, p.l1) for p in phases] == [(2, 0.1), (1, 0.2), (2, 0.4), (3, 0.4)]
    assert phases[-1].end_learning_rate == 1e-4
    assert total_epochs(phases) == len(active)


def test_auto_ends_however_channels_behave():
    how = AUTOMATIC["compact"]
    for alike in (0.0, 1.0):
        phases, active = first(how), []
        bound = most_epochs(how, phases)
        while total_epochs(phases) > len(active):
            active.append(1000 - len(active))
            phases = onward(how, phases, active, [alike] * len(active))
        assert len(active) <= bound
        assert len(phases) == how.raises + 2


def test_auto_tells_the_schedule_that_was_run_and_resumes_exactly(scan, tmp_path):
    path = tmp_path / "c.safetensors"
    whole, states = states_of(scan, embedding=4, schedule="auto")
    run = [Phase.from_json(phase) for phase in whole.header["schedule"]]
    assert total_epochs(run) == len(whole.header["history"]["losses"]) == states[-1].epoch
    assert states[-1].epochs == states[-1].epoch
    assert all(a.l1 <= b.l1 for a, b in pairwise(run))
    options = {"embedding": 4, "schedule": "auto", "device": "cpu"}
    with pytest.raises(Cancelled):
        train(scan, **options, checkpoint=path, report=stop_after(5))
    resumed = train(scan, **options, resume=path)
    assert same(resumed, whole)
    assert resumed.header == whole.header


def test_a_schedule_comes_from_a_file_and_the_command_tells_the_course(capsys, tmp_path):
    np.save(tmp_path / "scan.npy", counts())
    schedule = tmp_path / "s.toml"
    schedule.write_text("[[phase]]\nepochs = 2\nlearning_rate = 1e-3\nl1 = 0.01\n")
    base = ["train", str(tmp_path / "scan.npy"), "--json", "--device", "cpu"]
    out = str(tmp_path / "m.safetensors")
    assert main([*base, "-o", out, "--schedule", str(schedule), "--embedding", "4"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schedule"][0]["l1"] == 0.01
    assert len(told["history"]["losses"]) == told["epochs"] == 2
    assert set(told["history"]["terms"]) == set(
        ["reconstruction", "activity", "similarity", "divergence", "kl"]
    )
    on = str(tmp_path / "on.safetensors")
    more = ["--start", out, "--schedule", "paper-walls", "--epochs", "1", "--divergence", "text"]
    assert main([*base, "-o", on, *more]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schedule"][0]["l1"] == 5e-3
    header = load_model(on).header
    assert header["divergence"] == "text"
    assert header["network"]["embedding"] == 4
    assert header["start"]["scans"] == load_model(out).header["scans"]
    assert main([*base, "-o", on, "--schedule", "paper-ds9"]) == 2
    assert "paper-ds9" in capsys.readouterr().err


# Starts


def test_a_start_begins_with_the_weights_of_the_model(scan, model):
    still = [Phase(1, 1e-12)]
    on = train(scan, start=model, schedule=still, device="cpu")
    for name, weights in model.weights.items():
        np.testing.assert_allclose(on.weights[name], weights, atol=1e-9)
    assert len(on.header["history"]["losses"]) == 1
    assert on.header["start"]["scans"] == model.header["scans"]
    # Another scan, of the same detector, with the preprocessing of the model.
    other = Scan.from_array(counts(seed=1))
    assert (
        train(other, start=model, epochs=1, device="cpu").header["preprocess"]
        == (model.header["preprocess"])
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": True, "embedding": 6}, "an embedding of 4, not 6"),
        ({"start": True, "preset": "paper"}, "the preset compact, not paper"),
        ({"start": True, "variational": True}, "variational"),
        ({"start": True, "resume": "x.safetensors"}, "give one of them"),
        ({"schedule": "auto", "epochs": 3}, "leave epochs out"),
        ({"schedule": "no-such"}, "no-such"),
        ({"schedule": []}, "list of phases"),
        ({"divergence": "sum"}, "'code' or as in its 'text'"),
        ({"embedding": 5000}, "4096"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_contradictions_are_one_clear_error(scan, model, options, words):
    if options.get("start"):
        options = {**options, "start": model}
    with pytest.raises(ScanError, match=words) as caught:
        train(scan, **options, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_start_for_another_detector_is_refused_with_both_shapes(model):
    other = Scan.from_array(counts(side=20))
    with pytest.raises(ModelError, match=r"20 x 20 .* 16 x 16"):
        train(other, start=model, device="cpu")


def test_a_variational_training_repeats_and_resumes_exactly(scan, tmp_path):
    options = {"embedding": 4, "variational": True, "schedule": [Phase(4, 1e-3, beta=0.1)]}
    whole, states = states_of(scan, **options)
    assert min(states[-1].terms["kl"]) > 0
    path = tmp_path / "c.safetensors"
    with pytest.raises(Cancelled):
        train(scan, **options, device="cpu", checkpoint=path, report=stop_after(2))
    assert same(train(scan, **options, device="cpu", resume=path), whole)
    with pytest.raises(ModelError, match="variational"):
        train(scan, embedding=4, device="cpu", resume=path)


@pytest.mark.parametrize("shape", [(1, 9, 16, 16), (9, 1, 5, 3), (1, 1, 1, 1)])
def test_a_line_a_point_and_a_tiny_detector_train_with_every_schedule(shape):
    data = np.random.default_rng(0).poisson(3.0, shape).astype(np.uint16) + 1
    scan = Scan.from_array(data)
    for schedule in ("auto", [Phase(1, 1e-3, l1=1e-3, similarity=0.1, divergence=0.1)]):
        trained = train(scan, embedding=3, schedule=schedule, device="cpu")
        channels = embed(scan, trained, device="cpu").channels
        assert channels.shape == (3, *shape[:2])
        assert np.isfinite(channels).all()
