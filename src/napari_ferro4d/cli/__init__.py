"""The command ``ferro4d``: thin, every verb is a file that calls one public function.

Files and rooms, in reading order:

- `command`: The command ``ferro4d``: its verbs, and what becomes of an error.
- `parser`: What the command line shares: one line for a slip, groups of options, numbers as text.
- `terminal`: What the command line prints, draws and connects to.
- `verbs`: The verbs, a file each: its options, and what it does.
- `demo_folder`: The folder of the demo: what is there already, what is added, and what is said of
  it.
- `demo_scores`: What the demo found, against the known truth: labels drawn from it, scores and a
  figure.
- `display`: A display where there is none: what a window needs on a server or in a container.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
