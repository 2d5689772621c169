"""Variations of patterns: dose, descan, intensity, counting noise, turns and mirrors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_ferro4d import LabelsError
from napari_ferro4d.learn import Symmetry
from napari_ferro4d.learn.data import Augment


def varied(augment: Augment, counts: torch.Tensor) -> torch.Tensor:
    """Return counts ``[n, ky, kx]`` of variations of counts."""
    torch.manual_seed(0)
    targets = torch.zeros(len(counts), dtype=torch.long)
    return torch.expm1(augment(torch.log1p(counts)[:, None], targets)[0])[:, 0]


def test_variations_keep_the_mean_and_have_the_noise_of_counting():
    nine = torch.full((4000, 4, 4), 9.0)
    for shots, variance in ((1, 9.0), (9, 1.0), (0, 0.0)):
        counts = varied(Augment((1,), shots, dose=1, gain=0), nine)
        assert float(counts.mean()) == pytest.approx(9.0, rel=0.01)
        assert float(counts.var()) == pytest.approx(variance, rel=0.05, abs=1e-6)


def test_a_lower_dose_has_its_share_of_the_counts_and_its_own_noise():
    hundred = torch.full((4000, 8, 8), 100.0)
    counts = varied(Augment((1,), dose=0.25, gain=0, shift=0), hundred)
    share = counts.mean(dim=(1, 2)) / 100
    assert 0.2 < float(share.min()) < 0.27
    assert 0.9 < float(share.max()) < 1.1
    assert float(share.log().mean()) == pytest.approx(np.log(0.25) / 2, abs=0.02)
    # Which electrons come, c p (1 - p), and that their number is counted, c p.
    noise = counts.var(dim=(1, 2)) / 100
    assert float((noise / (share * (2 - share))).mean()) == pytest.approx(1, abs=0.03)
    unchanged = varied(Augment((1,), shots=0, dose=0.25, gain=0, shift=0), hundred)
    torch.testing.assert_close(unchanged, hundred)


def test_the_intensity_varies_by_the_gain():
    hundred = torch.full((4000, 2, 2), 100.0)
    counts = varied(Augment((1,), shots=0, gain=0.1, shift=0), hundred)
    assert float((counts / 100).log().std()) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("shift", [0.3, 2.0])
def test_a_shift_moves_the_centre_of_mass_by_at_most_that_much(shift):
    counts = torch.zeros(200, 9, 9)
    counts[:, 4, 4] = 100.0
    moved = varied(Augment((1,), shots=0, gain=0, shift=shift), counts)
    for axis in (1, 2):
        com = (moved.sum(3 - axis) * torch.arange(9.0)).sum(1) / moved.sum((1, 2)) - 4
        assert float(com.abs().max()) <= shift + 1e-4
        assert float(com.max()) > 0.6 * shift > -0.6 * shift > float(com.min())


def test_patterns_are_turned_about_the_beam_and_their_classes_with_them():
    symmetry = Symmetry.parse(["rot90: 2->3, 3->4, 4->5, 5->2", "mirror-y: 2->2, 3->5, 4->4, 5->3"])
    rng = np.random.default_rng(0)
    pattern = rng.poisson(5.0, (16, 16)).astype(np.float32)
    augment = Augment((2, 3, 4, 5), shots=0, gain=0, shift=0, symmetry=symmetry, centre=(8.0, 6.0))
    inputs = torch.from_numpy(np.log1p(pattern)).expand(200, 1, 16, 16)
    torch.manual_seed(0)
    turned, targets = augment(inputs, torch.tensor([0, 1, 2, 3] * 50))
    inside = np.s_[5:12, 3:10]  # where nothing comes in from outside
    expected = {o.turn(pattern, (8.0, 6.0))[inside].tobytes(): o for o in symmetry.operations}
    seen = set()
    for number, (after, target) in enumerate(zip(turned[:, 0], targets.tolist(), strict=True)):
        counts = np.rint(np.expm1(after.numpy())).astype(np.float32)[inside]
        operation = expected[counts.tobytes()]
        assert 2 + target == operation.becomes[2 + number % 4]
        seen.add(operation.name)
    assert len(seen) == 8


def test_classes_that_the_symmetry_does_not_know_are_explained():
    with pytest.raises(LabelsError, match="class 2 is labelled"):
        varied(Augment((1, 2), symmetry=Symmetry.parse("rot90: 1->1")), torch.ones(1, 4, 4))
