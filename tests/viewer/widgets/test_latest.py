"""Work that follows the mouse: whose errors are told, and whose are nobody's business any more."""

from __future__ import annotations

from typing import Any

from napari_ferro4d.viewer.widgets import LatestJob, Request


class Broken(LatestJob):
    """Fails at everything, as soon as something else is wanted or nothing any more."""

    def work(self, request: Request) -> None:
        request.passed.wait(60)
        raise OSError(request.wanted)

    def take(self, wanted: Any, what: Any) -> None:
        raise AssertionError(what)


def test_an_error_is_told_unless_the_work_was_given_up(qtbot):
    broken, told = Broken(), []
    broken.failed.connect(lambda error: told.append(str(error)))
    broken.ask("first")
    broken.ask("second")
    qtbot.waitUntil(lambda: told == ["first"], timeout=60_000)
    broken.stop()
    qtbot.waitUntil(lambda: not broken.busy, timeout=60_000)
    assert told == ["first"]
