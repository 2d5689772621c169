from .dock import AutoencoderWidget as AutoencoderWidget
from .dock import train_and_embed as train_and_embed
from .network_form import NetworkForm as NetworkForm
from .thumbnails import Thumbnails as Thumbnails
from .training_plots import Course as Course
