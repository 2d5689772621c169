from .detector_shapes import Drawn as Drawn
from .detector_shapes import grab as grab
from .detector_shapes import outlines as outlines
from .detector_shapes import without_corner as without_corner
from .dock import DiffractionWidget as DiffractionWidget
