"""Checkpoint files of the paper's own code, honest ones and others."""

from __future__ import annotations

import json
import math
import os
import pickle
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import torch

from napari_ferro4d import ModelError, Scan, ScanError, embed, train
from napari_ferro4d.cli import main
from napari_ferro4d.learn import Phase, convert, load_model, traverse
from napari_ferro4d.learn.model_files import check_network

FILTERS, SIDES, EMBEDDING = 3, (16, 8, 4), 5


def checkpoint(seed=0):
    """Return what the reference saves, with its names, of a small network.

    tests/learn/test_m3_learning_parity.py converts files that the reference itself saved.
    """
    torch.manual_seed(seed)
    net = {}

    def layer(name, *shape):
        net[f"{name}.weight"], net[f"{name}.bias"] = torch.randn(shape), torch.randn(shape[0])

    def pair(name, k, side):
        for one in ("cov1d_1", "cov1d_2", "cov1d_3"):
            layer(f"{name}.block_layer.{k}.{one}", FILTERS, FILTERS, 3, 3)
        layer(f"{name}.block_layer.{k + 1}.cov1d_1", FILTERS, FILTERS, 3, 3)
        for norm in (f"{k}.norm_3", f"{k + 1}.norm_1"):
            for array in ("weight", "bias"):
                net[f"{name}.block_layer.{norm}.{array}"] = torch.randn(side, side)

    for name, sides in (("enc", SIDES[:-1]), ("dec", SIDES[::-1])):
        for k, side in enumerate(sides):
            pair(name, 3 * k, side)
        layer(f"{name}.cov2d", FILTERS, 1, 3, 3)
        layer(f"{name}.cov2d_1", 1, FILTERS, 3, 3)
    layer("enc.dense", EMBEDDING, SIDES[-1] ** 2)
    layer("dec.dense", SIDES[-1] ** 2, EMBEDDING)
    return {"net": net, "optimizer": {"state": {}, "param_groups": [{"lr": 3e-5}]}, "epoch": 7}


@pytest.fixture
def saved(tmp_path):
    def save(content, name="Weight_epoch:0007.pkl", **how):
        torch.save(content, tmp_path / name, **how)
        return tmp_path / name

    return save


def test_a_converted_model_embeds_decodes_and_trains_on(saved):
    model = convert(saved(checkpoint()), detector=(32, 30))
    assert model.header["network"] == {
        "embedding": EMBEDDING, "size": 16, "filters": FILTERS, "pooling": [2, 2]
    }  # fmt: skip
    assert model.header["converted"]["epoch"] == 7
    check_network(model.header, model.weights)
    counts = np.random.default_rng(0).poisson(4.0, (3, 4, 32, 30)).astype(np.uint16)
    scan = Scan.from_array(counts)
    assert embed(scan, model, device="cpu").channels.shape == (EMBEDDING, 3, 4)
    assert traverse(model, 0, [0.0, 0.01]).shape == (2, 16, 16)
    more = train(scan, start=model, schedule=[Phase(1, 1e-5)], device="cpu")
    before, after = (m.weights["encoder.0.weight"] for m in (model, more))
    assert 0 < np.abs(after - before).max() < 1e-4


