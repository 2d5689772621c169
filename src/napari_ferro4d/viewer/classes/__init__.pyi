from .class_table import ClassTable as ClassTable
from .dock import ClassesWidget as ClassesWidget
from .keyed_labels import KeyedLabels as KeyedLabels
from .label_keys import LabelKeys as LabelKeys
from .suggested import Suggested as Suggested
