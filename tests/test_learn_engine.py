"""The training engine: cache, portions, schedules, checkpoints, starts, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from itertools import pairwise

import numpy as np
import pytest
import torch

from napari_ferro4d import ModelError, Scan, ScanError, embed, load_model, train
from napari_ferro4d.cli import main
from napari_ferro4d.io import Model
from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.learn import Phase, TrainingState, cache, gradient
from napari_ferro4d.learn.automatic import AUTOMATIC, Automatic, first, most_epochs, onward
from napari_ferro4d.learn.cache import Room, read_patterns
from napari_ferro4d.learn.feed import Feed
from napari_ferro4d.learn.glance import Glance
from napari_ferro4d.learn.gradient import Gradient
from napari_ferro4d.learn.memory import Portion, available_memory, fitting, smaller
from napari_ferro4d.learn.networks import build_autoencoder
from napari_ferro4d.learn.order import batches
from napari_ferro4d.learn.preprocess import Preprocess
from napari_ferro4d.learn.ranks import ALONE
from napari_ferro4d.learn.schedule import total_epochs
from training_scans import counts, same

GIB = 2**30
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scan() -> Scan:
    return Scan.from_array(counts())


@pytest.fixture(scope="module")
def model(scan) -> Model:
    return train(scan, embedding=4, epochs=2, device="cpu")


def states_of(*args, **options) -> tuple[Model, list[TrainingState]]:
    states: list[TrainingState] = []

    def report(progress) -> None:
        if isinstance(progress.partial, TrainingState):
            states.append(progress.partial)

    return train(*args, **options, device="cpu", report=report), states


# The cache


def test_patterns_in_a_file_train_the_same_model_and_leave_no_file(
    scan, model, monkeypatch, tmp_path
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr("napari_ferro4d.learn.autoencoder.find_room", lambda: Room(0, GIB))
    said, files = set(), set()

    def report(progress) -> None:
        said.add(progress.message.split(":")[0])
        files.update(tmp_path.iterdir())

    other = train(scan, embedding=4, epochs=2, device="cpu", report=report)
    assert same(model, other)
    assert any("into a temporary file" in words for words in said)
    assert not files


def test_the_cache_takes_half_of_the_free_memory_and_most_of_the_disk():
    room = cache.find_room()
    assert room.memory == pytest.approx(0.5 * available_memory(), rel=0.2)
    assert 0 < room.file <= cache.FILE_BYTES


def test_a_file_of_patterns_beyond_disk_or_limit_is_one_error(scan, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    how = Preprocess((16, 16), 1, 16)
    with pytest.raises(ScanError, match="has no room"):
        read_patterns([scan], how, room=Room(0, 80 * 1024 - 1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(ScanError, match=r"cannot be kept there \(File too large\)"):
            read_patterns([scan], how, room=Room(0, GIB))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_only_what_has_room_nowhere_is_thinned_and_that_is_said(scan, monkeypatch, tmp_path):
    # Room for 20 of 80 patterns of 1 kB: every second row and column.
    room = Room(10_000, 20 * 1024)
    monkeypatch.setattr("napari_ferro4d.learn.autoencoder.find_room", lambda: room)
    said = set()
    path = tmp_path / "c.safetensors"
    thin = train(
        scan,
        embedding=4,
        epochs=1,
        device="cpu",
        checkpoint=path,
        report=lambda p: said.add(p.message),
    )
    assert thin.header["every"] == 2
    assert any("only every 2th row and column" in words for words in said)
    # A resumed training takes the same positions, whatever room there is now.
    monkeypatch.undo()
    resumed = train(scan, embedding=4, epochs=2, device="cpu", resume=path)
    assert resumed.header["every"] == 2


def test_batches_from_a_file_are_those_from_memory():
    patterns = np.random.default_rng(0).random((50, 4, 4), np.float32)
    chosen = batches(50, 8, seed=3, epoch=1)
    direct, fetched = (
        [x.clone() for x in Feed(patterns, CPU, on_disk).batches(chosen)]
        for on_disk in (False, True)
    )
    assert len(direct) == 7
    for index, a, b in zip(chosen, direct, fetched, strict=True):
        assert torch.equal(a, torch.from_numpy(patterns[index])[:, None])
        assert torch.equal(a, b)


@pytest.mark.parametrize("total", [1, 15, 100, 4097])
def test_every_pattern_is_in_one_batch_and_batches_cover_the_scan(total):
    chosen = batches(total, 32, seed=0, epoch=5)
    assert np.array_equal(np.sort(np.concatenate(chosen)), np.arange(total))
    for batch in chosen[:-1]:
        # Half of each batch for either of two processes that hold half of the patterns.
        assert abs(np.count_nonzero(batch < total // 2) - 16) <= 1


# Portions


def test_a_portion_is_what_fits_the_memory():
    paper = {"preset": "paper", "network": {"embedding": 32, "size": 256}}
    assert fitting(paper, 80 * GIB, cpu=False) == Portion(32)
    assert fitting(paper, 12 * GIB, cpu=False) == Portion(8)
    assert fitting(paper, GIB, cpu=False) == Portion(1, recompute=True)
    assert fitting(paper, 80 * GIB, cpu=True) == Portion(1)
    small = {"preset": "paper", "network": {"size": 64, "filters": 32}}
    assert fitting(small, GIB, cpu=False).patterns == 32
    compact = {"preset": "compact", "network": {"size": 64}}
    assert fitting(compact, 20 * GIB, cpu=True) == Portion(64)


def test_a_portion_is_halved_down_to_one_pattern_computed_twice():
    tried = [Portion(32)]
    while (less := smaller(tried[-1], "paper")) is not None:
        tried.append(less)
    assert [p.patterns for p in tried] == [32, 16, 8, 4, 2, 1, 1]
    assert tried[-1].recompute
    assert smaller(Portion(1), "compact") is None


def gradient_of(portion: Portion, phase: Phase, header: dict) -> tuple[list[float], torch.Tensor]:
    torch.manual_seed(0)
    network = build_autoencoder(header)
    x = torch.rand(6, 1, 16, 16)
    terms = Gradient(network, header, portion, ALONE, CPU).add(x, phase, 6, None)
    return terms.tolist(), torch.cat([p.grad.flatten() for p in network.parameters()])


@pytest.mark.parametrize("weight", [0.0, 0.3])
@pytest.mark.parametrize("reading", ["code", "text"])
def test_a_batch_in_portions_has_the_gradient_of_the_whole(weight, reading):
    network = {"embedding": 4, "size": 16, "filters": 3, "pooling": [2, 2]}
    header = {"preset": "paper", "network": network, "divergence": reading}
    phase = Phase(1, 1e-3, l1=0.1, similarity=weight, divergence=0.05)
    whole, expected = gradient_of(Portion(6), phase, header)
    assert expected.abs().max() > 0
    for portion in (Portion(4), Portion(1, recompute=True)):
        terms, gradient = gradient_of(portion, phase, header)
        assert terms == pytest.approx(whole, rel=1e-5)
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-5)
    # To compute insides twice changes no bit.
    assert torch.equal(
        gradient_of(Portion(6, recompute=True), phase, header)[1],
        gradient_of(Portion(6), phase, header)[1],
    )


def test_a_batch_that_has_to_be_parted_halfway_keeps_the_similarity_of_the_whole(monkeypatch):
    network = {"embedding": 4, "size": 16, "filters": 3, "pooling": [2, 2]}
    header = {"preset": "paper", "network": network, "divergence": "code"}
    phase = Phase(1, 1e-3, l1=0.1, similarity=0.3)
    whole, expected = gradient_of(Portion(6), phase, header)
    objective, calls = gradient.objective, []

    def short_of_memory(*args, **options):
        calls.append(len(args[1]))
        if len(calls) == 1:
            raise MemoryError
        return objective(*args, **options)

    monkeypatch.setattr(gradient, "objective", short_of_memory)
    terms, found = gradient_of(Portion(6), phase, header)
    assert calls == [6, 3, 3]
    assert terms == pytest.approx(whole, rel=1e-5)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


OUT_OF_MEMORY = """
import json, resource, sys
import psutil, torch
from napari_ferro4d.learn.gradient import Gradient
from napari_ferro4d.learn.memory import Portion, available_memory, fitting
from napari_ferro4d.learn.networks import build_autoencoder
from napari_ferro4d.learn.ranks import ALONE
from napari_ferro4d.learn.schedule import Phase

