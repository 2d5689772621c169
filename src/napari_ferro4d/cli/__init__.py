"""The command ``ferro4d``: thin, every verb is a file that calls one public function.

A file of a verb has `add_options`, which is called for any verb, and `run`, for the one that was
asked for; only that imports what is slow to load.

Files, in reading order:

- `command`: The command ``ferro4d``: its verbs, and what becomes of an error.
- `parser`: What the command line shares: one line for a slip, groups of options, numbers as text.
- `terminal`: What the command line prints, draws and connects to.
- `verb_steps`: What verbs do alike: open the scan that was given, and write what was found.
- `info`: ``ferro4d info``: what a file holds.
- `virtual`: ``ferro4d virtual``: the image of a virtual detector.
- `com`: ``ferro4d com``: the centre of mass of every pattern.
- `train`: ``ferro4d train``: an autoencoder, trained on one or more scans.
- `embed`: ``ferro4d embed``: the channels of a trained autoencoder over a scan.
- `convert`: ``ferro4d convert``: a model of a checkpoint of the paper's own code.
- `channels`: ``ferro4d channels``: the channels of an embedding, ranked, and which of them are
  extrinsic.
- `difference`: ``ferro4d difference``: the difference pattern of a channel, or of two.
- `cluster`: ``ferro4d cluster``: classes of probe positions that are alike in their embedding.
- `classify`: ``ferro4d classify``: a class for every probe position, from a few labels.
- `simulate`: ``ferro4d simulate``: a scan with known truth.
- `demo`: ``ferro4d demo``: the main job on a simulated scan, scored against its known truth.
- `demo_folder`: The folder of the demo: what is there already, what is added, and what is said of
  it.
- `demo_scores`: What the demo found, against the known truth: labels drawn from it, scores and a
  figure.
- `display`: A display where there is none: what a window needs on a server or in a container.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
