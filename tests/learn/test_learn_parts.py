"""The parts of learning: preprocessing, losses, networks, schedules, labels, neighbourhoods."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from napari_ferro4d import LabelsError, ModelError, Scan, ScanError, train
from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.learn import PRESETS, Phase, devices
from napari_ferro4d.learn.compute import (
    call_between_layers,
    choose_device,
    import_torch,
    single_thread,
)
from napari_ferro4d.learn.data import (
    Augment,
    Neighbourhood,
    Preprocess,
    check_labels,
    compact_size,
    fit_preprocess,
    folds_of,
    held_out,
    prepare,
    read_patterns,
    read_samples,
)
from napari_ferro4d.learn.networks import (
    CompactAutoencoder,
    PaperAutoencoder,
    PaperClassifier,
    principal_components,
)
from napari_ferro4d.learn.training import (
    activity,
    divergence,
    learning_rate,
    phase_at,
    resize,
    similarity,
    temperature,
    total_epochs,
)

RNG = np.random.default_rng(0)


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


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


# Preprocessing


def test_counts_are_binned_before_the_logarithm():
    counts = RNG.poisson(3.0, (2, 8, 8)).astype(np.uint16)
    result = prepare(counts, Preprocess((8, 8), 2, 4))
    for i in range(4):
        for j in range(4):
            inside = counts[1, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].sum()
            assert result[1, i, j] == pytest.approx(math.log(1 + inside), rel=1e-6)
    assert result.dtype == np.float32


def test_large_counts_do_not_overflow():
    counts = np.full((1, 4, 4), 65535, np.uint16)
    assert prepare(counts, Preprocess((4, 4), 2, 2))[0, 0, 0] == pytest.approx(math.log(1 + 262140))


def test_a_small_detector_is_padded_all_around():
    result = prepare(np.ones((1, 4, 6), np.uint8), fit_preprocess((4, 6), 8))
    assert np.count_nonzero(result) == 24
    assert np.count_nonzero(result[0, 2:6, 1:7]) == 24


def test_a_large_detector_is_cropped_about_the_beam():
    pattern = np.zeros((1, 20, 20), np.uint8)
    pattern[0, 8, 12] = 1
    how = Preprocess((20, 20), 1, 5)
    assert prepare(pattern, how, centre=(8.0, 12.0))[0, 2, 2] > 0
    # A beam in the corner leaves the window on the detector.
    pattern[0, 0, 19] = 1
    assert prepare(pattern, how, centre=(0.0, 19.0))[0, 0, 4] > 0


@pytest.mark.parametrize(
    ("detector", "binning"), [((256, 256), 1), ((512, 512), 2), ((300, 200), 1), ((128, 128), 1)]
)
def test_any_detector_becomes_256_for_the_paper(detector, binning):
    how = fit_preprocess(detector, 256)
    assert how.binning == binning
    assert prepare(np.ones((1, *detector), np.uint8), how).shape == (1, 256, 256)


@pytest.mark.parametrize(
    ("detector", "size"), [(8, 16), (32, 32), (64, 32), (96, 48), (128, 64), (256, 64), (515, 64)]
)
def test_the_compact_input_is_at_most_64(detector, size):
    assert compact_size((detector, detector)) == size


@pytest.mark.parametrize(("bad", "word"), [(-1.0, "negative"), (np.nan, "NaN"), (np.inf, "inf")])
def test_impossible_counts_are_refused_by_name(bad, word):
    patterns = np.ones((2, 4, 4), np.float32)
    patterns[1, 2, 3] = bad
    with pytest.raises(ScanError, match=f"my.npy: .*{word}"):
        prepare(patterns, Preprocess((4, 4), 1, 4), where="my.npy")


def test_preprocessing_survives_the_header():
    how = Preprocess((100, 90), 2, 48)
    assert Preprocess.from_json(how.to_json()) == how


# Reading


def test_patterns_are_read_in_scan_order_whatever_the_chunks():
    import dask.array as da

    counts = RNG.poisson(4.0, (5, 7, 16, 16)).astype(np.uint16)
    scan = Scan.from_array(da.from_array(counts, chunks=(2, 3, 16, 16)))
    how = Preprocess((16, 16), 1, 16)
    expected = np.log1p(counts.reshape(35, 16, 16), dtype="f4")
    assert np.array_equal(read_patterns([scan], how).patterns, expected)
    chosen = RNG.random((5, 7)) < 0.3
    samples = read_samples(scan, chosen, how)
    assert np.array_equal(samples.labelled, np.log1p(counts[chosen], dtype="f4"))
    assert len(samples.sampled) == 35


def test_a_dark_scan_has_nothing_to_teach():
    scan = Scan.from_array(np.zeros((2, 2, 8, 8), np.uint8))
    with pytest.raises(ScanError, match="every count is zero"):
        train(scan, epochs=1)


# Losses, against plain loops over the batch as the reference has them


def batch() -> torch.Tensor:
    embedding = torch.relu(torch.from_numpy(RNG.normal(size=(6, 5))))
    embedding[2] = 0.0
    return embedding


def test_activity_is_the_l1_norm_of_the_batch_over_its_length():
    z = batch()
    assert float(activity(z)) == pytest.approx(sum(abs(float(v)) for v in z.ravel()) / 6)


def test_similarity_skips_zero_vectors_but_divides_by_the_whole_batch():
    z = batch()
    rows = [row for row in z.numpy() if row.sum() != 0]
    total = sum(sum(a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in rows) - 1 for a in rows)
    assert float(similarity(z)) == pytest.approx(total / 12)


def test_divergence_is_over_non_zero_activations_only():
    z = batch()
    total = 0.0
    for row in z.numpy():
        on = row[row != 0]
        total += sum(abs(a - b) for a in on for b in on) / 2
    assert float(divergence(z)) == pytest.approx(total / 6)


@pytest.mark.parametrize("term", [activity, similarity, divergence])
def test_gradients_are_right_and_finite_for_dead_vectors(term):
    z = batch().clamp_min(0)
    z.requires_grad_()
    term(z).backward()
    assert torch.isfinite(z.grad).all()
    alive = (z.detach() + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(term, alive)


# Networks


def test_the_papers_networks_have_the_papers_number_of_parameters():
    assert parameters(PaperAutoencoder(32)) == 4_700_770
    assert parameters(PaperClassifier(3)) == 2_120_963


def test_the_papers_autoencoder_maps_256_to_256_through_a_sparse_embedding():
    network = PaperAutoencoder(32, filters=2)
    with torch.inference_mode():
        z = network.encode(torch.rand(1, 1, 256, 256))
        assert z.shape == (1, 32)
        assert z.min() >= 0
        assert network.decode(z).shape == (1, 1, 256, 256)


@pytest.mark.parametrize("size", [16, 32, 48, 64])
def test_the_compact_network_starts_as_a_principal_component_analysis(size):
    torch.manual_seed(0)
    factors, patterns = torch.randn(40, 3), torch.randn(3, size * size)
    x = (factors @ patterns + 2.0).view(40, 1, size, size)
    network = CompactAutoencoder(8, size)
    network.start(x)
    with torch.inference_mode():
        z = network.encode(x)
        assert z.shape == (40, 8)
        assert z.min() >= 0
        # Three factors fit into four pairs of channels without loss.
        torch.testing.assert_close(network.decode(z), x, rtol=1e-3, atol=1e-2)


def test_principal_components_leave_out_what_does_not_vary():
    centred = torch.outer(torch.linspace(-1, 1, 9), torch.tensor([0.6, 0.8, 0.0]))
    axes, deviations = principal_components(centred, 3)
    assert axes.shape == (3, 1)
    assert axes[:, 0].abs().tolist() == pytest.approx([0.6, 0.8, 0.0], abs=1e-5)
    assert float(deviations[0]) == pytest.approx(float(centred.square().sum(1).mean().sqrt()))


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


# Schedules


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


# Labels


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.ones((3, 4), int), r"3 x 4.* 4 x 4"),
        (np.ones((4, 4)), "float64"),
        (-np.ones((4, 4), int), "from -1"),
        (np.zeros((4, 4), int), "no position is labelled"),
        (np.eye(4, dtype=int) * 3, "only class 3"),
        (np.eye(4, dtype=int) * 70_000, "70000"),
    ],
)
def test_unusable_labels_are_explained(labels, words):
    with pytest.raises(LabelsError, match=words):
        check_labels(labels, (4, 4))


def test_folds_are_blocks_of_the_scan():
    positions = np.argwhere(RNG.random((40, 24)) < 0.2)
    fold = folds_of(positions, (40, 24), 5, seed=0)
    tile = positions // 5
    for a in range(len(positions)):
        same = (tile == tile[a]).all(axis=1)
        assert (fold[same] == fold[a]).all()
    assert np.bincount(fold).min() > 0.6 * len(positions) / 5


def test_no_network_is_robbed_of_a_class():
    targets = np.array([0] * 20 + [1, 1, 2])
    fold = np.array([0, 1, 2, 3] * 5 + [4, 4, 1])
    held = held_out(fold, targets, 5)
    for member in held:
        assert set(targets[~member]) == {0, 1, 2}
    assert held[:, :20].any(axis=0).all()
    assert not held[:, 20:].any()


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (4000, 3))
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = torch.tensor([rng.choice(3, p=p) for p in share])
    assert temperature(torch.tensor(3 * logits).float(), truth) == pytest.approx(3.0, rel=0.1)


# Neighbourhoods and variations


@pytest.mark.parametrize("reduce", ["mean", "max"])
@pytest.mark.parametrize("radius", [0, 1, 2])
def test_a_neighbourhood_is_the_square_of_positions_that_exist(reduce, radius):
    import dask.array as da

    counts = RNG.poisson(5.0, (7, 6, 2, 3)).astype(np.uint8)
    scan = Scan.from_array(da.from_array(counts, chunks=(3, 4, 2, 3)))
    result = Neighbourhood(radius, reduce).of(scan).data.compute()
    for y in range(7):
        for x in range(6):
            around = counts[
                max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1
            ]
            expected = getattr(around, reduce)(axis=(0, 1))
            np.testing.assert_allclose(result[y, x], expected, rtol=1e-6)


def test_an_impossible_neighbourhood_is_refused():
    with pytest.raises(ScanError, match="median"):
        Neighbourhood(1, "median")
    with pytest.raises(ScanError, match="-1"):
        Neighbourhood(-1)


def test_variations_keep_the_mean_and_have_the_noise_of_counting():
    torch.manual_seed(0)
    x = torch.log1p(torch.full((4000, 1, 4, 4), 9.0))
    for shots, variance in ((1, 9.0), (9, 1.0), (0, 0.0)):
        counts = torch.expm1(Augment(shots, gain=0.0, shift=0.3)(x))
        assert float(counts.mean()) == pytest.approx(9.0, rel=0.01)
        assert float(counts.var()) == pytest.approx(variance, rel=0.05, abs=1e-6)


def test_a_shift_moves_the_centre_of_mass_by_at_most_that_much():
    torch.manual_seed(0)
    counts = torch.zeros(200, 1, 9, 9)
    counts[:, 0, 4, 4] = 100.0
    moved = torch.expm1(Augment(0, gain=0.0, shift=0.3)(torch.log1p(counts)))[:, 0]
    com = (moved.sum(2) * torch.arange(9.0)).sum(1) / moved.sum((1, 2)) - 4
    assert float(com.abs().max()) <= 0.3 + 1e-4
    assert float(com.max()) > 0.2 > -0.2 > float(com.min())


def test_a_header_that_describes_no_network_is_a_model_error():
    from napari_ferro4d.learn.networks import build_autoencoder, build_classifier

    for build in (build_autoencoder, build_classifier):
        with pytest.raises(ModelError, match="train it again"):
            build({"preset": "huge", "network": {}})
