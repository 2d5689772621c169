"""Schedules: as published, in files, and epoch by epoch."""

from __future__ import annotations

import json

import pytest

from napari_ferro4d import ScanError
from napari_ferro4d.learn import PRESETS, SCHEDULES, Phase, read_schedule
from napari_ferro4d.learn.training import (
    as_variational,
    learning_rate,
    phase_at,
    resize,
    total_epochs,
)


def test_the_papers_schedules_are_as_published():
    assert SCHEDULES["paper-ds1"] == PRESETS["paper"] == (Phase(377, 3e-5, l1=1e-5),)
    first, second = SCHEDULES["paper-ds2"]
    assert first == Phase(225, 3e-5, l1=1e-5)
    assert (second.epochs, second.l1) == (60, 5e-4)
    rates = [learning_rate(second, epoch / 60) for epoch in range(60)]
    # Up in 15 epochs, down in 15, twice.
    assert rates[0] == rates[30] == pytest.approx(3e-5)
    assert rates[15] == rates[45] == pytest.approx(5e-5)
    assert rates[7] == pytest.approx(3e-5 + 2e-5 * 7 / 15)
    assert rates[29] == pytest.approx(3e-5 + 2e-5 * 1 / 15)
    (walls,) = SCHEDULES["paper-walls"]
    assert walls == Phase(18, 3e-5, l1=5e-3, similarity=5e-5, divergence=2e-4)


def test_a_cycle_steps_after_each_epoch_whatever_the_rounding():
    for epochs in (7, 30, 49, 60, 97):
        phase = Phase(epochs, 1.0, cycle=(2.0, 3))
        for epoch in range(epochs):
            for done in (0.0, 0.5, 1 - 1e-5):
                rate = learning_rate(phase, (epoch + done) / epochs)
                assert rate == pytest.approx(1 + [0, 1, 2, 3, 2, 1][epoch % 6] / 3)


def test_a_resized_schedule_keeps_the_shape_of_its_cycle():
    first, second = resize(SCHEDULES["paper-ds2"], 57)
    assert (first.epochs, second.epochs, second.cycle) == (45, 12, (5e-5, 3))
    assert resize(SCHEDULES["paper-ds2"], 1)[0].epochs == 1


def test_the_references_beta_schedule_is_a_list_of_phases():
    # `beta_schedule=[by, every]`: beta grows by so much before the first epoch of every so many.
    by, every, epochs, beta, wanted = 0.25, 3, 8, 0.1, []
    for epoch in range(epochs):
        if epoch % every == 0:
            beta += by
        wanted.append(beta)
    phases = [Phase(3, 1e-4, beta=0.35), Phase(3, 1e-4, beta=0.6), Phase(2, 1e-4, beta=0.85)]
    assert total_epochs(phases) == epochs
    assert [phase_at(phases, e)[0].beta for e in range(epochs)] == pytest.approx(wanted)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_becomes_one_for_a_beta_vae(name):
    for before, after in zip(SCHEDULES[name], as_variational(SCHEDULES[name], 0.2), strict=True):
        assert (after.l1, after.similarity, after.divergence, after.beta) == (0, 0, 0, 0.2)
        assert (after.epochs, after.cycle) == (before.epochs, before.cycle)
        assert learning_rate(after, 0.3) == learning_rate(before, 0.3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_phases_come_back_from_json(name):
    for phase in SCHEDULES[name]:
        assert Phase.from_json(json.loads(json.dumps(phase.to_json()))) == phase


def test_a_schedule_is_read_from_toml(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        "[[phase]]\nepochs = 5\nlearning_rate = 1e-3\nl1 = 1\n"
        "[[phase]]\nepochs = 4\nlearning_rate = 1e-4\ncycle = [2e-4, 2]\nbeta = 0.5\n"
    )
    wanted = (Phase(5, 1e-3, l1=1.0), Phase(4, 1e-4, cycle=(2e-4, 2), beta=0.5))
    assert read_schedule(file) == read_schedule(str(file)) == wanted
    assert read_schedule("compact") == SCHEDULES["compact"]


GOOD = "[[phase]]\nepochs = 2\nlearning_rate = 1e-3\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"no phase.*\[\[phase\]\]"),
        ("phase = 3", r"\[\[phase\]\]"),
        ("phase = [1]", r"\[\[phase\]\]"),
        (GOOD + "[[phases]]\nepochs = 1", "phases"),
        (GOOD + "lambda = 1", "phase 1: 'lambda'.*l1, similarity"),
        (GOOD + "[[phase]]\nlearning_rate = 1e-3", "phase 2: .*epochs"),
        ("[[phase]]\nepochs = 2", "phase 1: .*learning_rate"),
        ("[[phase]]\nepochs = 2.5\nlearning_rate = 1.0", "epochs .*whole number, not 2.5"),
        ("[[phase]]\nepochs = 0\nlearning_rate = 1.0", "0 epochs"),
        ("[[phase]]\nepochs = 1\nlearning_rate = 0", "learning_rate of 0"),
        ("[[phase]]\nepochs = 1\nlearning_rate = inf", "learning_rate"),
        (GOOD + "l1 = -1", "l1 .*-1"),
        (GOOD + "similarity = 'much'", "similarity .*number"),
        (GOOD + "cycle = [1e-3]", "cycle"),
        (GOOD + "cycle = [1e-3, 0]", "cycle .*1 epoch"),
        (GOOD + "cycle = [1e-3, 2]\nend_learning_rate = 1e-5", "either a cycle or"),
        ("[[phase]\n", "not a TOML"),
    ],
)
def test_a_file_that_is_no_schedule_is_explained(text, words, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ScanError, match=f"mine.toml: .*{words}"):
        read_schedule(file)


@pytest.mark.parametrize("name", ["paper-ds3", "auto", "nowhere/mine.toml"])
def test_an_unknown_schedule_is_refused_by_name(name):
    with pytest.raises(ScanError, match=name):
        read_schedule(name)


def test_the_papers_schedule_is_as_published():
    assert PRESETS["paper"] == (Phase(377, 3e-5, l1=1e-5),)


def test_a_schedule_is_resized_in_proportion():
    phases = (Phase(10, 1e-3), Phase(20, 1e-3), Phase(1, 1e-4))
    for epochs in (1, 2, 7, 31, 100):
        assert total_epochs(resize(phases, epochs)) == epochs
    assert resize(phases, 31) == phases


def test_epochs_fall_into_their_phases():
    phases = (Phase(2, 1e-3), Phase(3, 1e-4))
    assert [phase_at(phases, e)[1] for e in range(5)] == [0, 1, 0, 1, 2]
    assert learning_rate(phases[0], 0.7) == 1e-3
    assert learning_rate(Phase(2, 1e-3, end_learning_rate=1e-5), 1.0) == pytest.approx(1e-5)
