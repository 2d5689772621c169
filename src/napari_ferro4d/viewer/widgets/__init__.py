"""What the docks share: fields, choices, a job row, plots.

Files, in reading order:

- `fields`: The fields of our forms: magicgui's, with what a scan needs besides: units, and "not
  given".
- `choices`: Choices that the dock widgets share: of layers, following the layer list, and of a
  device.
- `fold`: A group of fields that is folded away until somebody wants it.
- `job_row`: Long work off the GUI thread: run a core function, show how far it is, cancel it.
- `scrolled_column`: The rows of a dock, which scroll where a window is lower than they are.
- `analysis_dock`: What the analysis widgets have in common: a scan to work on, a job row,
  remembered parameters.
- `latest_job`: Work that follows the mouse, off the GUI thread: the latest request wins, others
  are skipped.
- `model_file`: Ask for a model file, load it, save it; the same for the autoencoder and the
  classifier.
- `simulation_form`: The fields that say which simulation patterns are compared with, and how it is
  laid onto them.
- `plot_canvas`: A plot of matplotlib in the colours and at the font size of the window around it.
- `histogram_plot`: The histogram of a map; ranges are dragged on it with the mouse.
- `range_ends`: The two ends of a range of values, typed, for a histogram on which the range is
  dragged.
- `gate_plane`: Two maps against each other: a 2-D histogram, with lasso gates.
- `pattern_image`: A diffraction pattern with axes in 1/angstrom: several fit into one dock.
- `probe`: The probe: a layer with one point, dragged with the mouse or stepped with the arrow
  keys.
- `partial_maps`: Maps that are known in part, shown while the pass over a scan runs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
