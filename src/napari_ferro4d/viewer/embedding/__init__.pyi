from .compare_dialog import CompareDialog as CompareDialog
from .dock import EmbeddingWidget as EmbeddingWidget
from .gate_plane import GatePlane as GatePlane
from .histogram_plot import HistogramView as HistogramView
