"""The fields that follow napari's list of layers."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ferro4d.scan import Scan
from napari_ferro4d.viewer.layers import add_layers, scan_of
from napari_ferro4d.viewer.napari_io import opened_layers
from napari_ferro4d.viewer.widgets import LayerChoice, Number, ScanChoice


def test_an_error_of_who_follows_a_choice_is_told_and_ends_nothing_of_napari(viewer, qtbot):
    choice = ScanChoice(viewer)

    @choice.changed.connect
    def fails(value):
        raise ZeroDivisionError("a dock that fails")

    scan = Scan.from_array(np.ones((4, 5, 8, 8), np.uint8))
    with qtbot.capture_exceptions() as told:
        added = add_layers(viewer, opened_layers(scan))
    choice.changed.disconnect(fails)
    assert all(layer in viewer.layers for layer in added)
    assert scan_of(choice.layer()) is scan
    assert str(told[0][1]) == "a dock that fails"


@pytest.mark.parametrize(("given", "held"), [(-3, 2.0), (7.5, 7.5), (1000, 8.0)])
def test_a_number_that_a_field_cannot_hold_is_the_nearest_it_can(viewer, given, held):
    field = Number(min=2, max=8, decimals=1, value=5)
    field.value = given
    assert field.value == held


def test_a_choice_that_is_optional_is_of_nothing_until_somebody_chooses(viewer):
    choice = LayerChoice(viewer, lambda layer: True, "nothing", "From", optional=True)
    first, second = (viewer.add_image(np.ones((4, 5)), name=name) for name in ("one", "two"))
    assert choice.layer() is None
    assert choice.current_choice == "nothing"
    seen = []
    choice.changed.connect(seen.append)
    choice.choose(first)
    viewer.layers.remove(second)
    assert choice.layer() is first
    choice.value = None
    choice.choose(first)
    viewer.layers.remove(first)
    assert choice.layer() is None
    assert not choice.enabled
    assert seen[0] is first
    assert seen[-1] is None
