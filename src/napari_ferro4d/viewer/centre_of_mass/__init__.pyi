from .dock import ComWidget as ComWidget
