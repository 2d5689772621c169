"""Work in a process of its own: the same result, and an end to it whatever happens."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import dask.array as da
import numpy as np
import psutil
import pytest

from helpers import worker_jobs
from helpers.trainers import trainers
from napari_ferro4d import (
    LabelsError,
    ModelError,
    Scan,
    ScanError,
    classify,
    embed,
    load_model,
    open_scan,
    train,
)
from napari_ferro4d.corrections import correct, not_negative
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.learn import Phase, Worker, devices
from napari_ferro4d.learn.worker import pickled


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
    return pickle.loads(pickled(scan, folder, None))


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
    message = pickled(open_scan(tmp_path / "scan.npy"), tmp_path, None)
    np.save(tmp_path / "scan.npy", counts[:, ::-1])
    with pytest.raises(ScanError, match=r"scan\.npy: .* open it again"):
        pickle.loads(message)


def test_a_scan_in_memory_larger_than_the_disk_is_an_error(temporary: Path) -> None:
    scan = Scan.from_array(da.zeros((10**5, 10**5, 256, 256), chunks=(1, 100, -1, -1)))
    with pytest.raises(ScanError, match="save the scan and open the file"):
        pickled(scan, temporary, None)


# --- the process


@pytest.mark.parametrize("job", [worker_jobs.no_memory, worker_jobs.no_memory_for_the_answer])
def test_memory_that_runs_out_is_one_line(job: Callable[[], None], temporary: Path) -> None:
    with (
        Worker() as worker,
        pytest.raises(
            ModelError, match=r"^the trainer failed \(MemoryError: .*\); close other programs"
        ) as error,
    ):
        worker.run(job)
    assert "\n" not in str(error.value)
    until(lambda: nothing_left(temporary))


def test_work_that_never_asks_whether_to_stop_is_cancelled_at_once(temporary: Path) -> None:
    asked: list[float] = []

    def report(progress: Progress) -> None:
        if progress.message == "stuck":
            asked.append(time.monotonic())
            raise Cancelled

    with pytest.raises(Cancelled), Worker() as worker:
        worker.run(worker_jobs.stuck, report=report)
    assert time.monotonic() - asked[0] < 1
    until(lambda: nothing_left(temporary))


SCRIPT = """
import sys
from napari_ferro4d.learn import Worker, devices
print("once", __name__)
with Worker() as worker:
    print(worker.run(devices)[:2], "torch" in sys.modules)
"""


def test_no_script_is_run_a_second_time(tmp_path: Path) -> None:
    """Whether it is a file, a module, or typed; none of them has a guard."""
    (tmp_path / "macros").mkdir()
    (tmp_path / "macros" / "macro.py").write_text(SCRIPT)
    (tmp_path / "pickle.py").write_text("1 / 0\n")  # a file of the user's that nobody imports
    path = os.pathsep.join(filter(None, (str(tmp_path / "macros"), os.environ.get("PYTHONPATH"))))
    for how in (["macros/macro.py"], ["-m", "macro"], ["-i", "-q"]):
        run = subprocess.run(
            [sys.executable, "-P", *how],
            input=f"{SCRIPT}\n" if "-i" in how else "",
            stdout=subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
            timeout=120,
        )
        assert run.stdout.splitlines() == ["once __main__", "['auto', 'cpu'] False"]


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

    with pytest.MonkeyPatch.context() as patch, Worker() as worker:
        patch.setattr(tempfile, "tempdir", str(temporary))
        patch.syspath_prepend(path)
        patch.chdir(folder)
        kept = "kept.safetensors"
        model = worker.run(train, [scan, scan], **OPTIONS, checkpoint=kept, report=seen.append)
        (process,) = trainers()
        embedding = worker.run(embed, scan, model, device="cpu")
        more = worker.run(train, scan, start=model, schedule=PHASES[:1])
        linear = worker.run(train, scan, preset="pca", embedding=3)
        present = worker.run(devices)
        assert trainers() == [process]
        files = [path.name for path in temporary.rglob("*") if path.is_file()]
        with pytest.raises(Cancelled):
            worker.run(train, scan, epochs=100_000, device="cpu", report=cancel, checkpoint=kept)
        until(lambda: nothing_left(temporary))
    return SimpleNamespace(
        model=model,
        embedding=embedding,
        more=more,
        linear=linear,
        devices=present,
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
    assert there.devices == devices()


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


@pytest.mark.parametrize("when", ["handing", "starting", "epoch"])
def test_a_job_whose_process_is_ended_by_others_is_cancelled(
    scan: Scan, temporary: Path, when: str
) -> None:
    worker = Worker()

    def report(progress: Progress) -> None:
        if when in progress.message:
            # As a window does that closes while a thread works.
            thread = threading.Thread(target=worker.end)
            thread.start()
            thread.join()

    with pytest.raises(Cancelled):
        worker.run(train, scan, epochs=100_000, device="cpu", report=report)
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
    with Worker() as worker:
        with pytest.raises(ModelError, match=r"^the trainer was ended by signal SIGKILL .*memory"):
            worker.run(train, negative, report=crash(signal.SIGKILL))
        # It was not told yet to write where it is; in the next, a report comes when it has been.
        with pytest.raises(
            ModelError, match=r"^the trainer was ended by signal SIG[A-Z]+"
        ) as error:
            worker.run(train, negative, report=crash(signal.SIGSEGV))
        assert "\n" not in str(error.value)
        with pytest.raises(ScanError) as there:
            worker.run(train, negative, device="cpu")
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

    with pytest.raises(Cancelled), Worker() as worker:
        worker.run(train, scan, report=report)
    # Nobody waited for it: it is still there, and cannot end by itself.
    assert stopped[0].is_running()
    until(lambda: nothing_left(temporary))


def test_the_process_ends_with_the_one_that_asked(tmp_path: Path) -> None:
    code = """
