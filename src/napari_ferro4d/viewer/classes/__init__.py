"""Dock "Classes": where probe positions are labelled.

Files and rooms, in reading order:

- `class_table`: A table of the classes in a labels layer: colour, name, direction, how many
  positions.
- `keyed_labels`: Labels given to one position at a time, and taken back.
- `label_keys`: Keys of the viewer that label while a dock wants them, and are napari's again
  afterwards.
- `suggested`: The positions to label next: a layer of numbered points.
- `pattern_reader`: Patterns joined with those of the positions around them, read off the GUI
  thread.
- `class_means`: The mean pattern of the labelled positions of each class, off the GUI thread.
- `picture_strip`: A row of small pictures with a caption each, to choose one of.
- `small_pictures`: The small pictures of a pattern and of what is left without each class, off the
  GUI thread.
- `pattern_panel`: The pattern at the probe, large, and its difference to the mean pattern of each
  class.
- `suggest_panel`: Which positions to label next: how they are found, and their patterns.
- `proposals`: Panel "Proposals": labels that maps and label images of the scan propose.
- `dock`: Dock widget "Classes": classes, keys to label with, the pattern at the probe, what to
  label next.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
