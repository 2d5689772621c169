"""Panel "What the model says of itself": figures on labels that it had not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_ferro4d.viewer.widgets import hint

from .figure_tables import ConfusionTable, DisagreementTable, Style
from .reliability_plot import ReliabilityPlot

if TYPE_CHECKING:
    from napari_ferro4d.learn import Classification, HeldOut


class FiguresPanel(QWidget):
    """Shows accuracy, confusion, reliability and disagreements, or why there is no figure."""

    def __init__(self) -> None:
        super().__init__()
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setToolTip(
            "Spatial strength: how far neighbours that look alike decide together. It is chosen\n"
            "by labels held out, and 0 where each pattern for itself is right more often."
        )
        self.confusion = ConfusionTable()
        self.reliability = ReliabilityPlot()
        self.title = hint("")
        self.disagreements = DisagreementTable()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 6)
        column.setSpacing(4)
        for widget in (
            *(self.said, self.confusion),
            *(self.title, self.disagreements),
            self.reliability,
        ):
            column.addWidget(widget)
        self.show_result(None, {})

    def show_result(self, result: Classification | None, style: Style) -> None:
        """Show what is known of the model of a classification."""
        held = None if result is None else result.held_out
        self.said.setText(said_of(result))
        classes = () if result is None else result.classes
        self.confusion.show_confusion(None if held is None else held.confusion, classes, style)
        self.reliability.setVisible(held is not None)
        self.reliability.show_bins(None if held is None else held.reliability)
        found = () if result is None else result.disagreements
        self.title.setVisible(result is not None and held is not None)
        self.title.setText(
            "Label and model disagree; click to go there:"
            if found
            else "No label that the model would call otherwise."
        )
        self.disagreements.show_disagreements(found, style)


def said_of(result: Classification | None) -> str:
    """Return sentences on what is known of a model: figures, spatial strength, warning."""
    if result is None:
        return "Train a model to see how far it can be trusted."
    held, parts = result.held_out, []
    if held is None:
        why = result.why_no_figure or "This prediction has no labels to be tested on"
        parts.append(sentence(why))
    else:
        parts.append(
            f"Right on {accuracy_text(held)} of {len(held.labels)} labels that it had not seen, "
            f"nor any near them; {100 * held.balanced_accuracy:.1f} % if every class counts "
            f"alike. Says how sure it is to within {100 * held.calibration_error:.1f} %."
        )
    if result.spatial_strength is not None:
        parts.append(
            f"Spatial strength {result.spatial_strength:.2g} of 2."
            if result.spatial_strength
            else "Spatial strength 0: neighbours do not help here."
        )
    if result.warning:
        parts.append(f"<b>{sentence(result.warning)}</b>")
    return " ".join(parts)


def accuracy_text(held: HeldOut) -> str:
    """Return the accuracy of labels held out, with the range in which the true one lies."""
    low, high = (100 * share for share in held.accuracy_range)
    return f"{100 * held.accuracy:.1f} % (95 % range: {low:.1f} to {high:.1f} %)"


def sentence(text: str) -> str:
    """Return a text as a sentence among others, or nothing where it is empty."""
    return text and f"{text[:1].upper()}{text[1:].rstrip('.')}."
