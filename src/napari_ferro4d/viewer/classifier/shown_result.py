"""A classification as the dock shows it: of which scan, in which colours, how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_ferro4d.results import classification_results
from napari_ferro4d.viewer.layers import colour_of, directions_of, find_layer, made

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_ferro4d.learn import Classification
    from napari_ferro4d.scan import Scan
    from napari_ferro4d.viewer.session import Session


@dataclass(frozen=True, eq=False)
class ShownResult:
    """A classification and what belongs to it.

    Parameters
    ----------
    scan : Scan
        Of which it is.
    result : Classification
        What was found.
    note : mapping
        Where it comes from, for the notes on layers.
    """

    scan: Scan
    result: Classification
    note: Mapping[str, Any]

    @property
    def names(self) -> dict[int, str]:
        """Class names, as they were when the model was trained."""
        return {n: self.result.class_names.get(n, f"class {n}") for n in self.result.classes}

    @property
    def colours(self) -> dict[int, Any]:
        """Class colours, as they were when the model was trained."""
        return {n: self.result.class_colours.get(n, colour_of(n)) for n in self.result.classes}

    @property
    def style(self) -> dict[int, tuple[str, Sequence[float]]]:
        """Name and colour by class number."""
        colours = self.colours
        return {n: (name, colours[n]) for n, name in self.names.items()}


def show_prediction(
    viewer: Any, session: Session, shown: ShownResult, labels: Labels | None
) -> None:
    """Put a prediction into its layer; a new one below `labels`, and not under the user's hands."""
    scan, chosen = shown.scan, set(viewer.layers.selection)
    first = find_layer(viewer, scan.signature, "prediction") is None
    _, (image,) = classification_results(shown.result, scan, None, shown.names, shown.colours)
    directions = {} if labels is None else directions_of(labels)
    image = replace(image, directions={n: v for n, v in directions.items() if n in shown.names})
    layer = session.decisions.show(scan, image, made(shown.note, labels=[image]))
    if not first:
        return
    # What the user said lies above what the model says.
    if labels is not None and viewer.layers.index(layer) > viewer.layers.index(labels):
        viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(labels))
    if chosen and set(viewer.layers.selection) != chosen:
        viewer.layers.selection = chosen
