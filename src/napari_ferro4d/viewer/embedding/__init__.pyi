from .compare_dialog import CompareDialog as CompareDialog
from .dock import EmbeddingWidget as EmbeddingWidget
