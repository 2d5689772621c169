"""The networks: those of the papers, exactly, compact ones for CPUs, and linear baselines.

Files, in reading order:

- `base`: What training and use need of a network.
- `build`: The network that a model's header describes.
- `paper_autoencoder`: The autoencoder of the paper, exactly.
- `frozen_layers`: The layers of the paper's encoder for weights that no longer change: embedding
  on a CPU.
- `compact_autoencoder`: A small autoencoder for CPUs, of the same kind as the paper's.
- `compact_start`: How the compact autoencoder begins: what is abrupt in a scan, told from single
  patterns.
- `variational`: The beta-VAE that the paper compares its autoencoder with, around any autoencoder.
- `linear_autoencoders`: The linear baselines as networks, of the arrays that `training.linear_fit`
  makes.
- `paper_classifier`: The classifier of the paper, exactly.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