torch.set_num_threads(1)
header = {
    "preset": "paper",
    "network": {"embedding": 4, "size": 64, "filters": 16, "pooling": [4, 4]},
    "divergence": "code",
}
torch.manual_seed(0)
network = build_autoencoder(header)
x = torch.rand(32, 1, 64, 64)

def add(portion):
    network.zero_grad()
    gradient = Gradient(network, header, portion, ALONE, torch.device("cpu"))
    terms = gradient.add(x, Phase(1, 1e-3, l1=0.1), 32, None)
    flat = torch.cat([p.grad.flatten() for p in network.parameters()])
    return float(terms[0]), flat, gradient

add(Portion(2, recompute=True))
loss, expected, _ = add(Portion(4))
room = int(sys.argv[1])
most = psutil.Process().memory_info().vms + room
resource.setrlimit(resource.RLIMIT_AS, (most, most))
free = available_memory()
limited, found, gradient = add(Portion(32))
print(json.dumps({
    "free": free,
    "patterns": gradient.portion.patterns,
    "recompute": gradient.portion.recompute,
    "note": gradient.note,
    "losses": [loss, limited],
    "apart": float((found - expected).abs().max() / expected.abs().max()),
}))
"""


def test_when_memory_runs_out_portions_are_halved_and_that_is_said():
    pytest.importorskip("resource")
    room = 80 * 2**20
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, str(room)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["free"] <= room
    assert found["patterns"] < 32
    assert "memory is short" in found["note"]
    assert found["losses"][0] == pytest.approx(found["losses"][1], rel=1e-5)
    assert found["apart"] < 1e-4


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


def test_a_glance_looks_at_few_patterns():
    large = Scan.from_array(np.ones((90, 100, 2, 2), np.uint8))
    how = Preprocess((2, 2), 1, 2)
    glance = Glance(read_patterns([large, large], how), ALONE, CPU)
    assert glance.every == 1
    assert len(glance._patterns) <= 2 * 32 * 32
    small = Scan.from_array(np.ones((9, 10, 2, 2), np.uint8))
    glance = Glance(read_patterns([small], how), ALONE, CPU)
    # All positions, but then not after every epoch: a quarter of the patterns per epoch, no more.
    assert len(glance._patterns) / glance.every <= 0.25 * 90


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

    def stop(progress) -> None:
        if isinstance(progress.partial, TrainingState) and progress.partial.epoch == 5:
            raise Cancelled

    options = {"embedding": 4, "schedule": "auto", "device": "cpu"}
    with pytest.raises(Cancelled):
        train(scan, **options, checkpoint=path, report=stop)
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

    def stop(progress) -> None:
        if isinstance(progress.partial, TrainingState) and progress.partial.epoch == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(scan, **options, device="cpu", checkpoint=path, report=stop)
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
