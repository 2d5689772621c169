from .apply_dialog import ApplyDialog as ApplyDialog
from .dock import ClassifierWidget as ClassifierWidget
