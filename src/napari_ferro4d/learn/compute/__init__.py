"""Where to compute: device, memory, threads, several processes.

Files, in reading order:

- `cancel_hooks`: Progress and cancel from inside a slow network: after every layer, forward and
  backward.
- `launch`: How ``torchrun`` tells a process which of several it is. Knows no torch.
- `memory`: How much memory there is, how much of it to take at a time, and less where it runs out.
  Importing it imports no torch.
- `device`: Where to compute: choosing a device by name, and what goes wrong on it, in one line.
- `precision`: Where half precision pays.
- `ranks`: One training in several processes, as ``torchrun`` starts them.
- `recompute`: Gradient checkpointing: the insides of blocks are computed again for the gradient,
  not kept.
- `threads`: One thread for small networks: more would mostly wait for each other.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
