"""What is read from an embedding as parts of a results folder, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ferro4d.embedding import Clusters, Difference
from napari_ferro4d.errors import ResultsError, ScanError
from napari_ferro4d.scan import Scan

from .folder import provenance, read_results, write_results
from .ome_images import LabelResult, MapResult

_PARTS = ("high", "low", "difference", "error")


def read_embedding(folder: str | os.PathLike[str], scan: Scan | None = None) -> MapResult:
    """Return the embedding in a results folder; if a scan is given, only one of that scan.

    Raises
    ------
    ResultsError
        If it is no results folder, or holds no embedding.
    ScanError
        If the embedding is of another scan.
    """
    for one in read_results(folder).maps:
        if one.name == "embedding" and one.data.ndim == 3:
            if scan is not None:
                _refuse_another(one, scan, folder)
            return one
    raise ResultsError(
        f"{Path(folder)}: holds no embedding (maps/embedding); make one with `ferro4d embed`."
    )


def _refuse_another(embedding: MapResult, scan: Scan, folder: str | os.PathLike[str]) -> None:
    name, signature = embedding.scan
    if embedding.data.shape[1:] != scan.scan_shape or (signature and signature != scan.signature):
        raise ScanError(
            f"{os.fspath(folder)}: its embedding is of another scan ({name or 'unnamed'}) than "
            f"{scan.where()}; give the scan that it was made of, opened in the same way."
        )


def channel_of(
    embedding: MapResult, number: int, folder: str | os.PathLike[str]
) -> npt.NDArray[Any]:
    """Return one channel ``[y, x]`` of the embedding read from `folder`.

    Raises
    ------
    ResultsError
        If there is no such channel.
    """
    if not 0 <= number < len(embedding.data):
        raise ResultsError(
            f"{os.fspath(folder)}: the embedding has channels 0 to {len(embedding.data) - 1}; "
            f"there is no channel {number}."
        )
    return np.asarray(embedding.data[number])


def cluster_results(found: Clusters, embedding: MapResult) -> tuple[list[MapResult], LabelResult]:
    """Return ``cluster_probability`` and the label image ``clusters``, to write or to show.

    Parameters
    ----------
    found : Clusters
        From `cluster`.
    embedding : MapResult
        What was divided: scan and scan step are taken from it.
    """
    probability = MapResult(
        "cluster_probability",
        found.probability,
        embedding.scan_step,
        colormap="viridis",
        contrast_limits=(0.0, 1.0),
        scan=embedding.scan,
    )
    classes = {n: f"cluster {n}" for n in range(1, found.classes + 1)}
    return [probability], LabelResult(
        "clusters", found.labels, embedding.scan_step, classes, scan=embedding.scan
    )


def gate_result(
    gates: Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike], embedding: MapResult
) -> LabelResult:
    """Return the label image ``gates``: class 1 for the first gate, 2 for the second, ...

    Parameters
    ----------
    gates : sequence or mapping of str to array
        bool ``[y, x]`` each, of `gate` or `within`, with names if it is a mapping. A position in
        several gates belongs to none, because which one cannot be told.
    embedding : MapResult
        Scan and scan step are taken from it.

    Examples
    --------
    >>> a, b = np.array([[True, True, False]]), np.array([[False, True, True]])
    >>> gate_result([a, b], MapResult("embedding", np.zeros((2, 1, 3)))).data.tolist()
    [[1, 0, 2]]
    """
    named = (
        dict(gates)
        if isinstance(gates, Mapping)
        else {f"gate {n}": one for n, one in enumerate(gates, 1)}
    )
    masks = np.array([np.asarray(one, bool) for one in named.values()])
    if masks.shape[1:] != embedding.data.shape[1:]:
        raise ScanError(
            f"the gates have shape {masks.shape[1:]}, the embedding is of "
            f"{embedding.data.shape[1:]} probe positions."
        )
    labels = np.where(masks.sum(axis=0) == 1, masks.argmax(axis=0) + 1, 0).astype(np.uint16)
    classes = dict(enumerate(named, 1))
    return LabelResult("gates", labels, embedding.scan_step, classes, scan=embedding.scan)


def write_difference(
    folder: str | os.PathLike[str],
    found: Difference,
    scan: Scan,
    name: str = "difference",
    parameters: Mapping[str, Any] | None = None,
) -> Path:
    """Add a difference pattern to a results folder, with the positions it was made of.

    Writes ``patterns/<name>/0``, float64 ``[pattern, ky, kx]``: high, low, difference, error; and
    ``labels/<name>_positions``, 1 for low and 2 for high.

    Parameters
    ----------
    folder : path
        New, or a results folder of the same scan.
    found : Difference
        From `difference`.
    scan : Scan
        The scan that it is of.
    name : str
        Of the pattern.
    parameters : mapping, optional
        How it was made, for the provenance.

    Raises
    ------
    ResultsError
        If the folder is no results folder, or holds results of another scan.
    ScanError
        If the disk refuses.
    """
    from napari_ferro4d.io import atomic_folder, locked, recover

    labels = np.where(found.high_positions, 2, np.where(found.low_positions, 1, 0))
    positions = LabelResult(
        f"{name}_positions",
        labels.astype(np.uint8),
        scan.scan_step,
        {1: "low", 2: "high"},
        scan=(scan.name, scan.signature),
    )
    entry = {
        **provenance("difference", parameters or {}, scan),
        "made": [f"patterns/{name}", f"labels/{positions.name}"],
    }
    # The folder first, which refuses another scan's; what was made is told once all of it is there.
    target = write_results(folder, labels=[positions])
    try:
        with locked(target.absolute().parent):
            (target / "patterns").mkdir(exist_ok=True)
            recover(target / "patterns")
            with atomic_folder(target / "patterns" / name) as temporary:
                _write_patterns(temporary, name, found, scan)
    except OSError as error:
        raise ScanError(f"{target}: cannot be written ({error.strerror or error}).") from error
    return write_results(target, provenance=[entry])


def _write_patterns(folder: Path, name: str, found: Difference, scan: Scan) -> None:
    import zarr
    from ome_zarr.format import FormatV05
    from ome_zarr.writer import write_multiscales_metadata

    group = zarr.open_group(folder, mode="w", zarr_format=3)
    data = np.stack([getattr(found, part) for part in _PARTS])
    group.create_array("0", data=data, dimension_names=["c", "y", "x"])
    unit = {} if scan.k_step is None else {"unit": "angstrom^-1"}
    transforms: list[dict[str, Any]] = [
        {"type": "scale", "scale": [1.0, *(scan.k_step or (1.0, 1.0))]}
    ]
    write_multiscales_metadata(
        group,
        [{"path": "0", "coordinateTransformations": transforms}],
        fmt=FormatV05(),
        axes=[
            {"name": "c", "type": "channel"},
            {"name": "y", "type": "space", **unit},
            {"name": "x", "type": "space", **unit},
        ],
        name=name,
    )
    group.attrs["ferro4d"] = {
        "channels": list(_PARTS),
        "unit": "counts per pattern",
        "centre": list(scan.centre) if scan.centre else None,
        "scan_name": scan.name,
        "scan_signature": scan.signature,
    }


def read_difference(folder: str | os.PathLike[str], name: str = "difference") -> Difference:
    """Read what `write_difference` wrote.

    Raises
    ------
    ResultsError
        If it is not there, or damaged.
    """
    import zarr

    source = Path(folder)
    labels = {one.name: one.data for one in read_results(source).labels}
    try:
        group = zarr.open_group(source / "patterns" / name, mode="r")
        data = np.asarray(group["0"])  # type: ignore[arg-type, unused-ignore]
        positions = labels[f"{name}_positions"]
        high, low, difference, error = data.astype(np.float64)
    except (KeyError, ValueError, TypeError, OSError, RuntimeError) as problem:
        raise ResultsError(
            f"{source}: holds no difference pattern {name!r} that can be read; make it with "
            "`ferro4d difference`."
        ) from problem
    return Difference(high, low, difference, error, positions == 2, positions == 1)
