"""A reliability diagram: how often the model is right where it says how sure it is."""

from __future__ import annotations

import numpy as np

from napari_ferro4d.viewer.widgets import PlotCanvas

_LARGEST = 110.0
"""Area of the circle of the fullest bin, in square pixels."""


class ReliabilityPlot(PlotCanvas):
    """Shows accuracy against confidence of labels held out; on the diagonal the model is honest."""

    def __init__(self) -> None:
        super().__init__(height=(120, 150, 170), margins=(4.6, 1.0, 0.8, 3.6))
        self.axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="says it is sure", ylabel="is right")
        self.axes.set_aspect("equal", anchor="C")
        self.axes.set_xticks([0, 0.5, 1])
        self.axes.set_yticks([0, 0.5, 1])
        self.axes.plot([0, 1], [0, 1], color="#808891", linewidth=1, linestyle=":")
        self.points = self.axes.scatter([], [], color="#56b4e9", zorder=3, clip_on=False)
        self.setToolTip(
            "Labels held out, in bins of how sure the model said it was: how often it was right.\n"
            "Below the dotted line the model is too sure of itself. Large circles: many labels."
        )

    def show_bins(self, bins: tuple[np.ndarray, ...] | None) -> None:
        """Show confidence, accuracy and weight of every bin; None shows nothing."""
        confidence, accuracy, weight = (
            (np.empty(0),) * 3 if bins is None else (np.asarray(one, float) for one in bins)
        )
        full = np.isfinite(confidence) & np.isfinite(accuracy) & (weight > 0)
        self.points.set_offsets(np.column_stack([confidence[full], accuracy[full]]))
        most = weight[full].max(initial=1.0)
        self.points.set_sizes(np.maximum(12.0, _LARGEST * weight[full] / most))
        self.draw_idle()