import sys
import numpy as np
from napari_ferro4d import Scan
from napari_ferro4d.learn import Worker, train
def report(progress):
    assert "torch" not in sys.modules
    print(flush=True)
scan = Scan.from_array(np.ones((4, 4, 16, 16), np.uint8))
Worker().run(train, scan, epochs=100_000, report=report)
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
        Worker().run(train, scan)
    assert not list(temporary.glob("ferro4d-*"))


# --- one process for several tests; the last of the file, as others count processes


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as one:
        yield one


def test_progress_arrives_as_it_was_and_takes_little_of_the_time(worker: Worker) -> None:
    seen: list[Progress] = []
    epochs = 20_000
    count = worker.run(worker_jobs.states, epochs, 2.0, report=seen.append)
    told = {id(one): one for one in seen if one.partial is not None}
    assert 2 <= len(told) <= 2.0 / 0.1 + 2
    assert count > 100
    last = seen[-1]
    assert replace(last, partial=None) == Progress(epochs, epochs + 1, "training", 1.5)
    state = last.partial
    assert len(state.losses) == epochs
    assert state.losses == state.learning_rates == state.terms["activity"]
    assert (state.epoch, state.active) == (epochs, (1, 2))
    np.testing.assert_array_equal(state.thumbnails, np.ones((6, 32, 30), np.float32))


def test_what_is_printed_does_not_come_between_answers(worker: Worker) -> None:
    assert worker.run(worker_jobs.talkative) == ""
    assert worker.run(worker_jobs.talkative) == ""


def test_two_workers_do_not_meet(worker: Worker) -> None:
    worker.run(devices)  # so that there is one
    together: list[int] = []

    def work() -> None:
        count = worker.run(worker_jobs.states, 10, 3.0, report=report)
        together.append(count)

    def report(progress: Progress) -> None:
        together.append(len(trainers()))

    thread = threading.Thread(target=work)
    thread.start()
    with Worker() as other, pytest.raises(ModelError, match="MemoryError"):
        other.run(worker_jobs.no_memory)
    thread.join()
    *processes, count = together
    assert max(processes) == 2
    assert count > 2


def test_classes_and_errors_of_labels_are_those_of_classifying_here(
    scan: Scan, worker: Worker
) -> None:
    labels = np.zeros(scan.scan_shape, np.uint8)
    labels[::3, 1], labels[::3, 9] = 1, 2
    options = {"device": "cpu", "classes": {1: "up", 2: "down"}}
    there = worker.run(classify, scan, labels, **options)
    again = worker.run(classify, scan, model=there.model, device="cpu")
    with pytest.raises(LabelsError) as refused:
        worker.run(classify, scan, labels == 1, device="cpu")
    here = classify(scan, labels, **options)
    np.testing.assert_array_equal(there.prediction, here.prediction)
    np.testing.assert_allclose(there.probability, here.probability, atol=1e-3)
    np.testing.assert_allclose(there.novelty, here.novelty, rtol=1e-3)
    assert there.why_no_figure == here.why_no_figure != ""
    assert there.spatial_strength == here.spatial_strength
    np.testing.assert_array_equal(again.prediction, here.prediction)
    assert there.class_names == here.class_names == {1: "up", 2: "down"}
    with pytest.raises(LabelsError) as expected:
        classify(scan, labels == 1, device="cpu")
    assert str(refused.value) == str(expected.value)
