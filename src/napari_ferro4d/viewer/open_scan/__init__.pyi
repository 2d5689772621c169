from .dock import OpenWidget as OpenWidget
