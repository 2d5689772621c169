"""Where to compute: device, memory, threads, several processes.

Files, in reading order:

- `device`: Where to compute: choosing a device by name, and what goes wrong on it, in one line.
- `memory`: How much memory there is; patterns through a network in chunks that fit.
- `precision`: Where half precision pays.
- `threads`: One thread for small networks: more would mostly wait for each other.
- `cancel_hooks`: Progress and cancel from inside a slow network: after every layer, forward and
  backward.
- `recompute`: Gradient checkpointing: the insides of blocks are computed again for the gradient,
  not kept.
- `launch`: How ``torchrun`` tells a process which of several it is. Knows no torch.
- `ranks`: One training in several processes, as ``torchrun`` starts them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