def test_convert_is_a_command(saved, tmp_path, capsys):
    source, target = (
        saved({**checkpoint(), "beta": 0.5, "loss": math.nan}),
        tmp_path / "m.safetensors",
    )
    arguments = ["convert", source, "-o", target, "--detector-shape", "20,24", "--json"]
    assert main([str(a) for a in arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["model"] == str(target)
    assert (document["epoch"], document["beta"], "loss" in document) == (7, 0.5, False)
    model = load_model(target)
    assert model.header["preprocess"]["detector"] == [20, 24]
    wanted = checkpoint()["net"]["dec.cov2d_1.weight"].numpy()
    np.testing.assert_array_equal(model.weights["decoder.11.weight"], wanted)
    assert main(["convert", str(tmp_path / "none.pkl"), "-o", str(target)]) == 2
    assert main(["convert", str(source), "-o", str(tmp_path / "m.pkl")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "none.pkl" in errors[0]
    assert "safetensors" in errors[1]


class Evil:
    """Unpickled the usual way, this runs a command."""

    def __init__(self, path):
        self.command = f"touch {path}"

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("where", ["content", "net", "epoch", "bare pickle", "old format"])
def test_no_code_in_a_file_is_run(where, saved, tmp_path):
    trace = tmp_path / "was-here"
    content = checkpoint()
    if where == "content":
        source = saved(Evil(trace))
    elif where == "net":
        content["net"]["enc.cov2d.weight"] = Evil(trace)
        source = saved(content)
    elif where == "epoch":
        source = saved({**content, "epoch": Evil(trace)})
    elif where == "old format":
        source = saved({**content, "epoch": Evil(trace)}, _use_new_zipfile_serialization=False)
    else:
        source = tmp_path / "bare.pkl"
        source.write_bytes(pickle.dumps(Evil(trace)))
    with pytest.raises(ModelError, match=source.name) as caught:
        convert(source)
    assert "\n" not in str(caught.value)
    assert not trace.exists()
    # The file is what it claims to be: the usual way runs the command.
    if where == "bare pickle":
        pickle.loads(source.read_bytes())
        assert trace.exists()
    else:
        torch.load(source, weights_only=False)
        assert trace.exists()


def test_a_file_cut_short_anywhere_is_refused(saved, tmp_path):
    whole = saved(checkpoint()).read_bytes()
    cut = tmp_path / "cut.pkl"
    for length in (0, 1, 100, 1000, *range(2000, len(whole), len(whole) // 12), len(whole) - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"cut\.pkl"):
            convert(cut)


def test_a_file_with_changed_bytes_is_refused_or_harmless(saved, tmp_path):
    rng, whole = np.random.default_rng(0), saved(checkpoint()).read_bytes()
    changed = tmp_path / "changed.pkl"
    with zipfile.ZipFile(saved(checkpoint())) as archive:
        where = whole.index(archive.read(next(n for n in archive.namelist() if "data.pkl" in n)))
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(where, where + 8000, 3):
            data[at] = rng.integers(256)
        changed.write_bytes(data)
        with suppress(ModelError):
            model = convert(changed)
            check_network(model.header, model.weights)
            refused -= 1
        refused += 1
    assert refused > 20


def edit(name, value):
    return lambda content: {**content, "net": {**content["net"], name: value}}


def without(name):
    return lambda content: {
        **content,
        "net": {k: v for k, v in content["net"].items() if k != name},
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content["net"], "'net'"),
        (lambda content: [content], "'net'"),
        (lambda content: {**content, "net": {}}, "no autoencoder"),
        (without("dec.cov2d_1.bias"), "no autoencoder"),
        (without("enc.dense.weight"), "no autoencoder"),
        (
            edit("enc.block_layer.1.cov1d_1.bias", torch.zeros(4)),
            r"cov1d_1\.bias is .*shape \(4,\)",
        ),
        (edit("enc.dense.weight", "text"), "no autoencoder"),
        (edit("enc.dense.weight", torch.zeros(5, 0)), "no autoencoder"),
        (edit("enc.extra", torch.zeros(2)), "arrays"),
        (edit("dec.dense.bias", torch.full((16,), math.nan)), "not finite"),
        (edit("enc.cov2d.bias", torch.zeros(3, dtype=torch.complex64)), "no autoencoder"),
        # A million million numbers that are one number, seen so often.
        (edit("enc.dense.weight", torch.zeros(1).expand(10**6, 10**6)), "claims more"),
    ],
)
def test_a_file_with_another_content_is_explained(change, words, saved):
    with pytest.raises(ModelError, match=words) as caught:
        convert(saved(change(checkpoint())))
    assert "\n" not in str(caught.value)


def test_an_archive_that_unfolds_is_refused(saved, tmp_path):
    packed = tmp_path / "packed.pkl"
    with (
        zipfile.ZipFile(saved(checkpoint())) as archive,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out,
    ):
        for name in archive.namelist():
            out.writestr(name, archive.read(name))
    with pytest.raises(ModelError, match="packed"):
        convert(packed)


@pytest.mark.parametrize("detector", [(0, 256), (256, -1), (10**9, 1)])
def test_a_detector_that_cannot_be_is_refused(detector, saved):
    with pytest.raises(ScanError, match="no detector"):
        convert(saved(checkpoint()), detector=detector)
