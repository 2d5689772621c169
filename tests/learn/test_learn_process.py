"""Training in a process of its own: the same result, and an end to it whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import dask.array as da
import numpy as np
import psutil
import pytest

from helpers.trainers import trainers
from napari_ferro4d import ModelError, Scan, ScanError, embed, load_model, open_scan, train
from napari_ferro4d.corrections import correct, not_negative
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.learn import (
    Phase,
    Trainer,
    TrainingState,
    embed_in_process,
    train_in_process,
)
from napari_ferro4d.learn.worker import (
    ProgressReader,
    ProgressWriter,
    give_scan,
    plain,
    take_scan,
)


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Patterns of a beam that goes up on the left half of the scan and down on the right."""
    rng = np.random.default_rng(4)
    _, x, ky, kx = np.ogrid[:10, :12, :16, :16]
    beam = 60 * np.exp(-((ky - np.where(x < 6, 6.5, 8.5)) ** 2 + (kx - 7.5) ** 2) / 8)
    return rng.poisson(np.broadcast_to(beam, (10, 12, 16, 16))).astype(np.uint16)


@pytest.fixture(scope="module")
def scan(counts: np.ndarray) -> Scan:
    missing = np.zeros((10, 12), bool)
    missing[3, 4:6] = True
    return Scan.from_array(counts, scan_step=1.5, centre=(7.0, 7.5), missing=missing)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep temporary files of a test where they can be counted."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


COURSE = ("history", "best", "start")
"""What a header says of the course of a training, in floating point."""


def until(done: Callable[[], bool]) -> None:
    """Wait until something is done; who waits a minute waits for what hangs."""
    begin = time.monotonic()
    while not done():
        assert time.monotonic() - begin < 60
        time.sleep(0.02)


def nothing_left(temporary: Path) -> bool:
    return not trainers() and not list(temporary.glob("ferro4d-*"))


# --- what goes through the pipe


def again(scan: Scan, folder: Path) -> Scan:
    message = json.dumps(give_scan(scan, folder, 0, None), default=plain)
    return take_scan(json.loads(message))


def same(one: Scan, other: Scan) -> None:
    np.testing.assert_array_equal(one.data.compute(), not_negative(other).data.compute())
    assert one.dtype == other.dtype.newbyteorder("=")
    for name in ("signature", "name", "scan_step", "k_step", "centre", "complete"):
        assert getattr(one, name) == getattr(other, name), name
    np.testing.assert_array_equal(one.missing, other.missing)


