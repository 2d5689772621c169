"""``ferro4d embed``."""

from __future__ import annotations

import numpy as np

from helpers.command_line import run_json
from napari_ferro4d.results import read_results


def test_embed_maps_another_scan_too(capsys, folder, model, tmp_path):
    for name, shape in (("scan", (12, 14)), ("other", (5, 6))):
        out = tmp_path / f"{name}.zarr"
        document = run_json(capsys, "embed", folder / f"{name}.npy", "--model", model, "-o", out)
        assert document["maps"] == ["maps/embedding"]
        (embedding,) = read_results(out).maps
        assert embedding.data.shape == (6, *shape)
        assert embedding.data.dtype == np.float32
        assert set(document["active_channels"]) <= set(range(6))
