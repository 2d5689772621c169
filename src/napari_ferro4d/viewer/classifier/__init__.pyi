from .dock import ClassifierWidget as ClassifierWidget
