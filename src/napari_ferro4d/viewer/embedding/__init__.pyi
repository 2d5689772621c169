from .compare_dialog import CompareDialog as CompareDialog
from .dock import EmbeddingWidget as EmbeddingWidget
from .pattern_image import PatternImage as PatternImage
from .pattern_image import Picture as Picture
