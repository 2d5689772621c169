"""Models as files: header, weights, checkpoints.

Files, in reading order:

- `model`: Trained models as `.safetensors` files: arrays and a JSON header, never code.
- `weights`: Network state as plain named arrays, and back.
- `checkpoint`: What makes a checkpoint more than a model. Knows no torch.
- `origin`: Where a model comes from, for its header.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
