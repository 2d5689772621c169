"""The verbs of ``ferro4d``, a file each, found by its name.

It has `add_options`, which is called where the command line is about the verb, and `run`, which
does it; only that imports what is slow to load.

Files, in reading order:

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
- `suggest`: ``ferro4d suggest``: which probe positions to label next.
- `classify`: ``ferro4d classify``: a class for every probe position, from a few labels.
- `simulate`: ``ferro4d simulate``: a scan with known truth.
- `demo`: ``ferro4d demo``: the main job on a simulated scan, scored against its known truth.
"""
