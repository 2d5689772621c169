"""Learning on scans: the autoencoder's embedding and the few-label classifier (needs torch).

Importing this package imports no torch; the first call of a function does.

Files and rooms, in reading order:

- `autoencoder`: The convolutional autoencoder: train it on scans, embed a scan with it.
- `classifier`: The few-label classifier: which class is every probe position, and how sure is
  that.
- `suggestion`: Which probe positions to label next: the face of the samplers.
- `inference`: A trained network over a whole scan, block by block.
- `paper_preset`: The preset "paper" on a scan: its network trained on labelled positions, and
  applied to all.
- `occlusion`: What the paper's classifier looks at: where a pattern must not be covered.
- `moran`: Which channels show something: spatial structure against counting noise. Knows no torch.
- `traversal`: What a channel means to the decoder: patterns along it.
- `paper_checkpoint`: Models trained with the paper's own code: its checkpoint files, converted.
- `compute`: Where to compute: device, memory, threads, several processes.
- `walls`: What is abrupt in a scan, found before training (walls of a label map: see `domains`).
- `networks`: The networks: those of the papers, exactly, compact ones for CPUs, and linear
  baselines.
- `model_files`: Models as files: header, weights, checkpoints.
- `data`: Patterns to network input, and batches of them.
- `few_labels`: Few labels and many patterns: the preset "fast", held-out figures, what to label
  next.
- `training`: Losses, schedules and loops of training.
- `worker`: All of this, called in a process of its own.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
