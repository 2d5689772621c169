"""What the paper's classifier looks at."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ferro4d import ModelError
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.learn import Model
from napari_ferro4d.learn.networks import PaperClassifier
from napari_ferro4d.learn.occlusion import example_arrays, occlusion_map, occlusion_of


class Corners(torch.nn.Module):
    """Sees class 0 by the upper left pixel, class 1 by the lower right, class 2 by none."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        none = torch.zeros_like(x[:, 0, 0, 0])
        return self.unit * torch.stack([x[:, 0, 0, 0], x[:, 0, -1, -1], none], dim=1)


def corner_patterns() -> tuple[np.ndarray, np.ndarray]:
    patterns = np.zeros((4, 10, 10), np.float32)
    patterns[0, 0, 0] = patterns[1, 0, 0] = 3.0
    patterns[2, -1, -1] = 6.0
    return patterns, np.array([0, 0, 1, 2])


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (3, 2), (4, 3), (None, None)])
def test_a_class_is_lost_where_what_it_is_told_by_is_covered(window, stride):
    patterns, targets = corner_patterns()
    found = occlusion_map(Corners(), patterns, targets, window, stride)
    assert found.shape == (3, 10, 10)
    # From 3 to the mean over the classes, which is 1; the mean over the logits takes a third of it.
    assert found[0, 0, 0] == pytest.approx((3 - 1) * 2 / 3)
    assert found[1, -1, -1] == pytest.approx((6 - 2) * 2 / 3)
    # With the mean comes what speaks for another class.
    assert found[1:, 0, 0] == pytest.approx(1 / 3)
    assert found[[0, 2], -1, -1] == pytest.approx(2 / 3)
    side = window or 1
    found[:, :side, :side] = found[:, -side:, -side:] = 0
    assert not found.any()


def test_a_model_keeps_examples_and_tells_from_them(tmp_path):
    from napari_ferro4d.learn import load_model, save_model
    from napari_ferro4d.learn.model_files import load_network, network_arrays

    rng = np.random.default_rng(0)
    mean = np.full((14, 16, 16), 4.0)
    targets = np.array([0] * 8 + [1] * 6)
    mean[targets == 0, :4, :4] = 40.0
    patterns = np.log1p(rng.poisson(mean).astype(np.float32))
    kept = example_arrays(patterns, targets)
    assert kept["examples.patterns"].shape == (4, 16, 16)
    assert kept["examples.targets"].tolist() == [0, 0, 1, 1]
    counts = np.expm1(kept["examples.patterns"][0].astype(float))
    np.testing.assert_allclose(counts, np.expm1(patterns[:4]).mean(axis=0), rtol=5e-3)

    torch.manual_seed(0)
    network = PaperClassifier(2, 16)
    header = {"preset": "paper", "network": {"classes": 2, "size": 16}}
    model = Model("classifier", header, {**network_arrays(network), **kept})
    load_network(PaperClassifier(2, 16), model.weights)
    model = load_model(save_model(model, tmp_path / "m.safetensors"))
    found = occlusion_of(model, device="cpu")
    assert found.shape == (2, 16, 16)
    assert found.dtype == np.float32
    assert np.abs(found[0, :4, :4]).mean() > 3 * np.abs(found[0, 8:, 8:]).mean()

    with pytest.raises(ModelError, match="no example patterns"):
        occlusion_of(Model("classifier", header, network_arrays(network)))


def test_labels_count_by_their_weight_in_the_examples():
    patterns = np.log1p(np.array([[[0.0]], [[9.0]]], np.float32))
    kept = example_arrays(
        patterns[[0, 1, 0, 1]],
        np.zeros(4, int),
        np.array([2.0, 1.0] * 2),
    )
    np.testing.assert_allclose(np.expm1(kept["examples.patterns"].astype(float)), 3, rtol=1e-3)


def test_it_can_be_cancelled():
    def cancel(progress: Progress) -> None:
        if progress.done:
            raise Cancelled

    with pytest.raises(Cancelled):
        occlusion_map(Corners(), *corner_patterns(), report=cancel)
