"""Linear baselines: what is fitted is what numpy and scipy find, and it is a model like others."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import nnls

from napari_ferro4d import Scan, ScanError, embed, train
from napari_ferro4d.cli import main
from napari_ferro4d.jobs import Cancelled
from napari_ferro4d.learn import LINEAR, load_model, save_model, traverse
from napari_ferro4d.learn.data import Preprocess, prepare
from napari_ferro4d.results import read_results

SIDE = 16
SHAPE = (10, 16)


def scan_of(values, shape=SHAPE, **more):
    """Return a scan whose patterns become `values` ``[n, pixel]`` in log(1 + counts)."""
    counts = np.expm1(np.asarray(values, np.float64)).astype(np.float32)
    return Scan.from_array(counts.reshape(*shape, SIDE, SIDE), **more)


def inputs_of(scan, model):
    """Return what the model sees of every pattern, ``[n, pixel]``."""
    how = Preprocess.from_json(model.header["preprocess"])
    seen = prepare(np.asarray(scan.data), how)
    return seen.reshape(-1, how.size**2).astype(np.float64)


def mixed(rng, sources, components, noise=0.0):
    """Return patterns ``[n, pixel]``: 2, and `sources` ``[n, k]`` of random bright components."""
    axes = rng.random((sources.shape[1], SIDE**2)) * components
    return 2 + sources @ axes + noise * rng.standard_normal((len(sources), SIDE**2))


def flat(embedding):
    """Return channels as ``[n, channel]``."""
    return embedding.channels.reshape(len(embedding.channels), -1).T.astype(np.float64)


def matches(found, planted):
    """Return for every planted column the correlation of the column found that is most like it."""
    both = np.corrcoef(found.T, planted.T)[: found.shape[1], found.shape[1] :]
    return np.abs(both).max(axis=0)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def noisy(rng):
    """A scan of six components, each weaker than the one before, in noise."""
    sources = rng.standard_normal((SHAPE[0] * SHAPE[1], 6)) * 0.4 * 0.7 ** np.arange(6)
    sources = np.abs(sources)
    return scan_of(mixed(rng, sources, 1.0, noise=0.02))


def test_principal_components_are_those_of_the_singular_value_decomposition(noisy):
    model = train(noisy, preset="pca", embedding=6, device="cpu")
    seen = inputs_of(noisy, model)
    mean = seen.mean(axis=0)
    left, lengths, axes = np.linalg.svd(seen - mean, full_matrices=False)
    sign = np.sign((axes[:6] * model.weights["components"]).sum(axis=1))
    np.testing.assert_allclose(model.weights["mean"], mean, atol=1e-5)
    np.testing.assert_allclose(model.weights["components"], sign[:, None] * axes[:6], atol=1e-4)
    scores = flat(embed(noisy, model, device="cpu"))
    np.testing.assert_allclose(scores, (left * lengths)[:, :6] * sign, atol=2e-4)
    # The pixel that a component is most about is bright in it.
    most = np.abs(model.weights["components"]).argmax(axis=1)
    assert (model.weights["components"][np.arange(6), most] > 0).all()
    history = model.header["history"]
    assert history["losses"] == [pytest.approx((lengths[6:] ** 2).sum() / seen.size, rel=1e-4)]


def test_independent_components_are_the_sources(rng):
    # Many, since what is found is uncorrelated and a sample of independent numbers is not quite.
    n = 70 * 80
    sources = np.stack(
        [rng.random(n), rng.exponential(0.3, n), (rng.random(n) < 0.15) * 1.0], axis=1
    )
    scan = scan_of(mixed(rng, sources, [[0.5], [1.0], [0.7]], noise=0.005), (70, 80))
    model = train(scan, preset="ica", embedding=3, device="cpu")
    found = flat(embed(scan, model, device="cpu"))
    assert matches(found, sources).min() > 0.99
    pca = train(scan, preset="pca", embedding=3, device="cpu")
    assert matches(flat(embed(scan, pca, device="cpu")), sources).min() < 0.9
    # What few positions show is bright; a channel is the length of its share of the pattern.
    centred = found - found.mean(axis=0)
    assert ((centred**3).mean(axis=0) > -0.05 * centred.std(axis=0) ** 3).all()
    np.testing.assert_allclose(np.linalg.norm(model.weights["components"], axis=1), 1, rtol=1e-5)
    assert (np.diff(found.std(axis=0)) <= 0).all()


def test_non_negative_components_are_those_that_patterns_were_added_from(rng):
    n = 20 * 30
    # Positions and pixels that only one of the components reaches make them unique.
    sources = rng.random((n, 3)) * (rng.random((n, 3)) < 0.5)
    sources[:3] = np.eye(3)
    axes = rng.random((3, SIDE**2)) * (rng.random((3, SIDE**2)) < 0.4)
    scan = scan_of(sources @ axes, (20, 30))
    model = train(scan, preset="nmf", embedding=3, device="cpu")
    found = flat(embed(scan, model, device="cpu"))
    assert matches(found, sources).min() > 0.98
    assert matches(model.weights["components"].T.astype(float), axes.T).min() > 0.98
    components = model.weights["components"].astype(np.float64)
    assert (components >= 0).all()
    # The channels of a pattern are the least-squares solution without negative ones.
    wanted = np.array([nnls(components.T, one)[0] for one in inputs_of(scan, model)])
    assert (wanted == 0).mean() > 0.05
    np.testing.assert_allclose(found, wanted, atol=1e-4 * wanted.max())


@pytest.mark.parametrize("preset", LINEAR)
def test_a_model_embeds_another_scan_from_its_file_and_decodes(noisy, rng, tmp_path, preset):
    model = train(noisy, preset=preset, embedding=4, device="cpu")
    assert model.header["network"] == {"embedding": 4, "size": SIDE}
    loaded = load_model(save_model(model, tmp_path / "m.safetensors"))
    assert loaded.header == model.header
    np.testing.assert_array_equal(
        embed(noisy, loaded, device="cpu").channels, embed(noisy, model, device="cpu").channels
    )
    missing = np.zeros((5, 7), bool)
    missing[4, 3:] = True
    other = scan_of(rng.random((35, SIDE**2)), (5, 7))
    there = embed(other, loaded, device="cpu").channels
    part = Scan.from_array(np.asarray(other.data), missing=missing)
    here = embed(part, loaded, device="cpu").channels
    assert np.isnan(here[:, missing]).all()
    np.testing.assert_array_equal(here[:, ~missing], there[:, ~missing])
    # What is decoded of an embedding is the least-squares approximation of the pattern.
    at = there[:, 2, 2]
    (decoded,) = traverse(loaded, 1, [at[1]], at=at)
    seen = inputs_of(other, model).reshape(5, 7, -1)[2, 2]
    error = np.log1p(decoded).ravel() - seen
    used = at > 0 if preset == "nmf" else slice(None)
    gradient = model.weights["components"][used].astype(float) @ error
    np.testing.assert_allclose(gradient, 0, atol=2e-3)


@pytest.mark.parametrize("preset", LINEAR)
def test_the_seed_decides(noisy, preset):
    models = [train(noisy, preset=preset, embedding=3, seed=5, device="cpu") for _ in range(2)]
    for name, values in models[0].weights.items():
        np.testing.assert_array_equal(values, models[1].weights[name])


@pytest.mark.parametrize("preset", LINEAR)
def test_few_patterns_have_few_components(rng, preset):
    line = scan_of(rng.random((9, SIDE**2)) + 1, (1, 9))
    model = train(line, preset=preset, device="cpu")
    channels = model.header["network"]["embedding"]
    # Nine patterns about their mean span eight directions.
    assert channels == (9 if preset == "nmf" else 8)
    found = embed(line, model, device="cpu")
    assert found.channels.shape == (channels, 1, 9)
    assert np.isfinite(found.channels).all()
    # Exact, but for the non-negative ones, which are approached batch by batch.
    share = 0.2 if preset == "nmf" else 1e-6
    assert model.header["history"]["losses"][0] < share * inputs_of(line, model).var()


@pytest.mark.parametrize("preset", LINEAR)
def test_two_scans_share_one_model(noisy, rng, preset):
    other = scan_of(rng.random((12, SIDE**2)), (3, 4))
    model = train([noisy, other], preset=preset, embedding=3, device="cpu")
    assert [scan["shape"][:2] for scan in model.header["scans"]] == [[*SHAPE], [3, 4]]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (np.full((3, 4, 8, 8), 6, np.uint8), "all patterns are the same"),
        (np.full((1, 1, 8, 8), 6, np.uint8), "all patterns are the same"),
        (np.zeros((3, 4, 8, 8), np.uint8), "every count is zero"),
        (np.full((3, 4, 8, 8), -1.0, np.float32), "negative"),
    ],
)
@pytest.mark.parametrize("preset", LINEAR)
def test_what_has_no_components_is_one_clear_error(preset, counts, words):
    with pytest.raises(ScanError, match=words):
        train(Scan.from_array(counts), preset=preset, device="cpu")


@pytest.mark.parametrize(
    "given",
    [
        {"epochs": 3},
        {"schedule": "auto"},
        {"variational": True},
        {"divergence": "text"},
        {"resume": "m.safetensors"},
    ],
    ids=lambda given: next(iter(given)),
)
def test_what_only_a_training_has_is_refused(noisy, given):
    with pytest.raises(ScanError, match=f"'pca' is fitted.*{next(iter(given))}"):
        train(noisy, preset="pca", device="cpu", **given)


def test_a_linear_model_is_no_start_of_a_training(noisy):
    model = train(noisy, preset="pca", embedding=3, device="cpu")
    with pytest.raises(ScanError, match="start"):
        train(noisy, preset="pca", start=model, device="cpu")
    with pytest.raises(ScanError, match="pca"):
        train(noisy, start=model, epochs=1, device="cpu")


def test_one_of_several_processes_is_refused(noisy, monkeypatch):
    addresses = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in addresses.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ScanError, match="one process"):
        train(noisy, preset="nmf", device="cpu")


@pytest.mark.parametrize("preset", LINEAR)
def test_progress_is_told_and_every_part_can_be_cancelled(noisy, preset):
    told = []
    train(noisy, preset=preset, embedding=4, device="cpu", report=told.append)
    messages = list(dict.fromkeys(progress.message for progress in told))
    assert messages[0] == "reading patterns"
    assert messages[-1] == "embedding patterns"
    assert any("fitting" in message for message in messages)
    state = told[-1].partial
    assert state.active[0] > 0
    assert state.thumbnails.shape[1:] == SHAPE

    def cancel_at(message):
        def report(progress):
            if progress.message == message and progress.done > 0:
                raise Cancelled

        return report

    for message in messages:
        with pytest.raises(Cancelled):
            train(noisy, preset=preset, embedding=4, device="cpu", report=cancel_at(message))


def test_the_commands_fit_and_embed(noisy, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("scan.npy", np.asarray(noisy.data))
    given = ["--preset", "pca", "--embedding", "5", "--json"]
    assert main(["train", "scan.npy", "-o", "m.safetensors", *given]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["preset"] == "pca"
    assert main(["embed", "scan.npy", "--model", "m.safetensors", "-o", "r.zarr"]) == 0
    (stored,) = read_results("r.zarr").maps
    expected = embed(noisy, load_model("m.safetensors"), device="cpu").channels
    np.testing.assert_allclose(stored.data, expected, atol=1e-5)
    given = ["--preset", "pca", "--epochs", "4"]
    assert main(["train", "scan.npy", "-o", "n.safetensors", *given]) == 2
    assert "takes no epochs" in capsys.readouterr().err
