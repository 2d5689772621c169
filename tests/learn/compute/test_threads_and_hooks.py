"""What learning asks of torch: that it is there, threads, and a look between layers."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from napari_ferro4d import ScanError
from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.learn import devices
from napari_ferro4d.learn.compute import (
    call_between_layers,
    choose_device,
    import_torch,
    single_thread,
)
from napari_ferro4d.learn.networks import PaperAutoencoder


def test_the_package_imports_without_torch():
    code = "import sys, napari_ferro4d.learn; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_torch_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ScanError, match=r'pip install "napari-ferro4d\[learn\]"'):
        import_torch()


def test_devices_are_offered_and_absent_ones_refused():
    assert devices()[:2] == ["auto", "cpu"]
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(ScanError, match=r"cuda:99.*not on this machine"):
        choose_device("cuda:99")


def test_progress_comes_from_within_the_backward_pass_and_can_cancel():
    network = PaperAutoencoder(4, size=16, filters=3, pooling=(2, 2))
    looks = []

    def look() -> None:
        looks.append(cancel)
        if cancel:
            raise Cancelled

    cancel = False
    with call_between_layers(network, look, torch.device("cpu"), every_s=-1.0):
        loss = network.decode(network.encode(torch.rand(2, 1, 16, 16))).sum()
        assert len(looks) > 10
        cancel = True
        with pytest.raises(Cancelled):
            loss.backward()
    assert looks.count(True) == 1
    network.encode(torch.rand(2, 1, 16, 16))
    assert looks.count(True) == 1


def test_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    with single_thread(), single_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
