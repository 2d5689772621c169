from .command import main as main
from .demo import draw_labels as draw_labels
from .demo import separation as separation
from .demo import wall_distance as wall_distance
from .demo_folder import clear_results as clear_results
from .display import virtual_display as virtual_display
