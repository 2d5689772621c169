"""The command ``ferro4d``: thin, every verb calls one public function.

Files, in reading order:

- `convert`: The command that converts a checkpoint of the paper's own code.
- `demo_folder`: The folder of the demo: what is there already, what is added, and what is said of
  it.
- `display`: A display where there is none: what a window needs on a server or in a container.
- `demo`: The main job on a simulated scan, scored against its known truth.
- `embedding_verbs`: What ``ferro4d channels``, ``ferro4d difference`` and ``ferro4d cluster`` do.
- `parser`: What the command line looks like: verbs, options, and one line for a slip.
- `simulate`: What ``ferro4d simulate`` does.
- `terminal`: What the command line prints, draws and connects to.
- `train`: The command that trains an autoencoder.
- `command`: The command ``ferro4d``: thin, every verb calls one public function.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
