"""Label files, TIFFs and model files: round trips, other readers, and what is none of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_ferro4d import LabelsError, ModelError, ResultsError, ScanError
from napari_ferro4d.io import read_labels
from napari_ferro4d.learn import Model, load_model, save_model
from napari_ferro4d.results import LabelResult, MapResult, write_results, write_tiff

MAP = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 4, (5, 7)).astype(np.uint8)


# --- labels and TIFF


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_labels_from_files(tmp_path, suffix):
    path = tmp_path / f"labels{suffix}"
    np.save(path, LABELS) if suffix == ".npy" else tifffile.imwrite(path, LABELS)
    np.testing.assert_array_equal(read_labels(path, (5, 7)), LABELS)


def test_labels_that_cannot_be_are_named(tmp_path):
    np.save(tmp_path / "float.npy", MAP)
    np.save(tmp_path / "stack.npy", np.zeros((2, 3, 4), int))
    np.save(tmp_path / "negative.npy", LABELS.astype(int) - 9)
    (tmp_path / "broken.tif").write_bytes(b"II*\0 nothing")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "empty").mkdir()
    for name in (
        "float.npy",
        "stack.npy",
        "negative.npy",
        "broken.tif",
        "broken.npy",
        "empty",
        "no",
    ):
        with pytest.raises(LabelsError, match=name):
            read_labels(tmp_path / name)
    np.save(tmp_path / "fine.npy", LABELS)
    with pytest.raises(LabelsError, match=r"5 x 7.*6 x 6"):
        read_labels(tmp_path / "fine.npy", (6, 6))


def test_one_of_several_label_images_has_to_be_named(tmp_path):
    path = write_results(
        tmp_path / "r.zarr", labels=[LabelResult("a", LABELS), LabelResult("b", LABELS + 1)]
    )
    with pytest.raises(LabelsError, match="a, b"):
        read_labels(path)
    np.testing.assert_array_equal(read_labels(path / "labels" / "b"), LABELS + 1)


def test_tiffs_carry_the_calibration_that_imagej_reads(tmp_path):
    path = write_tiff(tmp_path / "com.tif", MAP, (1.4, 1.6), "px")
    with tifffile.TiffFile(path) as tif:
        np.testing.assert_array_equal(tif.asarray(), MAP)
        assert tif.imagej_metadata["unit"] == "nm"
        tags = tif.pages[0].tags
        x, y = (tags[name].value for name in ("XResolution", "YResolution"))
        assert x[1] / x[0] == pytest.approx(1.6, rel=1e-6)
        assert y[1] / y[0] == pytest.approx(1.4, rel=1e-6)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "i8", "?", "f8"])
def test_tiffs_hold_every_type_exactly(tmp_path, dtype):
    image = LABELS.astype(dtype)
    path = write_tiff(tmp_path / "a.tif", image)
    np.testing.assert_array_equal(tifffile.imread(path).astype(dtype), image)


def test_what_a_tiff_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ResultsError):
        write_tiff(tmp_path / "a.tif", np.zeros((2, 3, 4, 5)))
    with pytest.raises(ResultsError, match="16 bits"):
        write_tiff(tmp_path / "a.tif", np.full((2, 2), 70_000))
    assert list(tmp_path.iterdir()) == []


# --- models

MODEL = Model(
    "autoencoder",
    {"preset": "compact", "detector": [64, 64]},
    {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array([3], np.int64)},
)


def test_a_model_comes_back(tmp_path):
    loaded = load_model(save_model(MODEL, tmp_path / "m.safetensors"))
    assert loaded.kind == "autoencoder"
    assert loaded.header == MODEL.header
    for name, value in MODEL.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], value)


def test_a_model_file_that_is_none_is_named(tmp_path):
    whole = save_model(MODEL, tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "short.safetensors").write_bytes(whole[:-5])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04K\x01.")
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(2)}, tmp_path / "others.safetensors")
    save_file({"a": np.zeros(2)}, tmp_path / "json.safetensors", {"ferro4d": "[1]"})
    kind = {"ferro4d": json.dumps({"kind": "toaster"})}
    save_file({"a": np.zeros(2)}, tmp_path / "kind.safetensors", kind)
    for name in ("short", "empty", "pickle", "others", "json", "kind", "missing"):
        with pytest.raises(ModelError, match=name):
            load_model(tmp_path / f"{name}.safetensors")


def test_a_model_is_only_saved_under_its_ending(tmp_path):
    with pytest.raises(ModelError, match="safetensors"):
        save_model(MODEL, tmp_path / "m.pt")


def test_a_failed_save_keeps_the_old_model(tmp_path):
    path = save_model(MODEL, tmp_path / "m.safetensors")
    before = path.read_bytes()
    unwritable = Model("autoencoder", {"when": object()}, MODEL.weights)
    with pytest.raises(TypeError):
        save_model(unwritable, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ScanError, match="file"):
        write_results(tmp_path / "file" / "r.zarr", maps=[MapResult("a", MAP)])
    with pytest.raises(ScanError, match="file"):
        save_model(MODEL, tmp_path / "file" / "m.safetensors")
    with pytest.raises(ScanError, match="file"):
        write_tiff(tmp_path / "file" / "m.tif", MAP)
