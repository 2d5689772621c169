from .class_means import ClassMeans as ClassMeans
from .class_table import ClassTable as ClassTable
from .dock import ClassesWidget as ClassesWidget
from .keyed_labels import KeyedLabels as KeyedLabels
from .label_keys import LabelKeys as LabelKeys
from .pattern_reader import joined_pattern as joined_pattern
from .proposals import ProposalsPanel as ProposalsPanel
from .suggested import Suggested as Suggested
