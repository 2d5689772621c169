"""What every viewer with a scan gets: decisions kept apart, labels kept on disk, a tidy end.

Files, in reading order:

- `label_merging`: How a user's decisions and a machine's prediction combine; plain arrays, no Qt
  and no napari.
- `decision_history`: What was decided at every step of the undo history of a prediction layer.
- `decisions_layer`: What a user paints on a prediction is kept apart, as decisions that no new
  prediction overwrites.
- `settings`: What is remembered between sessions: preferences of the plugin, parameters of its
  widgets.
- `autosave`: Labels that a user made are kept on disk while they are made, and come back with
  their scan.
- `viewer_session`: What every viewer with a scan gets: decisions kept apart, labels kept on
  disk, a tidy end.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
