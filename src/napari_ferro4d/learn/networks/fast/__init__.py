"""Compiled layers of the paper's network for CPUs.

Files, in reading order:

- `image_parts`: Work on parts of an image with several threads, and images as arrays.
- `layer_memory`: Memory for the results of layers, used again and again.
- `loops`: Compiled loops for what follows a convolution: norm over the image, ReLU and skip;
  pooling.
- `vectors`: Arithmetic on 16 channels at a time, for the compiled loops of `fast_winograd`.
- `channel`: Convolutions from and to images of one channel, and their gradients, in compiled
  loops.
- `winograd`: Convolutions 3 x 3 with a quarter of the multiplications.
- `functions`: The layers of the paper's network, and their gradients, in compiled loops for CPUs.
- `layers`: Layers of the paper's network that take the compiled loops where these pay.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
