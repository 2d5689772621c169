"""Everything that knows napari or Qt: one folder a dock, in the order of the menu.

No science: widgets call the public functions of the other rooms and put what comes back in layers.
The manifest ``napari.yaml`` names what napari finds here; importing this package imports no Qt.

Files and rooms, in reading order:

- `layers`: The layers of the viewer: how they are made, found and named.
- `session`: What a person painted: which labels are the user's, kept apart from predictions, kept
  on disk.
- `widgets`: What the docks share: fields, choices, a job row, plots.
- `napari_io`: What napari calls to read, to write, and for sample data.
- `open_scan`: Dock "Open 4D-STEM scan...".
- `diffraction`: Dock "Diffraction": the pattern at the probe, and virtual detectors drawn on it.
- `centre_of_mass`: Dock "Centre of mass".
- `autoencoder`: Dock "Autoencoder".
- `embedding`: Dock "Embedding".
- `classes`: Dock "Classes": where probe positions are labelled.
- `classifier`: Dock "Classifier".
- `screenshot`: A picture of a napari window that shows a scan and its results; what the demo ends
  with.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
