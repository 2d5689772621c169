"""``python -m napari_ferro4d`` is the command ``ferro4d``."""

import sys

from napari_ferro4d.cli import main

sys.exit(main())
