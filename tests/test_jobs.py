"""Progress and cancel."""

from __future__ import annotations

import pytest

from napari_ferro4d.jobs import Cancelled, Progress, Steps


def test_steps_count_and_estimate_the_time_left():
    seen: list[Progress] = []
    steps = Steps(seen.append, 4, "rows")
    steps.add(2)
    steps.add(2, "done", partial="map")
    assert [(p.done, p.total, p.message, p.partial) for p in seen] == [
        (0, 4, "rows", None),
        (2, 4, "rows", None),
        (4, 4, "done", "map"),
    ]
    assert seen[0].seconds_left is None
    assert seen[1].seconds_left > 0
    assert seen[2].seconds_left == 0


def test_the_listener_cancels():
    def report(progress: Progress) -> None:
        if progress.done == 2:
            raise Cancelled

    steps = Steps(report, 4)
    steps.add()
    with pytest.raises(Cancelled):
        steps.add()
