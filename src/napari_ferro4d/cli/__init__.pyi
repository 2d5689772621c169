from .command import main as main
from .demo_folder import clear_results as clear_results
from .demo_scores import asked_labels as asked_labels
from .demo_scores import separation as separation
from .demo_scores import wall_distance as wall_distance
from .display import virtual_display as virtual_display