def test_a_scan_from_a_file_is_opened_again_and_not_copied(
    tmp_path: Path, counts: np.ndarray, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    np.save(tmp_path / "scan.npy", counts.reshape(120, 16, 16))
    monkeypatch.chdir(tmp_path)
    scan = open_scan(
        "scan.npy",
        scan_shape=(np.int64(10), 12),
        scan_step=np.float32(1.5),
        snake=True,
        crop=((0, 12), (2, None)),
        bad_pixels="3,4;3,5",
        bin=2,
    )
    taken = again(replace(scan, centre=(2.0, 3.0)), temporary)
    assert taken.detector_shape == (6, 7)
    same(taken, replace(scan, centre=(2.0, 3.0)))
    assert not list(temporary.glob("ferro4d-*"))


def test_any_other_scan_goes_through_a_file(
    tmp_path: Path, scan: Scan, counts: np.ndarray, temporary: Path
) -> None:
    np.save(tmp_path / "scan.npy", counts)
    opened = open_scan(tmp_path / "scan.npy")
    dark = np.full((16, 16), 3.0)
    odd = da.from_array(counts.astype(">f4"), chunks=(3, 5, 16, 16))
    for other in (
        scan,
        Scan.from_array(odd, k_step=0.1),
        replace(opened, data=opened.data[2:8, ::3], frames=None),
        correct(scan, dark=dark, bin=2),
        correct(opened, dark=dark),
    ):
        same(again(other, temporary), other)


def test_a_file_that_has_changed_since_is_an_error(tmp_path: Path, counts: np.ndarray) -> None:
    np.save(tmp_path / "scan.npy", counts)
    message = give_scan(open_scan(tmp_path / "scan.npy"), tmp_path, 0, None)
    np.save(tmp_path / "scan.npy", counts[:, ::-1])
    with pytest.raises(ScanError, match=r"scan\.npy: .* open it again"):
        take_scan(message)


def test_a_scan_in_memory_larger_than_the_disk_is_an_error(temporary: Path) -> None:
    scan = Scan.from_array(da.zeros((10**5, 10**5, 256, 256), chunks=(1, 100, -1, -1)))
    with pytest.raises(ScanError, match="save the scan and open the file"):
        give_scan(scan, temporary, 0, None)


def test_progress_arrives_as_it_was_and_stays_short() -> None:
    writer, reader = ProgressWriter(), ProgressReader()
    random = np.random.default_rng(0)
    losses = tuple(float(v) for v in random.random(5000))
    pictures = [random.random((6, 32, 30)).astype(np.float32) for _ in range(2)]
    lengths = []
    for epoch, picture in ((0, None), (4998, pictures[0]), (4999, pictures[0]), (7, pictures[1])):
        terms = {name: losses[:epoch] for name in ("reconstruction", "activity")}
        state = TrainingState(
            epoch,
            5000,
            losses[5000 - epoch :],  # of which no message is the beginning of the next
            terms=terms,
            learning_rates=losses[:epoch],
            active=tuple(range(epoch)),
            thumbnails=picture,
        )
        line = json.dumps(writer.message(Progress(epoch, 5000, "training", 1.5, state)))
        lengths.append(len(line))
        progress = reader.progress(json.loads(line))
        assert replace(progress, partial=None) == Progress(epoch, 5000, "training", 1.5)
        for name, value in vars(state).items():
            if name == "thumbnails":
                np.testing.assert_array_equal(progress.partial.thumbnails, value)
            else:
                assert getattr(progress.partial, name) == value
    line = json.dumps(writer.message(Progress(7, 5000, "training", None, state)))
    assert len(line) < 500
    assert reader.progress(json.loads(line)).partial.thumbnails.shape == (6, 32, 30)
    assert ProgressReader().progress(ProgressWriter().message(Progress(1, 2))) == Progress(1, 2)


# --- the process


PHASES = Phase(1, 1e-3, l1=1e-3), Phase(1, 1e-4, cycle=(1e-3, 5), similarity=1e-4, beta=0.1)
OPTIONS = {"embedding": 3, "seed": 5, "device": "cpu", "schedule": PHASES, "variational": True}


@pytest.fixture(scope="module")
def there(scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What one trainer makes of several jobs, the last of which is cancelled."""
    folder = tmp_path_factory.mktemp("there")
    temporary, path = folder / "temporary", folder / "path"
    temporary.mkdir()
    # What is on this process's path is there too, even something that disturbs the pipe.
    path.mkdir()
    (path / "sitecustomize.py").write_text("print('{hello', flush=True)\n")
    (folder / "json.py").write_text("1 / 0\n")  # a file of the user's that nobody imports
    seen: list[Progress] = []
    asked: list[Progress] = []

    def cancel(progress: Progress) -> None:
        if getattr(progress.partial, "losses", ()):
            asked.append(progress)
            raise Cancelled

    with pytest.MonkeyPatch.context() as patch, Trainer() as trainer:
        patch.setattr(tempfile, "tempdir", str(temporary))
        patch.syspath_prepend(path)
        patch.chdir(folder)
        kept = "kept.safetensors"
        model = train_in_process(
            [scan, scan], **OPTIONS, checkpoint=kept, report=seen.append, trainer=trainer
        )
        (process,) = trainers()
        embedding = embed_in_process(scan, model, device="cpu", trainer=trainer)
        more = train_in_process(scan, start=model, schedule=PHASES[:1], trainer=trainer)
        linear = train_in_process(scan, preset="pca", embedding=3, trainer=trainer)
        assert trainers() == [process]
        files = [path.name for path in temporary.rglob("*") if path.is_file()]
        with pytest.raises(Cancelled):
            train_in_process(
                scan, epochs=100_000, device="cpu", report=cancel, checkpoint=kept, trainer=trainer
            )
        until(lambda: nothing_left(temporary))
    return SimpleNamespace(
        model=model,
        embedding=embedding,
        more=more,
        linear=linear,
        seen=seen,
        asked=asked,
        files=files,
        process=process,
        checkpoint=folder / kept,
    )


def test_the_result_is_that_of_training_here(scan: Scan, there: SimpleNamespace) -> None:
    here = train([scan, scan], **OPTIONS)
    further = train(scan, start=here, schedule=PHASES[:1])
    for one, other in ((there.model, here), (there.more, further)):
        said, wanted = (
            json.dumps({k: v for k, v in x.header.items() if k not in COURSE}) for x in (one, other)
        )
        assert said == wanted
    # To rounding: what else a process has loaded and where its arrays lie decides the last bit.
    assert there.model.weights.keys() == here.weights.keys()
    for name, weights in here.weights.items():
        np.testing.assert_allclose(there.model.weights[name], weights, rtol=1e-3, atol=1e-4)
    losses = there.model.header["history"]["losses"]
    np.testing.assert_allclose(losses, here.header["history"]["losses"], rtol=1e-4)
    embedding = embed(scan, here, device="cpu")
    np.testing.assert_allclose(there.embedding.channels, embedding.channels, rtol=1e-3, atol=1e-3)
    assert np.isnan(there.embedding.channels[:, 3, 4]).all()
    assert there.embedding.active == embedding.active
    pca = train(scan, preset="pca", embedding=3)
    assert set(there.linear.header) == set(pca.header)


def test_progress_is_told_from_the_start_of_the_process_to_the_last_epoch(
    there: SimpleNamespace,
) -> None:
    messages = [progress.message for progress in there.seen]
    assert messages[0] == "handing the scan to the trainer"
    assert "starting the trainer (0 s)" in messages
    assert there.seen[-1].partial.losses == tuple(there.model.header["history"]["losses"])


def test_cancel_ends_the_process_and_keeps_the_last_epoch(there: SimpleNamespace) -> None:
    (asked,) = there.asked
    assert asked.done < 0.01 * asked.total
    assert not there.process.is_running()
    done = len(load_model(there.checkpoint).header["history"]["losses"])
    assert len(asked.partial.losses) - 1 <= done < 1000


def test_files_of_a_job_go_with_it(there: SimpleNamespace) -> None:
    assert there.files == ["stderr.txt"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_job_whose_process_is_ended_by_others_is_cancelled(
    scan: Scan, temporary: Path, when: str
) -> None:
    trainer = Trainer()

    def report(progress: Progress) -> None:
        if bool(trainers()) == (when == "after"):
            # As a window does that closes while a thread works.
            thread = threading.Thread(target=trainer.end)
            thread.start()
            thread.join()

    with pytest.raises(Cancelled):
        train_in_process(scan, epochs=100_000, device="cpu", report=report, trainer=trainer)
    until(lambda: nothing_left(temporary))


def test_errors_are_those_of_training_here_and_a_crash_is_one_line(
    counts: np.ndarray, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")

    def crash(number: int):
        def report(progress: Progress) -> None:
            for process in trainers():
                os.kill(process.pid, number)

        return report

    negative = Scan.from_array(counts.astype(np.int32) - 5)
    with Trainer() as trainer:
        with pytest.raises(ModelError, match=r"^the trainer was ended by signal SIGKILL .*memory"):
            train_in_process(negative, report=crash(signal.SIGKILL), trainer=trainer)
        # It was not told yet to write where it is; in the next, a report comes when it has been.
        with pytest.raises(
            ModelError, match=r"^the trainer was ended by signal SIG[A-Z]+"
        ) as error:
            train_in_process(negative, report=crash(signal.SIGSEGV), trainer=trainer)
        assert "\n" not in str(error.value)
        with pytest.raises(ScanError) as there:
            train_in_process(negative, device="cpu", trainer=trainer)
    with pytest.raises(ScanError) as here:
        train(negative, device="cpu")
    assert str(there.value) == str(here.value)
    assert type(there.value) is type(here.value)
    until(lambda: nothing_left(temporary))


def test_a_process_that_does_not_stop_is_killed(scan: Scan, temporary: Path) -> None:
    stopped: list[psutil.Process] = []

    def report(progress: Progress) -> None:
        if not stopped and trainers():
            stopped.extend(trainers())
            stopped[0].suspend()
        elif stopped:
            raise Cancelled

    with pytest.raises(Cancelled):
        train_in_process(scan, report=report)
    # Nobody waited for it: it is still there, and cannot end by itself.
    assert stopped[0].is_running()
    until(lambda: nothing_left(temporary))


def test_the_process_ends_with_the_one_that_asked(tmp_path: Path) -> None:
    code = """
import sys
import numpy as np
from napari_ferro4d import Scan
from napari_ferro4d.learn import train_in_process
def report(progress):
    assert "torch" not in sys.modules
    print(flush=True)
scan = Scan.from_array(np.ones((4, 4, 16, 16), np.uint8))
train_in_process(scan, epochs=100_000, report=report)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment
    ) as asks:
        assert asks.stdout is not None
        found: list[psutil.Process] = []
        while not found:
            assert asks.stdout.readline()
            found = psutil.Process(asks.pid).children()
        asks.kill()
    until(lambda: not found[0].is_running() or found[0].status() == psutil.STATUS_ZOMBIE)


def test_a_python_that_cannot_be_started_is_one_line(
    scan: Scan, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(temporary / "no-python"))
    with pytest.raises(ModelError, match="no-python: cannot be started"):
        train_in_process(scan)
    assert not list(temporary.glob("ferro4d-*"))
