"""Dock "Autoencoder".

Files, in reading order:

- `network_form`: The fields that say which network to train, and how.
- `thumbnails`: A row of small pictures of maps, as they are while something is still computed.
- `training_plots`: The course of a training, live: losses, what they are made of, and the channels
  that emerge.
- `dock`: Dock widget "Autoencoder": train on a scan, watch the loss, see the channels of the
  embedding.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
