"""What is read from an embedding goes on to a folder, the classifier, walls, the simulation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_ferro4d.cli import main
from napari_ferro4d.domains import domain_table, walls
from napari_ferro4d.embedding import Difference, cluster, difference, within
from napari_ferro4d.errors import ResultsError, ScanError
from napari_ferro4d.io import read_labels
from napari_ferro4d.jobs import Cancelled, Progress
from napari_ferro4d.learn import classify
from napari_ferro4d.match import compare_difference
from napari_ferro4d.open import open_scan
from napari_ferro4d.results import (
    MapResult,
    cluster_results,
    gate_result,
    read_difference,
    read_embedding,
    read_results,
    write_difference,
    write_results,
)
from napari_ferro4d.scan import Scan
from napari_ferro4d.simulate import ScanTruth, Table, load_table, preset, truth, write_scan


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scan, ScanTruth]:
    """Return a preset at half its resolution: its file, opened, and its truth."""
    spec = preset("ermno3-domains-small")
    spec = replace(spec, scan=replace(spec.scan, shape=(32, 32), step=2.8))
    path = write_scan(spec, tmp_path_factory.mktemp("simulated") / "scan.zarr")
    return path, open_scan(path), truth(path)


@pytest.fixture
def folder(simulated: tuple[Path, Scan, ScanTruth], tmp_path: Path) -> Path:
    """Return results with an embedding of three channels: polarity, thickness, noise."""
    _, scan, known = simulated
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, (3, *scan.scan_shape))
    shown = [known.polarization[0], (known.thickness - 74) / 6, np.zeros(scan.scan_shape)]
    channels = np.maximum(noise + np.stack(shown) + 2, 0).astype(np.float32)
    embedding = MapResult(
        "embedding", channels, scan.scan_step, scan=(scan.name, scan.signature), active=(0, 1)
    )
    return write_results(tmp_path / "results.zarr", maps=[embedding])


def _run(capsys: pytest.CaptureFixture[str], *command: object) -> dict:
    assert main([*map(str, command), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def _refused(capsys: pytest.CaptureFixture[str], *command: object) -> str:
    try:
        code = main([*map(str, command)])
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr().err
    assert code == 2
    assert said.count("\n") == 1
    return said


# --- the simulation


def _of_truth(scan: Scan, known: ScanTruth) -> Difference:
    polarity = np.where(known.wall, 0.0, np.where(known.labels == 1, 1.0, -1.0))
    return difference(scan, polarity, share=0.3)


def test_the_measured_difference_is_the_simulated_one(
    simulated: tuple[Path, Scan, ScanTruth],
) -> None:
    _, scan, known = simulated
    found = compare_difference(scan, _of_truth(scan, known), "ermno3")
    assert found.states == ("+P", "-P") == known.states[:2]
    assert found.overall > 0.9
    assert found.half_turn is not None
    assert found.half_turn < -0.8  # the sign is open as long as the half turn is
    assert found.thickness == pytest.approx(known.thickness.mean(), abs=4)
    assert abs(found.registration.rotation) < 1
    assert found.registration.scale == pytest.approx(1, abs=0.02)
    # The map says the same where there is something to say.
    assert np.nanmedian(found.correlation.map) > 0.5
    assert found.simulated.shape == found.measured.shape == scan.detector_shape


def test_swapped_groups_have_the_opposite_sign(simulated: tuple[Path, Scan, ScanTruth]) -> None:
    _, scan, known = simulated
    one = _of_truth(scan, known)
    other = replace(one, high=one.low, low=one.high, difference=-one.difference)
    keys = {"thickness": 74.0, "rotation": (-20.0, 20.0)}
    first, second = (compare_difference(scan, pair, "ermno3", **keys) for pair in (one, other))
    assert second.overall == pytest.approx(-first.overall, abs=1e-6)
    assert first.half_turn is None
    assert first.thickness == 74.0


def test_patterns_can_be_given_instead_of_a_table(simulated: tuple[Path, Scan, ScanTruth]) -> None:
    from napari_ferro4d.simulate import Optics, table_patterns

    _, scan, known = simulated
    table = load_table("ermno3")
    optics = Optics(table.kilovolts, 2.0, 0.015, (96, 96))  # a smaller detector
    at = np.zeros(1), np.zeros(1), np.array([74.0])
    plus, minus = (table_patterns(table, name, optics, *at)[0] for name in ("+P", "-P"))
    found = compare_difference(scan, _of_truth(scan, known), (plus, minus), rotation=(-20.0, 20.0))
    assert found.overall > 0.9
    assert found.thickness is None
    assert np.isnan(found.simulated[0, 0])  # beyond what was simulated


def test_a_thickness_difference_is_no_polarity(simulated: tuple[Path, Scan, ScanTruth]) -> None:
    _, scan, known = simulated
    one = difference(scan, known.thickness, share=0.2)
    found = compare_difference(scan, one, "ermno3", thickness=74.0, rotation=(-20.0, 20.0))
    assert abs(found.overall) < 0.6


def test_comparisons_that_cannot_be_made_are_refused(
    simulated: tuple[Path, Scan, ScanTruth],
) -> None:
    _, scan, known = simulated
    found = _of_truth(scan, known)
    with pytest.raises(ScanError, match="k_step"):
        compare_difference(replace(scan, k_step=None), found)
    with pytest.raises(ScanError, match="thickness"):
        compare_difference(scan, found, thickness=500.0)
    with pytest.raises(ScanError, match="on one grid"):
        compare_difference(scan, found, (np.ones((3, 3)), np.ones((4, 4))))
    polar_one_way = load_table("ermno3")
    polar_one_way = Table(**{**vars(polar_one_way), "states": polar_one_way.states[:1]})
    with pytest.raises(ScanError, match="opposite"):
        compare_difference(scan, found, polar_one_way)

    def stop(progress: Progress) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        compare_difference(scan, found, report=stop)


# --- the folder


def test_a_difference_comes_back_from_a_folder(
    simulated: tuple[Path, Scan, ScanTruth], folder: Path
) -> None:
    import zarr

    _, scan, _ = simulated
    found = difference(scan, read_embedding(folder).data[0])
    write_difference(folder, found, scan, "first", {"channel": 0})
    write_difference(folder, found, scan, "first", {"channel": 0})  # replaced, not added
    back = read_difference(folder, "first")
    for name in vars(found):
        assert (getattr(back, name) == getattr(found, name)).all(), name
    results = read_results(folder)
    assert [one.name for one in results.maps] == ["embedding"]
    assert results.provenance[-1]["made"] == ["patterns/first", "labels/first_positions"]
    multiscale = zarr.open_group(folder / "patterns" / "first", mode="r").attrs["ome"]
    (image,) = multiscale["multiscales"]
    assert [axis.get("unit") for axis in image["axes"]] == [None, "angstrom^-1", "angstrom^-1"]
    scale = image["datasets"][0]["coordinateTransformations"][0]["scale"]
    assert scale == [1.0, 0.015, 0.015]


def test_a_difference_of_another_scan_is_refused(folder: Path) -> None:
    other = Scan.from_array(np.random.default_rng(0).poisson(3, (32, 32, 8, 8)).astype(np.uint8))
    found = difference(other, np.indices((32, 32))[0])
    with pytest.raises(ResultsError, match="a results folder of its own"):
        write_difference(folder, found, other)
    assert not (folder / "patterns").exists()


def test_a_difference_that_is_not_there_is_said(folder: Path) -> None:
    with pytest.raises(ResultsError, match="no difference pattern 'other'"):
        read_difference(folder, "other")


def test_a_damaged_difference_is_said(
    simulated: tuple[Path, Scan, ScanTruth], folder: Path
) -> None:
    _, scan, _ = simulated
    write_difference(folder, difference(scan, read_embedding(folder).data[0]), scan)
    (folder / "patterns" / "difference" / "0" / "zarr.json").write_text("{")
    with pytest.raises(ResultsError, match="no difference pattern"):
        read_difference(folder)


def test_overlapping_gates_belong_to_no_class(folder: Path) -> None:
    embedding = read_embedding(folder)
    polarity = embedding.data[0]
    gates = {"-P": within(polarity, 0, 1.8), "+P": within(polarity, 1.6, 4)}
    found = gate_result(gates, embedding)
    assert found.classes == {1: "-P", 2: "+P"}
    assert (found.data[gates["-P"] & gates["+P"]] == 0).all()
    assert (found.data[gates["-P"] & ~gates["+P"]] == 1).all()
    assert found.scan == embedding.scan
    with pytest.raises(ScanError, match="shape"):
        gate_result([np.ones((2, 2), bool)], embedding)


# --- the classifier and the walls


def test_clusters_teach_the_classifier_and_have_walls(
    simulated: tuple[Path, Scan, ScanTruth], folder: Path
) -> None:
    _, scan, known = simulated
    embedding = read_embedding(folder)
    found = cluster(embedding.data[:1], classes=2)
    maps, labels = cluster_results(found, embedding)
    write_results(folder, maps=maps, labels=[labels])
    given = read_labels(folder / "labels" / "clusters", scan.scan_shape)

    few = np.where(np.random.default_rng(0).random(given.shape) < 0.1, given, 0)
    result = classify(scan, few)
    assert result.classes == (1, 2)
    certain = ~known.wall
    first = given[known.labels == 1]
    number = np.bincount(first).argmax()  # which cluster is the first state
    agrees = (result.prediction == number) == (known.labels == 1)
    assert agrees[certain].mean() > 0.95

    wall = walls(given)
    distance = _distance_to(known.wall)
    assert wall.any()
    assert np.median(distance[wall]) <= 1
    big = [row for row in domain_table(given, scan.scan_step, labels.classes) if row.positions > 50]
    assert {row.class_name for row in big} == {"cluster 1", "cluster 2"}


def _distance_to(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(~mask)


# --- the commands


def test_channels_ranks_them(
    simulated: tuple[Path, Scan, ScanTruth],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, _, _ = simulated
    said = _run(capsys, "channels", folder, "--scan", path)
    assert [one["channel"] for one in said["channels"]] == [0, 1, 2]
    assert [one["extrinsic"] for one in said["channels"]] == [None, "thickness", None]
    assert [one["active"] for one in said["channels"]] == [True, True, False]
    assert set(said["channels"][0]["correlations"]) == set(said["proxies"])
    assert main(["channels", str(folder), "--scan", str(path)]) == 0
    table = capsys.readouterr().out
    assert "channel 1  structure" in table
    assert "extrinsic: thickness (+" in table


def test_channels_without_the_scan_says_what_it_can(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _run(capsys, "channels", folder)
    assert said["proxies"] == []
    assert {one["channel"] for one in said["channels"]} == {0, 1, 2}
    assert all(one["extrinsic"] is None for one in said["channels"])


def test_difference_writes_patterns_and_positions(
    simulated: tuple[Path, Scan, ScanTruth],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, scan, _ = simulated
    keys = ["--results", folder, "--channel", 0, "-o", folder]
    said = _run(capsys, "difference", path, *keys)
    wanted = difference(scan, read_embedding(folder).data[0])
    assert said["patterns"] == ["patterns/difference_0"]
    assert (read_difference(folder, "difference_0").difference == wanted.difference).all()
    assert said["high_positions"] == wanted.high_positions.sum() == 51  # 5 % of 1024
    assert 500 < said["significant_pixels"] < 128 * 128
    said = _run(capsys, "difference", path, *keys, "--against", 1, "--share", 0.1)
    assert said["patterns"] == ["patterns/difference_0_against_1"]
    positions = read_labels(folder / "labels" / "difference_0_against_1_positions")
    assert set(np.unique(positions)) == {0, 1, 2}


def test_cluster_writes_labels_that_others_take(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _run(capsys, "cluster", folder, "--channels", "0", "--classes", 2)
    assert said["labels"] == ["labels/clusters"]
    labels = read_labels(folder / "labels" / "clusters")
    assert np.bincount(labels.ravel())[1:].tolist() == said["positions_per_class"]
    assert said["without_class"] == 0
    results = read_results(folder)
    assert {one.name for one in results.maps} == {"embedding", "cluster_probability"}
    signature = read_embedding(folder).scan[1]
    assert results.provenance[-1]["scan_signature"] == signature
    assert _run(capsys, "cluster", folder, "--method", "hdbscan")["method"] == "hdbscan"


def test_a_folder_without_an_embedding_is_one_error(
    simulated: tuple[Path, Scan, ScanTruth],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, scan, _ = simulated
    image = MapResult("sum", np.ones(scan.scan_shape, np.float32), scan.scan_step)
    empty = write_results(tmp_path / "empty.zarr", maps=[image])
    for command in (
        ["channels", empty],
        ["cluster", empty],
        ["difference", path, "--results", empty, "--channel", 0, "-o", empty],
    ):
        assert "holds no embedding" in _refused(capsys, *command)
    assert "not a results folder" in _refused(capsys, "channels", tmp_path / "none.zarr")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--channel", "3"], "channels 0 to 2"),
        (["--channel", "-1"], "channels 0 to 2"),
        (["--channel", "0", "--against", "7"], "channels 0 to 2"),
        (["--channel", "0", "--share", "0.9"], "share"),
        (["--channel", "0", "--against", "0"], "same probe positions"),
    ],
)
def test_slips_are_one_line(
    simulated: tuple[Path, Scan, ScanTruth],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    path, _, _ = simulated
    assert said in _refused(capsys, "difference", path, "--results", folder, *options, "-o", folder)
    assert not (folder / "patterns").exists()


def test_an_embedding_of_another_scan_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.npy"
    np.save(other, np.random.default_rng(0).poisson(3, (32, 32, 8, 8)).astype(np.uint8))
    assert "of another scan" in _refused(capsys, "channels", folder, "--scan", other)
    assert "list of channels" in _refused(capsys, "cluster", folder, "--channels", "a,b")
