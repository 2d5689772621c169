"""``python -m napari_ferro4d`` is the command ``ferro4d``."""

import sys

from .cli import main

sys.exit(main())
