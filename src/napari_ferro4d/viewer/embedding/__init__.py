"""Dock "Embedding".

Files, in reading order:

- `channel_table`: The channels of an embedding in a table: which are seen, how structured, what
  they follow.
- `live_mean`: Mean patterns of probe positions while the user drags a range, off the GUI thread.
- `compare_dialog`: A window that holds a measured difference pattern against that of two simulated
  states.
- `shown_embedding`: The embeddings in a viewer: all their channels, the layers that show some,
  their scan.
- `class_layers`: Labels layers made of an embedding: to paint on, to save, to train the classifier
  from.
- `panel_host`: What the panels of the Embedding dock know of the dock.
- `classes_panel`: Panel "Classes": gates in the plane of two channels, and clusters of all, as
  labels layers.
- `decoder_panel`: Panel "Decoder": what the model says a channel means, from its lowest to its
  highest value.
- `difference_panel`: Panel "Difference": what distinguishes the patterns at the two ends of a
  channel.
- `range_panel`: Panel "Range": the histogram of a channel, a range on it, its positions and mean
  pattern.
- `dock`: Dock widget "Embedding": what the channels of an embedding show, and classes made of
  them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
