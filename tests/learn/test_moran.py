"""Which channels show something: what is nowhere known shows nothing."""

from __future__ import annotations

import numpy as np

from napari_ferro4d.learn import active_channels, morans_i


def test_a_channel_that_is_unknown_everywhere_hides_no_other() -> None:
    y, x = np.indices((24, 30)).astype(np.float32)
    unknown = np.full_like(y, np.nan)
    partly = np.where(x < 5, np.nan, x)
    assert set(active_channels(np.stack([unknown, y, partly]))) == {1, 2}
    assert active_channels(np.stack([unknown, unknown])) == ()
    assert morans_i(unknown) == (0.0, 0)


def test_constant_channels_are_not_active() -> None:
    assert active_channels(np.ones((2, 5, 5), np.float32)) == ()
